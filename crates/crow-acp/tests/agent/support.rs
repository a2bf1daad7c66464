//! An agent with a scripted model, a tool, and a trace of every hook call.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crow_acp::crow_hooks::{HookError, HookSpec, Monitor};
use crow_acp::*;
use serde_json::json;

/// What the scripted model does for one request.
pub enum Turn {
    /// Streams these fragments and stops.
    Say(Vec<Delta>, Finish),
    /// Fails before the first fragment.
    Fail(ProviderErrorKind),
    /// Streams these and then fails.
    Break(Vec<Delta>),
    /// Streams these and then waits for ever.
    Hang(Vec<Delta>),
}

pub fn text(text: &str) -> Turn {
    Turn::Say(vec![Delta::text(text)], Finish::Stop)
}

pub fn calls(names: &[&str]) -> Turn {
    let calls: Vec<_> = names.iter().map(|name| (*name, "{}")).collect();
    calls_with(&calls)
}

pub fn calls_with(calls: &[(&str, &str)]) -> Turn {
    let deltas = calls.iter().enumerate();
    let deltas =
        deltas.map(|(at, (name, with))| Delta::tool_call(at, Some(format!("c{at}")), Some((*name).into()), *with));
    Turn::Say(deltas.collect(), Finish::ToolCalls)
}

#[derive(Clone)]
struct Model {
    turns: Arc<Mutex<VecDeque<Turn>>>,
    requests: Requests,
}

/// What the scripted model was asked.
pub type Requests = Arc<Mutex<Vec<Request>>>;

impl Provider for Model {
    fn stream<'a>(
        &'a self,
        request: &'a Request,
        deltas: &'a mut Deltas<'_>,
    ) -> BoxFuture<'a, Result<Completion, ProviderError>> {
        self.requests.lock().unwrap().push(request.clone());
        let turn = self.turns.lock().unwrap().pop_front().expect("the script has a turn for each request");
        Box::pin(async move {
            let (said, end) = match turn {
                Turn::Say(said, finish) => (said, Some(Ok(finish))),
                Turn::Fail(kind) => (Vec::new(), Some(Err(kind))),
                Turn::Break(said) => (said, Some(Err(ProviderErrorKind::Connection))),
                Turn::Hang(said) => (said, None),
            };
            for delta in said {
                let refused = |error: DeltaRefused| ProviderError::new(ProviderErrorKind::Protocol, error.to_string());
                deltas.push(delta).await.map_err(refused)?;
            }
            match end {
                Some(Ok(finish)) => Ok(Completion::new(finish, Some(Usage::new(10, 5)))),
                Some(Err(kind)) => Err(ProviderError::new(kind, "the model failed")),
                None => std::future::pending().await,
            }
        })
    }
}

struct Echo;

impl ToolHandler for Echo {
    fn call<'a>(&'a self, cx: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, Result<ToolOutcome, ToolError>> {
        Box::pin(async move {
            if call.name == "hang" {
                std::future::pending::<()>().await;
            }
            if call.name == "meet" {
                // Two calls meet here, or neither returns.
                let meeting = cx.session.get::<tokio::sync::Barrier>().expect("the test put it there");
                meeting.wait().await;
            }
            Ok(ToolOutcome::ok(format!("{} ran with {}", call.name, call.arguments)))
        })
    }
}

/// The scripted model, the tools `look` (read-only), `poke` and `hang`, and the command `/hello`.
pub struct Scripted(Model);

impl Scripted {
    pub fn new(turns: Vec<Turn>, requests: Requests) -> Self {
        Self(Model { turns: Arc::new(Mutex::new(turns.into())), requests })
    }
}

struct Hello;

impl CommandHandler for Hello {
    fn run<'a>(
        &'a self,
        _agent: &'a Agent,
        _session: &'a Session,
        _call: &'a CommandCall,
    ) -> BoxFuture<'a, Result<CommandReply, CommandError>> {
        Box::pin(async { Ok(CommandReply::Text("hello".into())) })
    }
}

#[hookimpls]
impl CrowHooks for Scripted {
    fn register_providers(&self) -> Vec<ProviderDescriptor> {
        vec![ProviderDescriptor::new("test", vec![Model_::new(ModelId::new("test", "scripted"))], self.0.clone())]
    }

    fn register_tools(&self) -> Vec<ToolDescriptor> {
        let schema = json!({ "type": "object" });
        vec![
            ToolDescriptor::new("look", "looks", schema.clone(), Echo).read_only(),
            ToolDescriptor::new("poke", "pokes", schema.clone(), Echo),
            ToolDescriptor::new("hang", "hangs", schema.clone(), Echo).read_only(),
            ToolDescriptor::new("meet", "meets", schema, Echo).read_only(),
        ]
    }

    fn register_commands(&self) -> Vec<Command> {
        vec![Command::new("hello", "says hello", Hello)]
    }

    fn request_permission(&self, call: &ToolCall) -> Option<Permission> {
        (call.name != "poke" || call.arguments.get("quietly").is_none()).then_some(Permission::Allow)
    }
}

use crow_acp::Model as Model_;

/// Every hook call in order; record_event with the kind of its event.
#[derive(Clone, Default)]
pub struct Trace(Arc<Mutex<Vec<String>>>);

impl Trace {
    /// What was traced since the last look, without the calls of hooks that fire for every update.
    pub fn take(&self) -> String {
        let lines = std::mem::take(&mut *self.0.lock().unwrap());
        lines.join("\n")
    }

    pub fn add(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }
}

impl Monitor for Trace {
    fn before_call(&self, hook: &'static HookSpec) {
        if !matches!(hook.name, "record_event" | "session_update") {
            self.add(hook.name);
        }
    }

    fn after_call(
        &self,
        _hook: &'static HookSpec,
        _outcome: Option<Result<(), &HookError>>,
        _took: std::time::Duration,
    ) {
    }
}

/// The log, as a store would keep it.
#[derive(Clone, Default)]
pub struct Log(pub Arc<Mutex<Vec<Event>>>);

#[hookimpls]
impl CrowHooks for Log {
    fn record_event(&self, event: &Event) {
        let mut events = self.0.lock().unwrap();
        events.retain(|other| other.seq != event.seq);
        events.push(event.clone());
        events.sort_by_key(|event| event.seq);
    }

    fn load_session(&self, session_id: &str) -> SessionRecord {
        let summary = SessionSummary::new(session_id, std::env::temp_dir(), 0);
        SessionRecord::new(summary, self.0.lock().unwrap().clone())
    }
}

#[hookimpls]
impl CrowHooks for Trace {
    fn record_event(&self, event: &Event) {
        let value = serde_json::to_value(&event.kind).unwrap();
        self.add(format!("record_event({})", value["type"].as_str().unwrap()));
    }
}

/// The client's side of it.
#[derive(Debug, Default)]
pub struct Screen(pub Mutex<Vec<Update>>);

impl Client for Screen {
    fn info(&self) -> ClientInfo {
        ClientInfo::new("test", "1")
    }

    fn send(&self, _session_id: &str, update: Update) {
        self.0.lock().unwrap().push(update);
    }

    fn ask<'a>(&'a self, _session: &'a Session, _question: Question) -> BoxFuture<'a, Result<String, AskError>> {
        Box::pin(async { Err(AskError::NoClient) })
    }
}

impl Screen {
    /// All notices.
    pub fn notices(&self) -> String {
        let updates = self.0.lock().unwrap();
        let notice =
            |update: &Update| if let Update::Notice(notice) = update { Some(notice.title.clone()) } else { None };
        updates.iter().filter_map(notice).collect::<Vec<_>>().join("\n")
    }

    /// All text the agent said.
    pub fn said(&self) -> String {
        let updates = self.0.lock().unwrap();
        updates
            .iter()
            .filter_map(
                |update| if let Update::AgentMessage { text, .. } = update { Some(text.as_str()) } else { None },
            )
            .collect()
    }
}

pub struct Fixture {
    pub agent: Agent,
    pub session: Session,
    pub trace: Trace,
    pub screen: Arc<Screen>,
    pub requests: Requests,
}

impl Fixture {
    /// An agent with a session, whose trace begins with the next call.
    pub async fn new(turns: Vec<Turn>) -> Self {
        Self::with(turns, |_| {}).await
    }

    pub async fn with(turns: Vec<Turn>, more: impl FnOnce(&PluginManager)) -> Self {
        let requests = Requests::default();
        let (agent, trace, screen) = agent_with(turns, requests.clone(), more).await;
        let session = agent.new_session(NewSession::new(std::env::temp_dir())).await.unwrap();
        session.set_model(&ModelId::new("test", "scripted")).await.unwrap();
        trace.take();
        Self { agent, session, trace, screen, requests }
    }

    pub async fn prompt(&self, text: &str) -> RunOutcome {
        self.agent.prompt(&self.session, Message::user(text)).await
    }
}

pub async fn agent(turns: Vec<Turn>) -> (Agent, Trace, Arc<Screen>) {
    agent_with(turns, Requests::default(), |_| {}).await
}

async fn agent_with(
    turns: Vec<Turn>,
    requests: Requests,
    more: impl FnOnce(&PluginManager),
) -> (Agent, Trace, Arc<Screen>) {
    let trace = Trace::default();
    let plugins = PluginManager::new();
    plugins.register(Dispatch).unwrap();
    plugins.register(Limits).unwrap();
    plugins.register(Scripted::new(turns, requests)).unwrap();
    plugins.register(trace.clone()).unwrap();
    more(&plugins);
    plugins.add_monitor(Arc::new(trace.clone()));
    let agent = Agent::new(Config::from_toml(std::env::temp_dir(), "").unwrap(), plugins).await.unwrap();
    let screen = Arc::new(Screen::default());
    agent.connect(screen.clone());
    (agent, trace, screen)
}
