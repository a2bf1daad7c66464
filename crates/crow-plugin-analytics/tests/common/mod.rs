//! An agent with the plugin, a scripted model, tools that work and tools that do not.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test program uses its part of it")]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crow_acp::{
    Agent, BoxFuture, Client, ClientError, ClientInfo, Completion, Config, CrowHooks, Delta, Deltas, Dispatch, Finish,
    Limits, Message, Model, ModelId, NewSession, Permission, PluginManager, Provider, ProviderDescriptor,
    ProviderError, ProviderErrorKind, Question, Recovery, Request, Session, ToolCall, ToolContext, ToolDescriptor,
    ToolError, ToolHandler, ToolOutcome, Update, Usage, hookimpls,
};
use crow_plugin_analytics::{Ledger, Query, Report};
use serde_json::json;

/// What the model does with one request after the other; afterwards it says "ok".
#[derive(Debug, Clone, Copy)]
pub enum Step {
    Say(u64, u64),
    Call(&'static str),
    Fail(ProviderErrorKind),
    /// Says something and never ends.
    Hang,
    /// Says something, and not what it used.
    Untold,
}

#[derive(Clone, Default)]
pub struct Script(pub Arc<Mutex<Vec<Step>>>);

impl Provider for Script {
    fn stream<'a>(
        &'a self,
        _request: &'a Request,
        deltas: &'a mut Deltas<'_>,
    ) -> BoxFuture<'a, Result<Completion, ProviderError>> {
        let step = {
            let mut steps = self.0.lock().unwrap();
            if steps.is_empty() { Step::Say(10, 5) } else { steps.remove(0) }
        };
        Box::pin(async move {
            let refused = |error: crow_acp::DeltaRefused| ProviderError::new(ProviderErrorKind::Protocol, error.0);
            match step {
                Step::Say(input, output) => {
                    deltas.push(Delta::text("ok")).await.map_err(refused)?;
                    let mut usage = Usage::new(input, output);
                    usage.cached_input_tokens = input / 2;
                    usage.reasoning_tokens = output / 5;
                    Ok(Completion::new(Finish::Stop, Some(usage)))
                }
                Step::Call(tool) => {
                    let call = Delta::tool_call(0, Some("c".into()), Some(tool.into()), "{}");
                    deltas.push(call).await.map_err(refused)?;
                    Ok(Completion::new(Finish::ToolCalls, Some(Usage::new(100, 10))))
                }
                Step::Fail(kind) => Err(ProviderError::new(kind, "sk-planted-secret")),
                Step::Hang => {
                    deltas.push(Delta::text("I will never")).await.map_err(refused)?;
                    std::future::pending().await
                }
                Step::Untold => {
                    deltas.push(Delta::text("twelve chars")).await.map_err(refused)?;
                    Ok(Completion::new(Finish::Stop, None))
                }
            }
        })
    }
}

struct Tool(bool);

impl ToolHandler for Tool {
    fn call<'a>(&'a self, _cx: &'a ToolContext, _call: &'a ToolCall) -> BoxFuture<'a, Result<ToolOutcome, ToolError>> {
        Box::pin(async {
            if self.0 { Ok(ToolOutcome::ok("fine")) } else { Err(ToolError::new("planted in an error")) }
        })
    }
}

struct World(Script);

#[hookimpls]
impl CrowHooks for World {
    fn register_providers(&self) -> Vec<ProviderDescriptor> {
        let model = Model::new(ModelId::new("test", "m"));
        vec![ProviderDescriptor::new("test", vec![model], self.0.clone())]
    }

    fn register_tools(&self) -> Vec<ToolDescriptor> {
        let tool = |name: &str, works| ToolDescriptor::new(name, "a tool", json!({ "type": "object" }), Tool(works));
        vec![tool("good", true).read_only(), tool("bad", false).read_only(), tool("forbidden", true)]
    }

    fn request_permission(&self, call: &ToolCall) -> Permission {
        if call.name == "forbidden" { Permission::Deny { reason: "no".into() } } else { Permission::Allow }
    }

    fn on_llm_error(&self, error: &ProviderError, attempt: u32) -> Recovery {
        if error.kind == ProviderErrorKind::Overloaded && attempt < 3 {
            return Recovery::Retry { after: Duration::ZERO, notice: "again".into() };
        }
        Recovery::Fail
    }
}

/// Somebody at the other end who keeps what they are told.
#[derive(Debug, Default)]
pub struct Editor(pub Mutex<Vec<Update>>);

impl Client for Editor {
    fn info(&self) -> ClientInfo {
        ClientInfo::default()
    }
    fn send(&self, _session: &str, update: Update) {
        self.0.lock().unwrap().push(update);
    }
    fn room(&self) -> Option<BoxFuture<'_, ()>> {
        None
    }
    fn ask<'a>(&'a self, _: &'a Session, _: Question) -> BoxFuture<'a, Result<String, crow_acp::AskError>> {
        Box::pin(async { Err(crow_acp::AskError::NoClient) })
    }
    fn read_text_file<'a>(&'a self, _: &'a Session, _: &'a Path) -> BoxFuture<'a, Result<String, ClientError>> {
        unreachable!("the client offers no files")
    }
    fn write_text_file<'a>(
        &'a self,
        _: &'a Session,
        _: &'a Path,
        _: &'a str,
    ) -> BoxFuture<'a, Result<(), ClientError>> {
        unreachable!("the client offers no files")
    }
}

pub struct Stage {
    pub agent: Agent,
    pub session: Session,
    pub script: Script,
    pub editor: Arc<Editor>,
    pub home: tempfile::TempDir,
}

impl Stage {
    pub async fn new(config: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let script = Script::default();
        let agent = agent(home.path(), config, &script).await;
        let editor = Arc::<Editor>::default();
        agent.connect(editor.clone());
        let session = agent.new_session(NewSession::new(home.path())).await.unwrap();
        session.set_model(&ModelId::new("test", "m")).await.unwrap();
        Self { agent, session, script, editor, home }
    }

    pub async fn prompt(&self, steps: &[Step]) -> crow_acp::RunOutcome {
        self.script.0.lock().unwrap().extend_from_slice(steps);
        self.agent.prompt(&self.session, Message::user("a planted prompt")).await
    }

    pub fn notices(&self) -> Vec<String> {
        let updates = self.editor.0.lock().unwrap();
        let notice =
            |update: &Update| if let Update::Notice(notice) = update { Some(notice.title.clone()) } else { None };
        updates.iter().filter_map(notice).collect()
    }

    pub fn said(&self) -> String {
        let updates = self.editor.0.lock().unwrap();
        let text = |update: &Update| match update {
            Update::AgentMessage { text, .. } => Some(text.clone()),
            _ => None,
        };
        updates.iter().filter_map(text).collect()
    }

    pub fn costs(&self) -> Vec<Option<f64>> {
        let updates = self.editor.0.lock().unwrap();
        let cost = |update: &Update| if let Update::Usage { cost, .. } = update { Some(*cost) } else { None };
        updates.iter().filter_map(cost).collect()
    }

    pub async fn report(self) -> (Report, tempfile::TempDir) {
        self.agent.shutdown().await;
        let ledger = Ledger::open(&self.home.path().join("analytics.db")).unwrap().unwrap();
        (ledger.report(&Query::default()).unwrap(), self.home)
    }
}

pub async fn agent(home: &Path, config: &str, script: &Script) -> Agent {
    let plugins = PluginManager::new();
    plugins.register(Dispatch).unwrap();
    plugins.register(Limits).unwrap();
    plugins.register(crow_plugin_analytics::plugin()).unwrap();
    plugins.register(World(script.clone())).unwrap();
    Agent::new(Config::from_toml(home, config).unwrap(), plugins).await.unwrap()
}
