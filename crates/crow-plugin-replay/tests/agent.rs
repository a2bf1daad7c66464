//! The plugin in a real agent: what is played, what is recorded, and that one gives the other.
#![allow(missing_docs)]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crow_acp::*;
use crow_plugin_replay::Replay;
use serde_json::json;

/// A tool that notes the arguments it got.
#[derive(Clone, Default)]
struct Tools(Arc<Mutex<Vec<String>>>);

impl ToolHandler for Tools {
    fn call<'a>(&'a self, _: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, Result<ToolOutcome, ToolError>> {
        self.0.lock().unwrap().push(call.raw_arguments.clone());
        Box::pin(async { Ok(ToolOutcome::ok("two lines")) })
    }
}

#[hookimpls]
impl CrowHooks for Tools {
    fn register_tools(&self) -> Vec<ToolDescriptor> {
        vec![ToolDescriptor::new("look", "", json!({ "type": "object" }), self.clone()).read_only()]
    }
}

/// Hears what the agent says.
#[derive(Debug, Default)]
struct User(Mutex<Vec<String>>);

impl Client for User {
    fn info(&self) -> ClientInfo {
        ClientInfo::new("test", "1")
    }

    fn send(&self, _session_id: &str, update: Update) {
        if let Update::AgentMessage { text, .. } = update {
            self.0.lock().unwrap().push(text);
        }
    }

    fn ask<'a>(&'a self, _: &'a Session, _: Question) -> BoxFuture<'a, Result<String, AskError>> {
        Box::pin(async { Err(AskError::Cancelled) })
    }
}

struct World {
    agent: Agent,
    user: Arc<User>,
    looked: Arc<Mutex<Vec<String>>>,
}

impl World {
    async fn new(home: &Path, config: &str, replay: Replay) -> Self {
        let plugins = PluginManager::new();
        plugins.register(Dispatch).unwrap();
        plugins.register(replay).unwrap();
        let tools = Tools::default();
        plugins.register(tools.clone()).unwrap();
        let agent = Agent::new(Config::from_toml(home, config).unwrap(), plugins).await.unwrap();
        let user = Arc::new(User::default());
        agent.connect(user.clone());
        Self { agent, user, looked: tools.0 }
    }

    async fn session(&self, cwd: &Path) -> Session {
        self.agent.new_session(NewSession::new(cwd)).await.unwrap()
    }

    async fn prompt(&self, session: &Session, text: &str) -> Result<String, String> {
        let outcome = self.agent.prompt(session, Message::user(text)).await;
        match outcome.error {
            Some(error) => Err(error.message),
            None => Ok(session.messages().last().map(Message::text).unwrap_or_default()),
        }
    }
}

fn directory() -> (tempfile::TempDir, std::path::PathBuf) {
    let keep = tempfile::tempdir().unwrap();
    let path = keep.path().canonicalize().unwrap();
    (keep, path)
}

const FIX: &str = r#"
{"recording": {"version": 1, "model": "somebody/else"}}
{"expect": "Fix"}
{"thought": "A script."}
{"text": "I look "}
{"text": "first."}
{"tool_call": {"id": "c1", "name": "look", "arguments": {"path": "{{cwd}}/add.sh"}}}
{"end": {"finish": "tool_calls", "usage": {"input": 100, "output": 20}}}
{"expect": "two lines"}
{"text": "Done in {{cwd}}."}
{"end": {"finish": "stop", "usage": {"input": 130, "output": 5}}}
"#;

#[tokio::test]
async fn a_conversation_is_played() {
    let (_keep, home) = directory();
    let world = World::new(&home, "model = \"replay/fix\"", Replay::new().embedded("fix", FIX)).await;
    // Each session gets the whole of it.
    for name in ["one", "t\"wo"] {
        let cwd = home.join(name);
        std::fs::create_dir(&cwd).unwrap();
        let session = world.session(&cwd).await;
        let said = world.prompt(&session, "Fix it").await;
        assert_eq!(said, Ok(format!("Done in {}.", cwd.display())));
        assert_eq!(session.usage().total(), 255);
        let reasoned = session.messages()[1].parts().iter().any(|part| matches!(part, Part::Reasoning { .. }));
        assert!(reasoned, "{:?}", session.messages());
        let wanted = json!({ "path": cwd.join("add.sh") });
        assert_eq!(world.looked.lock().unwrap().pop(), Some(wanted.to_string()));
    }
    let said = world.user.0.lock().unwrap().clone();
    assert_eq!(said[..2], ["I look ", "first."], "fragments stay as they are");
}

#[tokio::test]
async fn what_does_not_fit_is_said() {
    let (_keep, home) = directory();
    let world = World::new(&home, "model = \"replay/fix\"", Replay::new().embedded("fix", FIX)).await;
    let session = world.session(&home).await;
    assert_eq!(
        world.prompt(&session, "Hello").await,
        Err("the recording `fix` does not fit: answer 1 (line 3) is for a request whose last message contains `Fix`"
            .into())
    );
    let session = world.session(&home).await;
    world.prompt(&session, "Fix it").await.unwrap();
    assert_eq!(
        world.prompt(&session, "Fix it").await,
        Err("the recording `fix` holds 2 answers, and request 3 came".into())
    );
}

#[tokio::test]
async fn recordings_in_files() {
    let (_keep, home) = directory();
    std::fs::create_dir(home.join("recordings")).unwrap();
    let answer = |text: &str| format!("{{\"text\": \"{text}\"}}\n{{\"end\": {{\"finish\": \"stop\"}}}}\n");
    std::fs::write(home.join("recordings/named.jsonl"), answer("by name")).unwrap();
    std::fs::write(home.join("here.jsonl"), answer("by path")).unwrap();
    std::fs::write(home.join("bad.jsonl"), "\n{\"text\": 3}\n").unwrap();
    let config = "[plugins.replay]\nrecordings = { named = \"recordings/named.jsonl\" }\npace_ms = 0\n";
    let world = World::new(&home, config, crow_plugin_replay::plugin()).await;
    let said = async |model: &str| {
        let session = world.session(&home).await;
        session.set_model(&model.parse().unwrap()).await.unwrap();
        world.prompt(&session, "hi").await
    };
    assert_eq!(said("replay/named").await, Ok("by name".into()));
    assert_eq!(said("replay/here.jsonl").await, Ok("by path".into()));
    assert_eq!(said(&format!("replay/{}/here.jsonl", home.display())).await, Ok("by path".into()));
    let error = said("replay/absent.jsonl").await.unwrap_err();
    assert!(
        error.contains("the recording `absent.jsonl` cannot be played: ") && error.contains("No such file"),
        "{error}"
    );
    let error = said("replay/bad.jsonl").await.unwrap_err();
    assert!(error.contains("line 2: invalid type"), "{error}");
    let models: Vec<String> = world.agent.models().iter().map(|model| model.id.to_string()).collect();
    assert_eq!(models, ["replay/named"]);
}

#[tokio::test]
async fn failures_are_played_too() {
    let (_keep, home) = directory();
    let recording = r#"
        {"error": {"kind": "rate_limit", "status": 429, "retry_after_ms": 5, "message": "slow down"}}
        {"text": "now"}
        {"end": {"finish": "stop"}}
    "#;
    let world = World::new(&home, "model = \"replay/x\"", Replay::new().embedded("x", recording)).await;
    let session = world.session(&home).await;
    assert_eq!(world.prompt(&session, "hi").await, Err("slow down".into()));
    assert_eq!(world.prompt(&session, "hi").await, Ok("now".into()));
}

#[tokio::test]
async fn a_pace_spreads_the_words() {
    let (_keep, home) = directory();
    let config = "model = \"replay/x\"\n[plugins.replay]\npace_ms = 20\n";
    let recording = "{\"text\": \"one two three\"}\n{\"end\": {\"finish\": \"stop\"}}\n";
    let world = World::new(&home, config, Replay::new().embedded("x", recording)).await;
    let session = world.session(&home).await;
    let begin = Instant::now();
    world.prompt(&session, "hi").await.unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(60));
    assert_eq!(*world.user.0.lock().unwrap(), ["one ", "two ", "three"]);
}

#[tokio::test]
async fn what_is_recorded_can_be_played() {
    let (_keep, home) = directory();
    let config = "model = \"replay/fix\"\n[plugins.replay]\nrecord = \"kept/today.jsonl\"\n\
                  [providers.other]\napi_key = \"sk-very-secret\"\n";
    let said = FIX.replace("Done in", "The key is sk-very-secret; done in");
    let world = World::new(&home, config, Replay::new().embedded("fix", said)).await;
    let cwd = home.join("there");
    std::fs::create_dir(&cwd).unwrap();
    let session = world.session(&cwd).await;
    let first = world.prompt(&session, "Fix it").await.unwrap();
    // A failed request is in it as well.
    world.prompt(&session, "Fix it").await.unwrap_err();

    let file = home.join("kept/today.jsonl");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with(r#"{"recording":{"version":1,"model":"replay/fix"}}"#), "{text}");
    assert!(!text.contains("sk-very-secret") && !text.contains(&*cwd.to_string_lossy()), "{text}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    let elsewhere = home.join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let again = World::new(&home, &format!("model = \"replay/{}\"", file.display()), Replay::new()).await;
    let session = again.session(&elsewhere).await;
    let said = again.prompt(&session, "Fix it").await.unwrap();
    let wanted = first.replace("sk-very-secret", "***").replace(&*cwd.to_string_lossy(), &elsewhere.to_string_lossy());
    assert_eq!(said, wanted);
    assert_eq!(again.looked.lock().unwrap().pop(), Some(json!({ "path": elsewhere.join("add.sh") }).to_string()));
    assert_eq!(session.usage().total(), 255);
    let error = again.prompt(&session, "Fix it").await.unwrap_err();
    assert!(error.contains("holds 2 answers"), "{error}");
}

#[tokio::test]
async fn a_loaded_session_goes_on_where_it_was() {
    let recording = "{\"text\":\"one\"}\n{\"end\":{\"finish\":\"stop\"}}\n\
                     {\"error\":{\"kind\":\"server\",\"message\":\"oops\"}}\n\
                     {\"text\":\"two\"}\n{\"end\":{\"finish\":\"stop\"}}\n{\"text\":\"three\"}\n{\"end\":{\"finish\":\"stop\"}}\n";
    let (_keep, home) = directory();
    let world = World::new(&home, "model = \"replay/x\"", Replay::new().embedded("x", recording)).await;
    let session = world.session(&home).await;
    for text in ["a", "b"] {
        session.push_message(Message::user("earlier"));
        session.push_message(Message::assistant(text));
    }
    assert_eq!(world.prompt(&session, "hi").await, Ok("three".into()));
}

#[tokio::test]
async fn bad_configuration_refuses_the_start() {
    let plugins = PluginManager::new();
    plugins.register(crow_plugin_replay::plugin()).unwrap();
    let config = Config::from_toml("/home/me/.crow", "[plugins.replay]\nrecords = \"x\"\n").unwrap();
    let error = Agent::new(config, plugins).await.unwrap_err().to_string();
    assert!(error.contains("config.toml:2: ") && error.contains("did you mean `record`?"), "{error}");
}
