//! The plugin in a real agent: what the model gets as its system prompt.
#![allow(missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crow_acp::*;
use crow_plugin_system_prompt::SystemPrompt as Plugin;
use serde_json::json;

/// Keeps the system prompt of each request, and answers nothing.
#[derive(Clone, Default)]
struct World(Arc<Mutex<Vec<Sections>>>);

impl Provider for World {
    fn stream<'a>(
        &'a self,
        request: &'a Request,
        _deltas: &'a mut Deltas<'_>,
    ) -> BoxFuture<'a, Result<Completion, ProviderError>> {
        self.0.lock().unwrap().push(request.system.clone());
        Box::pin(async { Ok(Completion::new(Finish::Stop, None)) })
    }
}

struct Nothing;

impl ToolHandler for Nothing {
    fn call<'a>(&'a self, _cx: &'a ToolContext, _call: &'a ToolCall) -> BoxFuture<'a, Result<ToolOutcome, ToolError>> {
        Box::pin(async { Ok(ToolOutcome::ok("")) })
    }
}

#[hookimpls]
impl CrowHooks for World {
    fn register_providers(&self) -> Vec<ProviderDescriptor> {
        vec![ProviderDescriptor::new("test", vec![], self.clone())]
    }

    fn register_tools(&self) -> Vec<ToolDescriptor> {
        let tool = |name, kind| ToolDescriptor::new(name, "", json!({ "type": "object" }), Nothing).kind(kind);
        vec![tool("look", ToolKind::Read), tool("change", ToolKind::Edit), tool("do", ToolKind::Execute)]
    }
}

#[derive(Debug, Default)]
struct Screen(Mutex<String>);

impl Client for Screen {
    fn info(&self) -> ClientInfo {
        ClientInfo::new("test", "1")
    }

    fn send(&self, _session_id: &str, update: Update) {
        if let Update::AgentMessage { text, .. } = update {
            self.0.lock().unwrap().push_str(&text);
        }
    }

    fn ask<'a>(&'a self, _session: &'a Session, _question: Question) -> BoxFuture<'a, Result<String, AskError>> {
        Box::pin(async { Err(AskError::NoClient) })
    }
}

struct Fixture {
    agent: Agent,
    screen: Arc<Screen>,
    world: World,
    cwd: PathBuf,
    _keep: tempfile::TempDir,
}

impl Fixture {
    async fn new(plugin: Plugin, config: &str) -> Self {
        let keep = tempfile::tempdir().unwrap();
        let root = keep.path().canonicalize().unwrap();
        let (home, project) = (root.join("home"), root.join("project"));
        let cwd = project.join("inner");
        fs::create_dir_all(&home).unwrap();
        fs::create_dir_all(&cwd).unwrap();
        fs::create_dir_all(project.join(".git")).unwrap();
        fs::write(project.join(".git/HEAD"), "ref: refs/heads/topic\n").unwrap();
        fs::write(cwd.join("main.rs"), "").unwrap();
        let world = World::default();
        let plugins = PluginManager::new();
        plugins.register(Dispatch).unwrap();
        plugins.register(world.clone()).unwrap();
        plugins.register(plugin).unwrap();
        let config = format!("model = 'test/x'\n{config}");
        let agent = Agent::new(Config::from_toml(&home, &config).unwrap(), plugins).await.unwrap();
        let screen = Arc::new(Screen::default());
        agent.connect(screen.clone());
        Self { agent, screen, world, cwd, _keep: keep }
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.cwd.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    async fn session(&self) -> Session {
        self.agent.new_session(NewSession::new(&self.cwd)).await.unwrap()
    }

    /// The system prompt of a request that a prompt in the session makes.
    async fn request(&self, session: &Session) -> Sections {
        self.agent.prompt(session, Message::user("hi")).await;
        self.world.0.lock().unwrap().pop().expect("a request was made")
    }
}

fn section<'a>(sections: &'a Sections, id: &str) -> &'a str {
    sections.sections().iter().find(|section| section.id == id).map_or("", |section| &section.text)
}

#[tokio::test]
async fn sections_come_in_order_and_hold_what_they_say() {
    let fixture =
        Fixture::new(crow_plugin_system_prompt::plugin(), "[plugins.system-prompt]\nappend = 'Be nice.'").await;
    fixture.write("../AGENTS.md", "Use tabs.");
    fixture.write("../../home/AGENTS.md", "I am Ada.");
    let prompt = fixture.request(&fixture.session().await).await;
    let ids: Vec<&str> = prompt.sections().iter().map(|section| section.id.as_str()).collect();
    assert_eq!(ids, ["role", "tools", "instructions", "append", "environment", "tree"]);
    assert!(prompt.sections().iter().all(|section| section.owner == "system-prompt"));
    assert!(section(&prompt, "role").starts_with("You are Crow"));
    assert!(section(&prompt, "tools").contains("Look at files with `look`"));
    assert!(section(&prompt, "tools").contains("Run commands with `do`"));
    let instructions = section(&prompt, "instructions");
    assert!(instructions.find("I am Ada.") < instructions.find("Use tabs."), "{instructions}");
    assert_eq!(section(&prompt, "append"), "Be nice.");
    let environment = section(&prompt, "environment");
    for part in [&fixture.cwd.display().to_string(), "on the branch topic", std::env::consts::OS, "Date: 2"] {
        assert!(environment.contains(part), "{environment}");
    }
    assert!(section(&prompt, "tree").ends_with("main.rs"), "{}", section(&prompt, "tree"));
}

#[tokio::test]
async fn a_session_keeps_its_prompt_byte_for_byte() {
    let fixture = Fixture::new(crow_plugin_system_prompt::plugin(), "").await;
    fixture.write("AGENTS.md", "before");
    let session = fixture.session().await;
    let first = fixture.request(&session).await;
    fixture.write("AGENTS.md", "after");
    fixture.write("new.rs", "");
    assert_eq!(fixture.request(&session).await, first);
    // A session that starts a little later looks again.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let other = fixture.request(&fixture.session().await).await;
    assert!(section(&other, "instructions").contains("after"));
    assert!(section(&other, "tree").contains("new.rs"));
}

#[tokio::test]
async fn the_role_comes_from_the_configuration_else_from_the_code() {
    let fixture = Fixture::new(Plugin::new("You are Rook."), "").await;
    assert_eq!(section(&fixture.request(&fixture.session().await).await, "role"), "You are Rook.");
    let fixture = Fixture::new(Plugin::new("You are Rook."), "[plugins.system-prompt]\nrole = 'You are Jay.'").await;
    assert_eq!(section(&fixture.request(&fixture.session().await).await, "role"), "You are Jay.");
    fixture.write("../.crow/config.toml", "[plugins.system-prompt]\nrole = 'Be terse.'\ntemplate = 'x'");
    assert_eq!(section(&fixture.request(&fixture.session().await).await, "role"), "Be terse.");
}

#[tokio::test]
async fn every_key_is_read() {
    let with = async |key: &str| {
        let fixture =
            Fixture::new(Plugin::default(), &format!("ignore = ['*.x']\n[plugins.system-prompt]\n{key}")).await;
        fixture.write("AGENTS.md", "0123456789");
        fixture.write("a/b", "");
        fixture.write("c.x", "");
        fixture.write("../../home/t.j2", "{{ display_tree }}|{{ agents_content }}|{{ tools | join(' ') }}");
        fixture.request(&fixture.session().await).await
    };
    let usual = with("").await;
    assert!(section(&usual, "tree").contains("  b\n") && !section(&usual, "tree").contains("c.x"));
    assert!(!section(&with("tree_depth = 1").await, "tree").contains("  b"));
    assert_eq!(section(&with("tree_depth = 0").await, "tree"), "");
    assert!(section(&with("tree_entries = 1").await, "tree").contains("… 2 more"));
    assert!(!section(&with("agents_bytes = 4").await, "instructions").contains("4567"));
    assert!(with("template = 'in {{ workspace }}'").await.text().ends_with("project/inner"));
    let from_file = with("template_file = 't.j2'").await.text();
    assert!(from_file.starts_with("AGENTS.md\na/\n  b\n") && from_file.ends_with("|change do look"), "{from_file}");
}

#[tokio::test]
async fn a_template_that_is_wrong_is_told_at_the_start_or_refuses_the_prompt() {
    let start = |config: &str| {
        let config = Config::from_toml(Path::new("/h"), config).unwrap();
        async {
            let plugins = PluginManager::new();
            plugins.register(Plugin::default()).unwrap();
            Agent::new(config, plugins).await.unwrap_err().message
        }
    };
    let error = start("[plugins.system-prompt]\ntemplate = '{{'").await;
    assert!(error.contains("plugins.system-prompt.template, line 1"), "{error}");
    let error = start("[plugins.system-prompt]\nrol = 'x'").await;
    assert!(error.contains("/h/config.toml:2: unknown key `rol`") && error.contains("`role`"), "{error}");

    let fixture = Fixture::new(Plugin::default(), "[plugins.system-prompt]\ntemplate_file = 'none.j2'").await;
    let session = fixture.session().await;
    let outcome = fixture.agent.prompt(&session, Message::user("hi")).await;
    assert_eq!(outcome.stop_reason, StopReason::Refusal);
    assert!(outcome.error.unwrap().message.contains("none.j2"));
}

#[tokio::test]
async fn the_command_shows_every_plugins_sections() {
    struct Other;
    #[hookimpls]
    impl CrowHooks for Other {
        fn system_prompt(&self, sections: &mut Sections) {
            sections.push(Section::new("moon", "other", Scope::Turn, "It is full."));
        }
    }
    let fixture = Fixture::new(Plugin::default(), "").await;
    fixture.agent.plugins().register(Other).unwrap();
    let session = fixture.session().await;
    assert!(session.commands().iter().any(|command| command.name == "prompt"));
    let outcome = fixture.agent.prompt(&session, Message::user("/prompt")).await;
    assert_eq!(outcome.stop_reason, StopReason::EndTurn);
    let shown = fixture.screen.0.lock().unwrap().clone();
    assert!(shown.contains("| moon | other | turn | 3 |"), "{shown}");
    assert!(shown.contains("| role | system-prompt | static |"), "{shown}");
    assert!(fixture.world.0.lock().unwrap().is_empty(), "the model is not asked");
}
