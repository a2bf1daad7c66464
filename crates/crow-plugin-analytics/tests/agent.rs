//! The plugin in a real agent, on a model that says what it used.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crow_acp::{
    Agent, BoxFuture, Client, ClientError, ClientInfo, Completion, Config, CrowHooks, Delta, Deltas, Dispatch, Finish,
    Limits, Message, Model, ModelId, NewSession, Permission, PluginManager, Provider, ProviderDescriptor,
    ProviderError, ProviderErrorKind, Question, Recovery, Request, Session, StopReason, ToolCall, ToolContext,
    ToolDescriptor, ToolError, ToolHandler, ToolOutcome, Update, Usage, hookimpls,
};
use crow_plugin_analytics::{Ledger, Query, Report, Since};
use serde_json::json;

/// What the model does with one request after the other; afterwards it says "ok".
#[derive(Debug, Clone, Copy)]
enum Step {
    Say(u64, u64),
    Call(&'static str),
    Fail(ProviderErrorKind),
    /// Says something and never ends.
    Hang,
    /// Says something, and not what it used.
    Untold,
}

#[derive(Clone, Default)]
struct Script(Arc<Mutex<Vec<Step>>>);

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
struct Editor(Mutex<Vec<Update>>);

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

struct Stage {
    agent: Agent,
    session: Session,
    script: Script,
    editor: Arc<Editor>,
    home: tempfile::TempDir,
}

impl Stage {
    async fn new(config: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let script = Script::default();
        let agent = agent(home.path(), config, &script).await;
        let editor = Arc::<Editor>::default();
        agent.connect(editor.clone());
        let session = agent.new_session(NewSession::new(home.path())).await.unwrap();
        session.set_model(&ModelId::new("test", "m")).await.unwrap();
        Self { agent, session, script, editor, home }
    }

    async fn prompt(&self, steps: &[Step]) -> crow_acp::RunOutcome {
        self.script.0.lock().unwrap().extend_from_slice(steps);
        self.agent.prompt(&self.session, Message::user("a planted prompt")).await
    }

    fn notices(&self) -> Vec<String> {
        let updates = self.editor.0.lock().unwrap();
        let notice =
            |update: &Update| if let Update::Notice(notice) = update { Some(notice.title.clone()) } else { None };
        updates.iter().filter_map(notice).collect()
    }

    fn said(&self) -> String {
        let updates = self.editor.0.lock().unwrap();
        let text = |update: &Update| match update {
            Update::AgentMessage { text, .. } => Some(text.clone()),
            _ => None,
        };
        updates.iter().filter_map(text).collect()
    }

    fn costs(&self) -> Vec<Option<f64>> {
        let updates = self.editor.0.lock().unwrap();
        let cost = |update: &Update| if let Update::Usage { cost, .. } = update { Some(*cost) } else { None };
        updates.iter().filter_map(cost).collect()
    }

    async fn report(self) -> (Report, tempfile::TempDir) {
        self.agent.shutdown().await;
        let ledger = Ledger::open(&self.home.path().join("analytics.db")).unwrap().unwrap();
        (ledger.report(&Query::default()).unwrap(), self.home)
    }
}

async fn agent(home: &Path, config: &str, script: &Script) -> Agent {
    let plugins = PluginManager::new();
    plugins.register(Dispatch).unwrap();
    plugins.register(Limits).unwrap();
    plugins.register(crow_plugin_analytics::plugin()).unwrap();
    plugins.register(World(script.clone())).unwrap();
    Agent::new(Config::from_toml(home, config).unwrap(), plugins).await.unwrap()
}

const PRICED: &str = "[plugins.analytics.prices]\n\"test/m\" = { input = 1000, cached_input = 500, output = 10000 }\n";

#[tokio::test]
async fn everything_that_happens_is_counted_exactly() {
    let stage = Stage::new(PRICED).await;
    let outcome = stage
        .prompt(&[
            Step::Call("good"),
            Step::Call("bad"),
            Step::Call("forbidden"),
            Step::Call("made_up"),
            Step::Fail(ProviderErrorKind::Overloaded),
            Step::Fail(ProviderErrorKind::Overloaded),
            Step::Say(200, 50),
        ])
        .await;
    assert_eq!(outcome.stop_reason, StopReason::EndTurn, "{outcome:?}");
    stage.prompt(&[Step::Fail(ProviderErrorKind::Server)]).await;
    let (report, _home) = stage.report().await;
    let total = &report.total;
    assert_eq!((total.runs, total.requests, total.failed, total.retries), (2, 8, 3, 2));
    assert_eq!((total.input_tokens, total.cached_input_tokens), (600, 100));
    assert_eq!((total.output_tokens, total.reasoning_tokens, total.estimated), (90, 10, 0));
    // 500 fresh, 100 cached, 90 written, in thousandths and hundredths of a dollar.
    assert!((total.cost.unwrap() - (0.5 + 0.05 + 0.9)).abs() < 1e-9, "{total:?}");
    assert_eq!((total.unpriced, total.tool_calls, total.tool_failures), (0, 4, 3));
    assert!(total.first_token_ms.is_some());
    let tools: Vec<(&str, u64, u64, u64)> =
        report.tools.iter().map(|tool| (tool.tool.as_str(), tool.completed, tool.failed, tool.denied)).collect();
    assert_eq!(tools, [("(unknown)", 0, 0, 1), ("bad", 0, 1, 0), ("forbidden", 0, 0, 1), ("good", 1, 0, 0)]);
    assert_eq!(
        report.ends.clone().into_iter().collect::<Vec<_>>(),
        [("end_turn".to_owned(), 1), ("error".to_owned(), 1)]
    );
    assert_eq!(report.errors["overloaded"], 2);
    assert_eq!(report.by_model[0].name, "test/m");
    assert_eq!(report.by_day.len(), 1);
    let world = report.plugins.iter().find(|plugin| plugin.plugin == "world").expect("its hooks were timed");
    assert!(world.calls > 0);
    let llm = report.hooks.iter().find(|hook| hook.plugin == "dispatch" && hook.hook == "call_llm").unwrap();
    assert!(llm.waits && llm.calls == 8 && llm.errors == 3, "{llm:?}");
}

#[tokio::test]
async fn nothing_that_was_said_is_in_the_file() {
    let stage = Stage::new("").await;
    stage.prompt(&[Step::Call("bad"), Step::Fail(ProviderErrorKind::Server)]).await;
    let (_, home) = stage.report().await;
    for name in ["analytics.db", "analytics.db-wal"] {
        let bytes = std::fs::read(home.path().join(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("planted"), "in {name}");
    }
}

#[tokio::test]
async fn the_client_is_told_the_cost_after_every_response() {
    let stage = Stage::new(PRICED).await;
    stage.prompt(&[Step::Say(100, 10), Step::Say(100, 10)]).await;
    stage.prompt(&[]).await;
    let (last, seen) = (stage.session.cost().unwrap(), stage.costs());
    assert!((last - (0.175 * 2.0)).abs() < 1e-9, "{last}");
    assert_eq!(seen.len(), 2);
    assert_eq!(seen.last().copied().flatten(), Some(last));
    let unknown = Stage::new("").await;
    unknown.prompt(&[]).await;
    assert_eq!(unknown.costs(), [None], "unknown is not zero");
}

#[tokio::test]
async fn cancelled_and_untold_requests_are_estimates() {
    let stage = Stage::new(PRICED).await;
    stage.prompt(&[Step::Untold]).await;
    stage.script.0.lock().unwrap().push(Step::Hang);
    let (agent, session) = (stage.agent.clone(), stage.session.clone());
    let run = tokio::spawn(async move { agent.prompt(&session, Message::user("hi")).await });
    while !stage.said().contains("never") {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    stage.session.cancel();
    assert_eq!(run.await.unwrap().stop_reason, StopReason::Cancelled);
    let (report, _home) = stage.report().await;
    assert_eq!((report.total.requests, report.total.estimated, report.total.failed), (2, 2, 1));
    assert_eq!(report.total.output_tokens, 3 + 3);
    assert!(report.total.input_tokens > 0 && report.total.cost.unwrap() > 0.0);
    assert_eq!(report.errors["cancelled"], 1);
    assert_eq!(report.ends["cancelled"], 1);
}

#[tokio::test]
async fn a_budget_of_the_run_stops_it_between_turns() {
    let stage = Stage::new("[plugins.analytics.budget]\nrun = { turns = 2 }\n").await;
    let outcome = stage.prompt(&[Step::Call("good"), Step::Call("good"), Step::Call("good")]).await;
    assert_eq!((outcome.stop_reason, outcome.turns), (StopReason::MaxTurnRequests, 3));
    let notices = stage.notices();
    let reason =
        "stopped: the budget of this run is used up: 2 turns of 2 turns (`plugins.analytics.budget.run.turns`)";
    assert!(notices.iter().any(|notice| notice == reason), "{notices:?}");
    let again = stage.prompt(&[Step::Call("good"), Step::Say(1, 1)]).await;
    assert_eq!(again.stop_reason, StopReason::MaxTurnRequests, "the two that were left over are a new run's");
    let (report, _home) = stage.report().await;
    assert_eq!(report.total.requests, 4);
}

#[tokio::test]
async fn a_budget_of_the_session_warns_then_refuses() {
    let config = format!("{PRICED}[plugins.analytics.budget]\nsession = {{ money = 0.4 }}\n");
    let stage = Stage::new(&config).await;
    // 0.175 each.
    for _ in 0..2 {
        let outcome = stage.prompt(&[Step::Say(100, 10)]).await;
        assert_eq!(outcome.stop_reason, StopReason::EndTurn);
    }
    let warnings =
        || stage.notices().iter().filter(|notice| notice.contains("87 % of the budget of this session")).count();
    assert_eq!(warnings(), 1, "{:?}", stage.notices());
    stage.prompt(&[Step::Say(100, 10)]).await;
    let messages = stage.session.messages().len();
    let refused = stage.prompt(&[]).await;
    assert_eq!(refused.stop_reason, StopReason::Refusal);
    let why = refused.error.unwrap().message;
    assert!(why.contains("the budget of this session is used up: $0.52 of $0.40"), "{why}");
    assert_eq!(stage.session.messages().len(), messages, "a refused prompt is not part of the conversation");
    assert_eq!(warnings(), 1);
    // Another session has its own, and the commands work all the same.
    stage.agent.prompt(&stage.session, Message::user("/cost")).await;
    assert!(stage.said().contains("| this session | $0.52 | $0.40 | $0.00 |"), "{}", stage.said());
}

#[tokio::test]
async fn a_budget_of_the_day_counts_every_process() {
    let config = "[plugins.analytics.budget]\nday = { tokens = 100 }\n";
    let stage = Stage::new(config).await;
    stage.prompt(&[Step::Say(90, 20)]).await;
    stage.agent.shutdown().await;
    let script = Script::default();
    let agent = agent(stage.home.path(), config, &script).await;
    let session = agent.new_session(NewSession::new(stage.home.path())).await.unwrap();
    session.set_model(&ModelId::new("test", "m")).await.unwrap();
    let outcome = agent.prompt(&session, Message::user("hi")).await;
    assert_eq!(outcome.stop_reason, StopReason::Refusal);
    assert!(outcome.error.unwrap().message.contains("110 tokens of 100 tokens"));
}

#[tokio::test]
async fn a_budget_that_cannot_be_told_is_held() {
    let stage = Stage::new("[plugins.analytics]\nbudget = { day = { turns = 5 } }\n").await;
    std::fs::write(stage.home.path().join("analytics.db"), "not a database, whatever it is called").unwrap();
    let outcome = stage.prompt(&[]).await;
    assert_eq!(outcome.stop_reason, StopReason::Refusal);
    assert!(outcome.error.unwrap().message.contains("what the budget has left cannot be told"));
}

#[tokio::test]
async fn a_money_budget_says_when_it_cannot_count() {
    let stage = Stage::new("[plugins.analytics.budget]\nrun = { money = 1 }\n").await;
    stage.prompt(&[]).await;
    stage.prompt(&[]).await;
    let told: Vec<String> =
        stage.notices().into_iter().filter(|notice| notice.contains("its price is not known")).collect();
    assert_eq!(told.len(), 1, "{told:?}");
}

#[tokio::test]
async fn hooks_are_not_watched_unless_wanted() {
    let stage = Stage::new("[plugins.analytics]\nhook_times = false\n").await;
    stage.prompt(&[]).await;
    let (report, _home) = stage.report().await;
    assert!(report.hooks.is_empty() && report.total.requests == 1);
}

#[tokio::test]
async fn an_agent_that_nobody_talks_to_writes_nothing() {
    let stage = Stage::new("").await;
    stage.agent.shutdown().await;
    assert!(!stage.home.path().join("analytics.db").exists());
    assert!(Ledger::open(&stage.home.path().join("analytics.db")).unwrap().is_none());
}

#[tokio::test]
async fn questions_narrow_a_report() {
    let stage = Stage::new("").await;
    stage.prompt(&[]).await;
    let (session, home) = (stage.session.id().to_owned(), stage.home.path().to_string_lossy().into_owned());
    stage.agent.shutdown().await;
    let ledger = Ledger::open(&stage.home.path().join("analytics.db")).unwrap().unwrap();
    let requests = |query: Query| ledger.report(&query).unwrap().total.requests;
    let query = Query::default;
    let mut own = query();
    own.session = Some(session);
    let mut other = query();
    other.session = Some("another".into());
    let mut here = query();
    here.project = Some(home);
    let mut later = query();
    later.since = Since::Day("2999-01-01".into());
    let mut today = query();
    today.since = Since::Days(1);
    assert_eq!([own, other, here, later, today].map(requests), [1, 0, 1, 0, 1]);
}
