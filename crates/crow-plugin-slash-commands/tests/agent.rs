//! The plugin in a real agent.
#![allow(missing_docs)]

use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crow_acp::*;
use serde_json::{Value, json};

type Shared<T> = Arc<Mutex<T>>;

/// A model that calls tools as told, and notes what it was asked; the tools do nothing.
#[derive(Clone, Default)]
struct Scripted {
    turns: Shared<VecDeque<(&'static str, Value)>>,
    requests: Shared<Vec<Request>>,
}

impl Provider for Scripted {
    fn stream<'a>(
        &'a self,
        request: &'a Request,
        deltas: &'a mut Deltas<'_>,
    ) -> BoxFuture<'a, Result<Completion, ProviderError>> {
        self.requests.lock().unwrap().push(request.clone());
        let turn = self.turns.lock().unwrap().pop_front();
        Box::pin(async move {
            let (delta, finish) = match turn {
                None => (Delta::text("done"), Finish::Stop),
                Some((name, arguments)) => {
                    (Delta::tool_call(0, None, Some(name.into()), arguments.to_string()), Finish::ToolCalls)
                }
            };
            deltas.push(delta).await.unwrap();
            Ok(Completion::new(finish, Some(Usage::new(10, 5))))
        })
    }
}

impl ToolHandler for Scripted {
    fn call<'a>(&'a self, _: &'a ToolContext, _: &'a ToolCall) -> BoxFuture<'a, Result<ToolOutcome, ToolError>> {
        Box::pin(async { Ok(ToolOutcome::ok("it ran")) })
    }
}

struct Hello;

impl CommandHandler for Hello {
    fn run<'a>(
        &'a self,
        _: &'a Agent,
        _: &'a Session,
        _: &'a CommandCall,
    ) -> BoxFuture<'a, Result<CommandReply, CommandError>> {
        Box::pin(async { Ok(CommandReply::Text("hello from the plugin".into())) })
    }
}

#[hookimpls]
impl CrowHooks for Scripted {
    fn register_providers(&self) -> Vec<ProviderDescriptor> {
        vec![ProviderDescriptor::new("test", vec![], self.clone())]
    }

    fn register_tools(&self) -> Vec<ToolDescriptor> {
        let tool = |name: &str| ToolDescriptor::new(name, "", json!({ "type": "object" }), self.clone());
        vec![tool("terminal"), tool("edit"), tool("read").read_only()]
    }

    fn register_commands(&self) -> Vec<Command> {
        vec![Command::new("hello", "says hello", Hello)]
    }

    fn request_permission(&self) -> Permission {
        Permission::Allow
    }
}

#[derive(Debug, Default)]
struct User {
    told: Mutex<Vec<String>>,
    commands: Mutex<Vec<Vec<Command>>>,
}

impl Client for User {
    fn info(&self) -> ClientInfo {
        ClientInfo::new("test", "1")
    }

    fn send(&self, _session_id: &str, update: Update) {
        match update {
            Update::Notice(notice) => self.told.lock().unwrap().push(notice.title),
            Update::AgentMessage { text, .. } => self.told.lock().unwrap().push(text),
            Update::Commands(commands) => self.commands.lock().unwrap().push(commands),
            _ => {}
        }
    }

    fn ask<'a>(&'a self, _: &'a Session, _: Question) -> BoxFuture<'a, Result<String, AskError>> {
        Box::pin(async { Err(AskError::Cancelled) })
    }
}

struct World {
    directory: tempfile::TempDir,
    agent: Agent,
    user: Arc<User>,
    model: Scripted,
}

impl World {
    async fn new(files: &[(&str, &str)]) -> Self {
        Self::with("", files).await
    }

    async fn with(config: &str, files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("project/.git")).unwrap();
        let plugins = PluginManager::new();
        let model = Scripted::default();
        plugins.register(Dispatch).unwrap();
        plugins.register(model.clone()).unwrap();
        plugins.register(crow_plugin_slash_commands::plugin()).unwrap();
        let config = format!("model = 'test/m'\n[plugins.slash-commands]\n{config}");
        let config = Config::from_toml(directory.path().join("home"), &config).unwrap();
        let agent = Agent::new(config, plugins).await.unwrap();
        let user = Arc::new(User::default());
        agent.connect(user.clone());
        let world = Self { directory, agent, user, model };
        for (name, text) in files {
            world.file(name, text);
        }
        world
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    async fn session(&self) -> Session {
        self.agent.new_session(NewSession::new(self.directory.path().join("project"))).await.unwrap()
    }

    /// What the model was asked last, after this was typed.
    async fn asked(&self, session: &Session, text: &str) -> String {
        self.agent.prompt(session, Message::user(text)).await;
        let requests = self.model.requests.lock().unwrap();
        let is_user = |message: &&Message| message.role == Role::User;
        requests
            .last()
            .and_then(|request| request.messages.iter().rev().find(is_user))
            .map(Message::text)
            .unwrap_or_default()
    }
}

fn names(session: &Session) -> Vec<String> {
    session.commands().into_iter().map(|command| command.name).collect()
}

#[tokio::test]
async fn files_are_commands() {
    let world = World::new(&[
        ("home/commands/fix.md", "---\ndescription: Fixes\nargument-hint: number\n---\nFix #$1: $ARGUMENTS"),
        ("home/commands/git/commit.md", "# Commit it"),
        ("home/commands/notes.txt", "no"),
        ("home/commands/not a name.md", "no"),
    ])
    .await;
    let session = world.session().await;
    assert_eq!(names(&session), ["fix", "git:commit", "hello"]);
    let commands = session.commands();
    assert_eq!((commands[0].description.as_str(), commands[0].hint.as_deref()), ("Fixes (user)", Some("number")));
    assert_eq!(commands[1].description, "Commit it (user)");
    assert_eq!(world.asked(&session, "/fix 7 now").await, "Fix #7: 7 now");
    assert_eq!(world.asked(&session, "/git:commit").await, "# Commit it");
    assert_eq!(world.asked(&session, "/unknown").await, "/unknown", "the model may know");
}

#[tokio::test]
async fn what_comes_goes_or_changes_counts_with_the_next_prompt() {
    let world = World::new(&[]).await;
    let session = world.session().await;
    assert_eq!(names(&session), ["hello"]);
    let file = world.file("home/commands/new.md", "One");
    assert_eq!(world.asked(&session, "/new").await, "One");
    assert!(world.user.commands.lock().unwrap().last().unwrap().iter().any(|command| command.name == "new"));
    fs::write(&file, "Two").unwrap();
    assert_eq!(world.asked(&session, "/new").await, "Two");
    fs::remove_file(&file).unwrap();
    assert_eq!(world.asked(&session, "/new").await, "/new");
    assert_eq!(names(&session), ["hello"]);
    let sent = world.user.commands.lock().unwrap().len();
    world.asked(&session, "hi").await;
    assert_eq!(world.user.commands.lock().unwrap().len(), sent, "nothing changed, nothing is said");
}

#[tokio::test]
async fn a_projects_commands_are_off_until_trusted_and_off_again_when_they_change() {
    let world = World::new(&[
        ("project/.crow/commands/ship.md", "Ship it"),
        ("project/.claude/commands/other.md", "The other"),
        ("home/commands/ship.md", "Mine"),
    ])
    .await;
    let session = world.session().await;
    assert_eq!(world.asked(&session, "/ship").await, "Mine");
    let told = world.user.told.lock().unwrap().join("\n");
    assert!(told.contains("command `/ship`") && told.contains("command `/other`"), "{told}");

    let items: Vec<ProjectItem> = world.agent.trust().items(&session).into_iter().map(|judged| judged.item).collect();
    world.agent.trust().approve(&session, &items).unwrap();
    assert_eq!(world.asked(&session, "/ship").await, "Ship it");
    assert_eq!(world.asked(&session, "/other").await, "The other");
    world.file("project/.crow/commands/ship.md", "Ship it to me");
    assert_eq!(world.asked(&session, "/ship").await, "Mine");
    let only = World::with("claude = false", &[("project/.claude/commands/other.md", "x")]).await;
    assert!(only.agent.trust().items(&only.session().await).is_empty());
}

#[tokio::test]
async fn a_command_may_choose_the_model_for_its_run() {
    let world = World::new(&[
        ("home/commands/big.md", "---\nmodel: test/big\n---\nThink"),
        ("home/commands/gone.md", "---\nmodel: sonnet\n---\nThink"),
    ])
    .await;
    let session = world.session().await;
    let models = |world: &World| -> Vec<String> {
        world.model.requests.lock().unwrap().iter().map(|request| request.model.id.to_string()).collect()
    };
    world.asked(&session, "/big").await;
    world.asked(&session, "hi").await;
    world.asked(&session, "/gone").await;
    assert_eq!(models(&world), ["test/big", "test/m", "test/m"]);
    assert!(world.user.told.lock().unwrap().join("\n").contains("wants the model `sonnet`"));
}

#[tokio::test]
async fn allowed_tools_take_away_and_grant_nothing() {
    let world = World::new(&[("home/commands/commit.md", "---\nallowed-tools: Bash(git commit:*)\n---\nCommit")]).await;
    let session = world.session().await;
    let results = async |text: &str, turns: Vec<(&'static str, Value)>| {
        *world.model.turns.lock().unwrap() = turns.into();
        world.asked(&session, text).await;
        let messages = world.model.requests.lock().unwrap().last().unwrap().messages.clone();
        let result = |part: &Part| {
            if let Part::ToolResult(result) = part { Some(result.text.clone()) } else { None }
        };
        messages.iter().filter_map(|message| message.parts().iter().find_map(result)).next_back().unwrap()
    };
    let call = |tool, command: &str| vec![(tool, json!({ "command": command }))];
    assert_eq!(results("/commit", call("terminal", "git commit -m x")).await, "it ran");
    assert!(results("/commit", call("terminal", "git push")).await.contains("Bash(git commit:*)"));
    assert!(results("/commit", call("edit", "")).await.contains("`/commit` may change something"));
    assert_eq!(results("/commit", call("read", "")).await, "it ran", "it changes nothing");
    assert_eq!(results("go on", call("edit", "")).await, "it ran", "that was another run");
}

#[tokio::test]
async fn no_file_takes_a_plugins_name_and_pictures_come_along() {
    let world = World::new(&[
        ("home/commands/hello.md", "Mine"),
        ("home/commands/look.md", "Look"),
        ("home/commands/empty.md", ""),
    ])
    .await;
    let session = world.session().await;
    world.asked(&session, "/hello").await;
    assert!(world.user.told.lock().unwrap().contains(&"hello from the plugin".to_owned()));
    world.asked(&session, "/empty").await;
    assert!(world.user.told.lock().unwrap().join("\n").contains("has no prompt in it"));

    let picture = Part::Resource { uri: "file:///a".into(), text: "attached".into() };
    let prompt = Message::new(Role::User, vec![Part::text("/look here"), picture.clone()]);
    world.agent.prompt(&session, prompt).await;
    let requests = world.model.requests.lock().unwrap();
    let asked = requests.last().unwrap().messages.iter().rev().find(|message| message.role == Role::User).unwrap();
    assert_eq!(asked.parts(), [Part::text("Look\n\nhere"), picture]);
}

#[tokio::test]
async fn bad_configuration_refuses_the_start() {
    let plugins = PluginManager::new();
    plugins.register(crow_plugin_slash_commands::plugin()).unwrap();
    let config = Config::from_toml("/home/me/.crow", "[plugins.slash-commands]\nclaud = true\n").unwrap();
    let error = Agent::new(config, plugins).await.unwrap_err().to_string();
    assert!(error.contains("config.toml:2: ") && error.contains("did you mean `claude`?"), "{error}");
}
