//! The plugin in a real agent, on a model that refuses what does not fit its window.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use crow_acp::crow_hooks::{Next, Outcome};
use crow_acp::{
    Agent, BoxFuture, Compact, CompactPlan, CompactTrigger, Compaction, Completion, Config, ContextUse, CrowHooks,
    Delta, Deltas, Dispatch, Event, EventKind, Finish, Limits, Message, Model, ModelId, NewSession, Permission,
    PluginManager, Provider, ProviderDescriptor, ProviderError, ProviderErrorKind, Request, Role, Session, StopReason,
    ToolCall, ToolContext, ToolDescriptor, ToolError, ToolHandler, ToolOutcome, hookimpls,
};
use serde_json::json;

const WINDOW: u64 = 32_000;

/// Calls a tool so many times, then says it is done. Checks each request as a strict provider would.
#[derive(Clone)]
struct Strict {
    rounds: u32,
    /// Whether the registry knows the window.
    known: bool,
    asked: Arc<AtomicU32>,
    summaries: Arc<Mutex<Vec<Request>>>,
    /// What it says when it is to sum up.
    summary: String,
    largest: Arc<Mutex<u64>>,
}

impl Strict {
    fn new(rounds: u32, known: bool) -> Self {
        let summary = "## Goal\ncount the files".to_owned();
        Self { rounds, known, asked: Arc::default(), summaries: Arc::default(), summary, largest: Arc::default() }
    }
}

fn tokens(request: &Request) -> u64 {
    request.messages.iter().map(Message::estimated_tokens).sum::<u64>() + request.system.text().len() as u64 / 4
}

fn check(request: &Request) -> Result<(), ProviderError> {
    let refuse = |kind, text: &str| Err(ProviderError::new(kind, text));
    if tokens(request) > WINDOW {
        return refuse(ProviderErrorKind::ContextOverflow, "too long");
    }
    if request.messages.first().is_none_or(|message| message.role != Role::User) {
        return refuse(ProviderErrorKind::BadRequest, "must begin with the user");
    }
    let mut open: Vec<&str> = Vec::new();
    for message in &request.messages {
        match message.tool_call_id() {
            Some(id) => match open.iter().position(|call| *call == id) {
                Some(at) => drop(open.remove(at)),
                None => return refuse(ProviderErrorKind::BadRequest, "a result without its call"),
            },
            None if !open.is_empty() => return refuse(ProviderErrorKind::BadRequest, "a call without its result"),
            None => open.extend(message.tool_calls().map(|call| call.id.as_str())),
        }
    }
    Ok(())
}

impl Provider for Strict {
    fn stream<'a>(
        &'a self,
        request: &'a Request,
        deltas: &'a mut Deltas<'_>,
    ) -> BoxFuture<'a, Result<Completion, ProviderError>> {
        Box::pin(async move {
            check(request)?;
            let refused =
                |error: crow_acp::DeltaRefused| ProviderError::new(ProviderErrorKind::Protocol, error.to_string());
            if request.tools.is_empty() {
                self.summaries.lock().unwrap().push(request.clone());
                deltas.push(Delta::text(&self.summary)).await.map_err(refused)?;
                return Ok(Completion::new(Finish::Stop, None));
            }
            let mut largest = self.largest.lock().unwrap().max(tokens(request));
            std::mem::swap(&mut *self.largest.lock().unwrap(), &mut largest);
            let asked = self.asked.fetch_add(1, Ordering::Relaxed);
            if asked < self.rounds {
                let call = Delta::tool_call(0, Some(format!("c{asked}")), Some("read".into()), "{}");
                deltas.push(call).await.map_err(refused)?;
                return Ok(Completion::new(Finish::ToolCalls, None));
            }
            deltas.push(Delta::text("done")).await.map_err(refused)?;
            Ok(Completion::new(Finish::Stop, None))
        })
    }
}

struct File;

impl ToolHandler for File {
    fn call<'a>(&'a self, _cx: &'a ToolContext, _call: &'a ToolCall) -> BoxFuture<'a, Result<ToolOutcome, ToolError>> {
        Box::pin(async { Ok(ToolOutcome::ok("line of a file\n".repeat(200))) })
    }
}

struct World(Strict, Arc<Mutex<Vec<Event>>>);

#[hookimpls]
impl CrowHooks for World {
    fn register_providers(&self) -> Vec<ProviderDescriptor> {
        let mut model = Model::new(ModelId::new("test", "strict"));
        model.context_window = self.0.known.then_some(WINDOW);
        let cheap = Model::new(ModelId::new("test", "cheap"));
        vec![ProviderDescriptor::new("test", vec![model, cheap], self.0.clone())]
    }

    fn register_tools(&self) -> Vec<ToolDescriptor> {
        vec![ToolDescriptor::new("read", "reads", json!({ "type": "object" }), File).read_only()]
    }

    fn request_permission(&self) -> Permission {
        Permission::Allow
    }

    fn record_event(&self, event: &Event) {
        self.1.lock().unwrap().push(event.clone());
    }
}

async fn world(model: &Strict, config: &str) -> (Agent, Session, Arc<Mutex<Vec<Event>>>) {
    let log = Arc::<Mutex<Vec<Event>>>::default();
    let plugins = PluginManager::new();
    plugins.register(Dispatch).unwrap();
    plugins.register(Limits).unwrap();
    plugins.register(crow_plugin_compaction::plugin()).unwrap();
    plugins.register(crow_plugin_retry::plugin()).unwrap();
    plugins.register(World(model.clone(), log.clone())).unwrap();
    let config = format!("max_turns = 1000\n{config}");
    let agent = Agent::new(Config::from_toml(std::env::temp_dir(), &config).unwrap(), plugins).await.unwrap();
    let session = agent.new_session(NewSession::new(std::env::temp_dir())).await.unwrap();
    session.set_model(&ModelId::new("test", "strict")).await.unwrap();
    (agent, session, log)
}

fn compactions(log: &Mutex<Vec<Event>>) -> usize {
    log.lock().unwrap().iter().filter(|event| matches!(event.kind, EventKind::Compacted { .. })).count()
}

#[tokio::test]
async fn three_hundred_calls_in_one_prompt_fit_a_small_window() {
    let model = Strict::new(300, true);
    let (agent, session, log) = world(&model, "").await;
    let outcome = agent.prompt(&session, Message::user("count the files")).await;
    assert_eq!(outcome.stop_reason, StopReason::EndTurn, "{outcome:?}");
    assert!(outcome.error.is_none(), "{outcome:?}");
    assert_eq!(outcome.turns, 301);
    assert!(compactions(&log) > 3);
    let log = log.lock().unwrap();
    let tools = log.iter().filter(|event| matches!(event.kind, EventKind::Tool(_))).count();
    assert_eq!(tools, 300, "the log keeps all of it");
    assert!(session.messages()[0].text().contains("count the files"), "the user's words stay");
}

#[tokio::test]
async fn an_overflow_of_an_unknown_window_is_compacted_and_asked_again() {
    let model = Strict::new(120, false);
    let (agent, session, log) = world(&model, "").await;
    let outcome = agent.prompt(&session, Message::user("count the files")).await;
    assert_eq!(outcome.stop_reason, StopReason::EndTurn, "{outcome:?}");
    assert!(outcome.error.is_none(), "{outcome:?}");
    assert!(compactions(&log) > 0);
}

#[tokio::test]
async fn a_summary_request_carries_no_tools_and_leaves_the_sessions_parameters_alone() {
    let model = Strict::new(12, true);
    let (agent, session, log) = world(&model, "[plugins.compaction]\nkeep_tokens = 2000").await;
    agent.prompt(&session, Message::user("count the files")).await;
    let outcome = agent.prompt(&session, Message::user("/compact the file names")).await;
    assert_eq!(outcome.stop_reason, StopReason::EndTurn);
    assert_eq!(compactions(&log), 1);
    let before = session.messages();
    assert!(before[0].text().contains("## Goal\ncount the files"));
    {
        let summaries = model.summaries.lock().unwrap();
        assert!(summaries[0].tools.is_empty());
        assert_eq!(summaries[0].parameters.max_output_tokens, Some(4_000));
        assert!(summaries[0].messages[0].text().contains("Keep above all: the file names"));
    }
    agent.prompt(&session, Message::user("go on")).await;
    agent.prompt(&session, Message::user("/compact")).await;
    let summaries = model.summaries.lock().unwrap();
    assert!(summaries[1].messages[0].text().contains("# Notes from before"), "the previous summary is fed in");
}

struct Veto;

#[hookimpls]
impl CrowHooks for Veto {
    fn compact(&self) -> Result<Option<Compaction>, String> {
        Err("not now".into())
    }
}

#[tokio::test]
async fn another_plugin_may_veto() {
    let model = Strict::new(12, true);
    let (agent, session, log) = world(&model, "").await;
    agent.plugins().register(Veto).unwrap();
    agent.prompt(&session, Message::user("count the files")).await;
    let outcome = agent.prompt(&session, Message::user("/compact")).await;
    assert_eq!(outcome.stop_reason, StopReason::Refusal);
    assert_eq!(compactions(&log), 0);
}

#[tokio::test]
async fn a_summary_that_is_none_or_too_long_is_not_taken() {
    for summary in ["", &"a very long story ".repeat(5_000)] {
        let model = Strict { summary: summary.to_owned(), ..Strict::new(12, true) };
        let (agent, session, log) = world(&model, "[plugins.compaction]\nkeep_tokens = 2000").await;
        agent.prompt(&session, Message::user("count the files")).await;
        let before = size(&session);
        let outcome = agent.prompt(&session, Message::user("/compact")).await;
        assert_eq!(outcome.stop_reason, StopReason::EndTurn, "{outcome:?}");
        assert_eq!(compactions(&log), 1);
        assert!(size(&session) < before, "it never grows");
        let first = session.messages()[0].text();
        assert!(!first.contains("a very long story") && first.contains("count the files"), "{first}");
    }
}

fn size(session: &Session) -> u64 {
    session.messages().iter().map(Message::estimated_tokens).sum()
}

#[tokio::test]
async fn another_model_may_write_the_summary() {
    let model = Strict::new(12, true);
    let (agent, session, log) = world(&model, "[plugins.compaction]\nkeep_tokens = 2000\nmodel = \"test/cheap\"").await;
    agent.prompt(&session, Message::user("count the files")).await;
    agent.prompt(&session, Message::user("/compact")).await;
    assert_eq!(compactions(&log), 1);
    assert_eq!(model.summaries.lock().unwrap()[0].model.id, ModelId::new("test", "cheap"));
    assert_eq!(session.model(), Some(ModelId::new("test", "strict")), "the session keeps its own");
}

struct Replaces;

#[hookimpls]
impl CrowHooks for Replaces {
    fn compact(&self, plan: &CompactPlan) -> Option<Compaction> {
        Some(Compaction::new(plan.messages[..1].to_vec(), "the beginning is enough"))
    }
}

#[tokio::test]
async fn another_plugin_may_do_it_its_own_way() {
    let model = Strict::new(12, true);
    let (agent, session, log) = world(&model, "").await;
    agent.plugins().register(Replaces).unwrap();
    agent.prompt(&session, Message::user("count the files")).await;
    agent.prompt(&session, Message::user("/compact")).await;
    assert_eq!(compactions(&log), 1);
    let texts: Vec<String> = session.messages().iter().map(Message::text).collect();
    assert_eq!(texts, ["count the files"]);
    assert!(model.summaries.lock().unwrap().is_empty(), "nobody else was asked");
}

/// Says when, and adds to what comes of it.
struct Steers;

#[hookimpls]
impl CrowHooks for Steers {
    fn should_compact(&self, context: &ContextUse) -> Option<CompactTrigger> {
        (context.used > 4_000).then_some(CompactTrigger::Threshold)
    }

    #[hookimpl(wrapper)]
    async fn compact(&self, mut next: Next<'_, Compact>) -> Outcome<Compact> {
        let mut compaction = next.run().await?;
        if let Some(compaction) = &mut compaction {
            compaction.messages.insert(0, Message::user("never touch main.rs"));
        }
        Ok(compaction)
    }
}

#[tokio::test]
async fn another_plugin_may_say_when_and_what_stays() {
    let model = Strict::new(12, true);
    let (agent, session, log) = world(&model, "[plugins.compaction]\nkeep_tokens = 1000\ntarget = 0.1").await;
    agent.plugins().register(Steers).unwrap();
    let outcome = agent.prompt(&session, Message::user("count the files")).await;
    assert!(outcome.error.is_none(), "{outcome:?}");
    assert!(compactions(&log) > 0, "long before the window is full");
    assert_eq!(session.messages()[0].text(), "never touch main.rs");
}
