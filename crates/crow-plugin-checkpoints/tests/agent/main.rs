//! The plugin in a real agent, with a tool that writes files as the model says.
#![allow(missing_docs)]

use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crow_acp::*;
use serde_json::{Value, json};

type Shared<T> = Arc<Mutex<T>>;

/// The tools it has are `put` (a file) and `shell`.
#[derive(Clone, Default)]
struct Scripted {
    turns: Shared<VecDeque<(&'static str, Value)>>,
    hang: Arc<tokio::sync::Notify>,
}

impl Provider for Scripted {
    fn stream<'a>(
        &'a self,
        _: &'a Request,
        deltas: &'a mut Deltas<'_>,
    ) -> BoxFuture<'a, Result<Completion, ProviderError>> {
        let turn = self.turns.lock().unwrap().pop_front();
        Box::pin(async move {
            let finish = match turn {
                None => {
                    deltas.push(Delta::text("done")).await.unwrap();
                    Finish::Stop
                }
                Some((name, arguments)) => {
                    deltas.push(Delta::tool_call(0, None, Some(name.into()), arguments.to_string())).await.unwrap();
                    Finish::ToolCalls
                }
            };
            Ok(Completion::new(finish, Some(Usage::new(10, 5))))
        })
    }
}

impl ToolHandler for Scripted {
    fn preview<'a>(&'a self, cx: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, ToolPreview> {
        Box::pin(async move {
            let access = match call.arguments["path"].as_str() {
                Some(path) => Access::Write { path: cx.session.cwd().join(path) },
                None => Access::Execute { command: "x".into() },
            };
            ToolPreview::new("x").access(access)
        })
    }

    fn call<'a>(&'a self, cx: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, Result<ToolOutcome, ToolError>> {
        Box::pin(async move {
            if let Some(path) = call.arguments["path"].as_str() {
                let text = call.arguments["text"].as_str().unwrap_or_default();
                fs::write(cx.session.cwd().join(path), text)?;
            }
            if call.arguments["hang"] == true {
                self.hang.notify_one();
                std::future::pending::<()>().await;
            }
            Ok(ToolOutcome::ok("it ran"))
        })
    }
}

#[hookimpls]
impl CrowHooks for Scripted {
    fn register_providers(&self) -> Vec<ProviderDescriptor> {
        vec![ProviderDescriptor::new("test", vec![], self.clone())]
    }

    fn register_tools(&self) -> Vec<ToolDescriptor> {
        let schema = json!({ "type": "object" });
        ["put", "shell"].map(|name| ToolDescriptor::new(name, "", schema.clone(), self.clone())).into()
    }

    fn request_permission(&self) -> Permission {
        Permission::Allow
    }
}

/// Hears what the user is told and answers what they are asked.
#[derive(Debug, Default)]
struct User {
    told: Mutex<Vec<String>>,
    asked: Mutex<u32>,
    answer: Mutex<&'static str>,
}

impl Client for User {
    fn info(&self) -> ClientInfo {
        ClientInfo::new("test", "1")
    }

    fn send(&self, _session_id: &str, update: Update) {
        match update {
            Update::Notice(notice) => self.told.lock().unwrap().push(notice.title),
            Update::AgentMessage { text, .. } => self.told.lock().unwrap().push(text),
            _ => {}
        }
    }

    fn ask<'a>(&'a self, _: &'a Session, _: Question) -> BoxFuture<'a, Result<String, AskError>> {
        *self.asked.lock().unwrap() += 1;
        Box::pin(async { Ok((*self.answer.lock().unwrap()).to_owned()) })
    }
}

struct World {
    directory: tempfile::TempDir,
    agent: Agent,
    session: Session,
    user: Arc<User>,
    model: Scripted,
}

impl World {
    async fn new() -> Self {
        Self::with("").await
    }

    async fn with(config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("project/.git")).unwrap();
        let plugins = PluginManager::new();
        let model = Scripted::default();
        plugins.register(Dispatch).unwrap();
        plugins.register(model.clone()).unwrap();
        plugins.register(crow_plugin_checkpoints::plugin()).unwrap();
        let config = format!("model = 'test/m'\n[plugins.checkpoints]\n{config}");
        let config = Config::from_toml(directory.path().join("home"), &config).unwrap();
        let agent = Agent::new(config, plugins).await.unwrap();
        let user = Arc::new(User::default());
        agent.connect(user.clone());
        let session = agent.new_session(NewSession::new(directory.path().join("project"))).await.unwrap();
        Self { directory, agent, session, user, model }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("project").join(name)
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path(name)).ok()
    }

    /// A prompt during which the model writes these files.
    async fn prompt(&self, text: &str, files: &[(&str, &str)]) {
        let turns = files.iter().map(|(path, text)| ("put", json!({ "path": path, "text": text })));
        *self.model.turns.lock().unwrap() = turns.collect();
        let outcome = self.agent.prompt(&self.session, Message::user(text)).await;
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
    }

    /// What the user reads after this.
    async fn told(&self, command: &str) -> String {
        self.user.told.lock().unwrap().clear();
        self.agent.prompt(&self.session, Message::user(command)).await;
        self.user.told.lock().unwrap().join("\n")
    }
}

#[tokio::test]
async fn files_come_back_prompt_by_prompt() {
    let world = World::new().await;
    fs::write(world.path("a"), "mine").unwrap();
    world.prompt("first", &[("a", "one"), ("a", "one more"), ("b", "made")]).await;
    world.prompt("only talk", &[]).await;
    world.prompt("second", &[("a", "two")]).await;
    assert_eq!(world.told("/undo list").await, "2. second (1 file)\n1. first (2 files)");
    assert_eq!(world.told("/undo").await, "- put back `a`");
    assert_eq!((world.read("a").as_deref(), world.read("b").as_deref()), (Some("one more"), Some("made")));
    assert_eq!(world.told("/undo").await, "- put back `a`\n- deleted `b`, which Crow had made");
    assert_eq!((world.read("a").as_deref(), world.read("b")), (Some("mine"), None));
    assert!(world.told("/undo").await.contains("there is nothing to undo"));
    let texts: String = world.session.messages().iter().map(Message::text).collect();
    assert_eq!(texts.matches("The user undid your changes").count(), 2, "the model knows");
}

#[tokio::test]
async fn several_prompts_at_once() {
    let world = World::new().await;
    for text in ["one", "two", "three"] {
        world.prompt(text, &[("a", text)]).await;
    }
    world.told("/undo 2").await;
    assert_eq!(world.read("a").as_deref(), Some("one"));
    world.prompt("four", &[("a", "four")]).await;
    world.told("/undo 99").await;
    assert_eq!(world.read("a"), None);
}

#[tokio::test]
async fn what_the_user_changed_since_is_theirs() {
    let world = World::new().await;
    world.prompt("first", &[("a", "one"), ("b", "one")]).await;
    fs::write(world.path("a"), "by hand").unwrap();
    let told = world.told("/undo").await;
    assert!(told.contains("left `a` alone") && told.contains("deleted `b`"), "{told}");
    assert_eq!((world.read("a").as_deref(), *world.user.asked.lock().unwrap()), (Some("by hand"), 1));

    *world.user.answer.lock().unwrap() = "overwrite";
    let told = world.told("/undo").await;
    assert_eq!(world.read("a"), None);
    let copy = told.rsplit_once(" in `").unwrap().1.split('`').next().unwrap();
    assert_eq!(fs::read_to_string(copy).unwrap(), "by hand", "{told}");
}

#[tokio::test]
async fn force_asks_nothing() {
    let world = World::new().await;
    world.prompt("first", &[("a", "one")]).await;
    fs::write(world.path("a"), "by hand").unwrap();
    assert!(world.told("/undo 1 --force").await.contains("overwrote `a`"));
    assert_eq!((world.read("a"), *world.user.asked.lock().unwrap()), (None, 0));
}

#[tokio::test]
async fn commands_are_said_not_to_be_covered() {
    let world = World::new().await;
    let turns = [("shell", json!({})), ("put", json!({ "path": "a", "text": "x" }))];
    *world.model.turns.lock().unwrap() = turns.into();
    world.agent.prompt(&world.session, Message::user("go")).await;
    assert!(world.told("/undo").await.contains("Commands were run in the terminal"));
    assert!(world.told("/undo what").await.contains("`/undo 3`"));
}

#[tokio::test]
async fn a_cancelled_edit_can_be_undone() {
    let world = World::new().await;
    *world.model.turns.lock().unwrap() = [("put", json!({ "path": "a", "text": "half", "hang": true }))].into();
    let run = world.agent.prompt(&world.session, Message::user("go"));
    let cancel = async {
        world.model.hang.notified().await;
        world.session.cancel();
    };
    let (outcome, ()) = tokio::join!(run, cancel);
    assert_eq!(outcome.stop_reason, StopReason::Cancelled);
    assert_eq!(world.told("/undo").await, "- deleted `a`, which Crow had made");
}

#[tokio::test]
async fn what_is_too_large_is_not_kept_and_that_is_said() {
    let world = World::with("max_file_bytes = 10").await;
    fs::write(world.path("a"), "more than ten bytes").unwrap();
    world.prompt("go", &[("a", "x"), ("b", "x")]).await;
    let told = world.user.told.lock().unwrap().join("\n");
    assert!(told.contains("cannot be undone") && told.contains("`max_file_bytes`"), "{told}");
    let told = world.told("/undo").await;
    assert!(told.contains("`a` cannot be brought back") && told.contains("deleted `b`"), "{told}");
}

#[tokio::test]
async fn sessions_share_a_limit_and_the_oldest_goes() {
    let world = World::with("max_total_bytes = 30000").await;
    fs::write(world.path("a"), vec![b'x'; 20_000]).unwrap();
    world.prompt("go", &[("a", "y")]).await;
    let first = world.session.id().to_owned();
    let kept = |id: &str| world.directory.path().join("home/checkpoints").join(id).exists();
    // As far as age goes, everything may stay for a month.
    let second = world.agent.new_session(NewSession::new(world.path(""))).await.unwrap();
    let run = async |content: Vec<u8>| {
        fs::write(world.path("b"), content).unwrap();
        *world.model.turns.lock().unwrap() = [("put", json!({ "path": "b", "text": "y" }))].into();
        world.agent.prompt(&second, Message::user("go")).await;
    };
    run(vec![b'x'; 15_000]).await;
    assert!(kept(&first) && kept(second.id()));
    run(vec![b'z'; 100]).await;
    assert!(!kept(&first) && kept(second.id()), "the first one went to make room");
    run(vec![b'w'; 25_000]).await;
    let told = world.user.told.lock().unwrap().join("\n");
    assert!(told.contains("`max_total_bytes`"), "{told}");
}

#[tokio::test]
async fn what_is_old_goes() {
    let world = World::with("keep_days = 0").await;
    world.prompt("go", &[("a", "x")]).await;
    let first = world.directory.path().join("home/checkpoints").join(world.session.id());
    assert!(first.exists());
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let second = world.agent.new_session(NewSession::new(world.path(""))).await.unwrap();
    *world.model.turns.lock().unwrap() = [("put", json!({ "path": "b", "text": "y" }))].into();
    world.agent.prompt(&second, Message::user("go")).await;
    assert!(!first.exists());
}

#[tokio::test]
async fn a_session_that_is_deleted_takes_its_contents_along_and_reading_makes_nothing() {
    let world = World::new().await;
    world.told("/undo").await;
    assert!(!world.directory.path().join("home").exists());
    world.prompt("go", &[("a", "x")]).await;
    let kept = world.directory.path().join("home/checkpoints").join(world.session.id());
    assert!(kept.exists());
    world.agent.delete_session(world.session.id()).await.unwrap();
    assert!(!kept.exists());
    world.agent.delete_session("../../project").await.unwrap();
    assert!(world.read("a").is_some(), "an id is no path");
}

#[tokio::test]
async fn bad_configuration_refuses_the_start() {
    for (line, wanted) in
        [("keep_days = -1", "plugins.checkpoints.keep_days"), ("max_file_byte = 3", "did you mean `max_file_bytes`?")]
    {
        let plugins = PluginManager::new();
        plugins.register(crow_plugin_checkpoints::plugin()).unwrap();
        let config = Config::from_toml("/home/me/.crow", &format!("[plugins.checkpoints]\n{line}\n")).unwrap();
        let error = Agent::new(config, plugins).await.unwrap_err().to_string();
        assert!(error.contains("config.toml:2: ") && error.contains(wanted), "{error}");
    }
}
