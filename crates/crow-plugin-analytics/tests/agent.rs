//! The plugin in a real agent, on a model that says what it used.

mod common;

use std::time::Duration;

use common::{Script, Stage, Step, agent};
use crow_acp::{Message, ModelId, NewSession, ProviderErrorKind, StopReason};
use crow_plugin_analytics::{Ledger, Query, Since};

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

#[cfg(not(feature = "otel"))]
#[tokio::test]
async fn an_export_that_was_not_built_in_is_not_passed_over_in_silence() {
    let config = "[plugins.analytics.otel]\nendpoint = \"http://127.0.0.1:4318\"\n";
    let plugins = crow_acp::PluginManager::new();
    plugins.register(crow_plugin_analytics::plugin()).unwrap();
    let config = crow_acp::Config::from_toml("/home/ada/.crow", config).unwrap();
    let error = crow_acp::Agent::new(config, plugins).await.unwrap_err();
    assert!(error.message.contains("without OpenTelemetry"), "{}", error.message);
}
