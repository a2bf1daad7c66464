//! A real agent with a scripted model, tools that note what they were called with, and a user who hears notices.

use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crow_acp::*;
use serde_json::{Value, json};

type Shared<T> = Arc<Mutex<T>>;

/// What the model does for one request: calls a tool, or says something.
pub(crate) enum Does {
    Call(&'static str, Value),
    Say(&'static str),
}

#[derive(Clone, Default)]
pub(crate) struct Scripted {
    pub(crate) turns: Shared<VecDeque<Does>>,
    pub(crate) requests: Shared<Vec<Request>>,
    pub(crate) called: Shared<Vec<(String, Value)>>,
}

impl Provider for Scripted {
    fn stream<'a>(
        &'a self,
        request: &'a Request,
        deltas: &'a mut Deltas<'_>,
    ) -> BoxFuture<'a, Result<Completion, ProviderError>> {
        let number = {
            let mut requests = self.requests.lock().unwrap();
            requests.push(request.clone());
            requests.len()
        };
        let turn = self.turns.lock().unwrap().pop_front().unwrap_or(Does::Say("done"));
        Box::pin(async move {
            let (delta, finish) = match turn {
                Does::Say(text) => (Delta::text(text), Finish::Stop),
                Does::Call(name, arguments) => {
                    let id = Some(format!("c{number}"));
                    (Delta::tool_call(0, id, Some(name.into()), arguments.to_string()), Finish::ToolCalls)
                }
            };
            deltas.push(delta).await.unwrap();
            Ok(Completion::new(finish, Some(Usage::new(10, 5))))
        })
    }
}

impl ToolHandler for Scripted {
    fn preview<'a>(&'a self, cx: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, ToolPreview> {
        Box::pin(async move {
            let preview = ToolPreview::new(call.name.clone());
            match (call.arguments["command"].as_str(), call.arguments["path"].as_str()) {
                (Some(command), _) => preview.access(Access::Execute { command: command.into() }),
                (_, Some(path)) => preview.access(Access::Write { path: cx.session.cwd().join(path) }),
                _ => preview,
            }
        })
    }

    fn call<'a>(&'a self, _: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, Result<ToolOutcome, ToolError>> {
        self.called.lock().unwrap().push((call.name.clone(), call.arguments.clone()));
        Box::pin(async { Ok(ToolOutcome::ok("it ran")) })
    }
}

#[hookimpls]
impl CrowHooks for Scripted {
    fn register_providers(&self) -> Vec<ProviderDescriptor> {
        vec![ProviderDescriptor::new("test", vec![], self.clone())]
    }

    fn register_tools(&self) -> Vec<ToolDescriptor> {
        let schema = json!({ "type": "object" });
        ["terminal", "edit"].map(|name| ToolDescriptor::new(name, "", schema.clone(), self.clone())).into()
    }

    #[hookimpl(trylast)]
    fn request_permission(&self) -> Permission {
        Permission::Deny { reason: "the user was not asked".into() }
    }

    fn compact(&self) -> Compaction {
        Compaction::new(vec![Message::user("short")], "short")
    }
}

/// Hears what the user is told and answers what they are asked.
#[derive(Debug, Default)]
pub(crate) struct User {
    pub(crate) told: Mutex<Vec<String>>,
    pub(crate) asked: Mutex<Vec<String>>,
    pub(crate) answer: Mutex<&'static str>,
}

impl Client for User {
    fn info(&self) -> ClientInfo {
        ClientInfo::new("test", "1")
    }

    fn send(&self, _session_id: &str, update: Update) {
        if let Update::Notice(notice) = update {
            self.told.lock().unwrap().push(notice.title);
        }
    }

    fn ask<'a>(&'a self, _: &'a Session, question: Question) -> BoxFuture<'a, Result<String, AskError>> {
        self.asked.lock().unwrap().push(question.title);
        Box::pin(async { Ok((*self.answer.lock().unwrap()).to_owned()) })
    }
}

pub(crate) struct World {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) agent: Agent,
    pub(crate) user: Arc<User>,
    pub(crate) model: Scripted,
}

impl World {
    /// The user's hooks, by event: each a matcher and a command.
    pub(crate) async fn new(hooks: &[(&str, &str, &str)]) -> Self {
        Self::with("", hooks).await
    }

    pub(crate) async fn with(config: &str, hooks: &[(&str, &str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for part in ["home", "project/.git", "project/.crow", "project/.claude"] {
            fs::create_dir_all(directory.path().join(part)).unwrap();
        }
        if !hooks.is_empty() {
            fs::write(directory.path().join("home/hooks.json"), file(hooks)).unwrap();
        }
        let plugins = PluginManager::new();
        let model = Scripted::default();
        plugins.register(Dispatch).unwrap();
        plugins.register(model.clone()).unwrap();
        plugins.register(crow_plugin_command_hooks::plugin()).unwrap();
        let config = format!("model = 'test/m'\n[plugins.command-hooks]\n{config}");
        let config = Config::from_toml(directory.path().join("home"), &config).unwrap();
        let agent = Agent::new(config, plugins).await.unwrap();
        let user = Arc::new(User::default());
        agent.connect(user.clone());
        Self { directory, agent, user, model }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub(crate) fn told(&self) -> String {
        std::mem::take(&mut *self.user.told.lock().unwrap()).join("\n")
    }

    pub(crate) fn called(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut *self.model.called.lock().unwrap())
    }

    pub(crate) async fn session(&self) -> Session {
        self.agent.new_session(NewSession::new(self.path("project"))).await.unwrap()
    }

    pub(crate) async fn run(&self, session: &Session, turns: Vec<Does>) -> RunOutcome {
        *self.model.turns.lock().unwrap() = turns.into();
        self.agent.prompt(session, Message::user("hi")).await
    }

    /// One call of a tool in a new session, and what the model read of it.
    pub(crate) async fn call(&self, tool: &'static str, arguments: Value) -> String {
        let session = self.session().await;
        self.run(&session, vec![Does::Call(tool, arguments), Does::Say("done")]).await;
        last_result(&session)
    }
}

pub(crate) fn last_result(session: &Session) -> String {
    let text = |part: &Part| if let Part::ToolResult(result) = part { Some(result.text.clone()) } else { None };
    session
        .messages()
        .iter()
        .flat_map(|message| message.parts().iter().filter_map(text).collect::<Vec<_>>())
        .next_back()
        .unwrap_or_default()
}

/// A `hooks.json`.
pub(crate) fn file(hooks: &[(&str, &str, &str)]) -> String {
    let mut events = serde_json::Map::new();
    for (event, matcher, command) in hooks {
        let group = json!({ "matcher": matcher, "hooks": [{ "type": "command", "command": command, "timeout": 20 }] });
        let groups = events.entry((*event).to_owned()).or_insert_with(|| json!([]));
        groups.as_array_mut().unwrap().push(group);
    }
    json!({ "hooks": events }).to_string()
}

/// A `PreToolUse` command that says this about a call.
pub(crate) fn says(decision: Value) -> String {
    let output = json!({ "hookSpecificOutput": decision }).to_string();
    format!("echo '{output}'")
}
