//! The call order of a run is a contract: what hooks.md of the design says, hook by hook.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{self, Fixture, Turn, agent, calls, text};
use crow_acp::*;
use expect_test::{Expect, expect};

fn check(trace: &support::Trace, expected: Expect) {
    expected.assert_eq(&trace.take());
}

#[tokio::test]
async fn start() {
    let (agent, trace, _) = agent(vec![]).await;
    agent.startup().await;
    agent.startup().await;
    check(
        &trace,
        expect![[r#"
        configure
        on_startup
        register_providers"#]],
    );
}

#[tokio::test]
async fn session() {
    let (agent, trace, _) = agent(vec![]).await;
    agent.startup().await;
    trace.take();
    agent.new_session(NewSession::new(std::env::temp_dir())).await.unwrap();
    check(
        &trace,
        expect![[r#"
        on_session_start
        register_tools
        register_commands
        register_modes
        register_config_options"#]],
    );
    let lost = agent.load_session("nobody", NewSession::new(std::env::temp_dir()), Origin::Loaded).await;
    assert!(matches!(lost, Err(SessionError::NotFound(_))), "{lost:?}");
    check(&trace, expect!["load_session"]);
}

#[tokio::test]
async fn text_only() {
    let fixture = Fixture::new(vec![text("hi")]).await;
    let outcome = fixture.prompt("hello").await;
    assert_eq!(outcome.stop_reason, StopReason::EndTurn);
    check(
        &fixture.trace,
        expect![[r#"
        before_prompt
        record_event(user)
        before_run
        before_turn
        should_compact
        system_prompt
        select_model
        prepare_request
        before_llm_request
        guard_request
        call_llm
        after_llm_response
        record_event(settings)
        record_event(assistant)
        after_turn
        before_stop
        after_run"#]],
    );
    assert_eq!(fixture.screen.said(), "hi");
}

#[tokio::test]
async fn two_tools() {
    let fixture = Fixture::new(vec![calls(&["look", "poke"]), text("done")]).await;
    fixture.prompt("first").await;
    check(
        &fixture.trace,
        expect![[r#"
        before_prompt
        record_event(user)
        before_run
        before_turn
        should_compact
        system_prompt
        select_model
        prepare_request
        before_llm_request
        guard_request
        call_llm
        after_llm_response
        record_event(settings)
        record_event(assistant)
        before_tool_call
        request_permission
        guard_tool_call
        before_tool_call
        request_permission
        guard_tool_call
        call_tool
        after_tool_call
        record_event(tool)
        call_tool
        after_tool_call
        record_event(tool)
        after_turn
        before_turn
        should_compact
        system_prompt
        select_model
        prepare_request
        before_llm_request
        guard_request
        call_llm
        after_llm_response
        record_event(assistant)
        after_turn
        before_stop
        after_run"#]],
    );
    let roles: Vec<Role> = fixture.session.messages().iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::Tool, Role::Tool, Role::Assistant]);
}

struct Refuse(&'static str);

#[hookimpls]
impl CrowHooks for Refuse {
    #[hookimpl(tryfirst)]
    fn before_prompt(&self) -> Result<(), String> {
        if self.0 == "before_prompt" { Err("not this one".into()) } else { Ok(()) }
    }

    #[hookimpl(tryfirst)]
    fn before_run(&self) -> Result<(), String> {
        if self.0 == "before_run" { Err("not this one".into()) } else { Ok(()) }
    }
}

#[tokio::test]
async fn refused_by_before_prompt() {
    let fixture = Fixture::with(vec![], |plugins| drop(plugins.register(Refuse("before_prompt")).unwrap())).await;
    let outcome = fixture.prompt("secret").await;
    assert_eq!(outcome.stop_reason, StopReason::Refusal);
    check(
        &fixture.trace,
        expect![[r#"
        before_prompt
        on_error"#]],
    );
    assert!(fixture.screen.said().contains("not this one"));
    assert!(fixture.session.messages().is_empty());
}

#[tokio::test]
async fn refused_later() {
    let fixture = Fixture::with(vec![], |plugins| drop(plugins.register(Refuse("before_run")).unwrap())).await;
    let outcome = fixture.prompt("secret").await;
    assert_eq!(outcome.stop_reason, StopReason::Refusal);
    check(
        &fixture.trace,
        expect![[r#"
        before_prompt
        record_event(user)
        before_run
        on_error
        record_event(settings)
        record_event(refused)
        after_run"#]],
    );
    assert!(fixture.session.messages().is_empty(), "the refused prompt never reaches the model");
}

#[tokio::test]
async fn error() {
    let fixture = Fixture::new(vec![Turn::Fail(ProviderErrorKind::Authentication)]).await;
    let outcome = fixture.prompt("hello").await;
    assert_eq!(outcome.error.unwrap().message, "the model failed");
    check(
        &fixture.trace,
        expect![[r#"
        before_prompt
        record_event(user)
        before_run
        before_turn
        should_compact
        system_prompt
        select_model
        prepare_request
        before_llm_request
        guard_request
        call_llm
        on_llm_error
        on_error
        record_event(settings)
        record_event(error)
        after_run"#]],
    );
}

#[tokio::test]
async fn a_stream_that_breaks_is_not_asked_again_and_stays() {
    let fixture = Fixture::new(vec![Turn::Break(vec![Delta::text("half an ans")])]).await;
    let outcome = fixture.prompt("hello").await;
    assert!(outcome.error.is_some());
    check(
        &fixture.trace,
        expect![[r#"
        before_prompt
        record_event(user)
        before_run
        before_turn
        should_compact
        system_prompt
        select_model
        prepare_request
        before_llm_request
        guard_request
        call_llm
        on_error
        record_event(settings)
        record_event(assistant)
        record_event(error)
        after_run"#]],
    );
    assert_eq!(fixture.session.messages()[1].text(), "half an ans");
}

struct Again;

#[hookimpls]
impl CrowHooks for Again {
    fn on_llm_error(&self, attempt: u32) -> Option<Recovery> {
        (attempt < 3).then(|| Recovery::Retry { after: Duration::ZERO, notice: format!("retrying {attempt}/2") })
    }
}

#[tokio::test]
async fn a_retry_goes_on_from_guard_request() {
    let turns = vec![Turn::Fail(ProviderErrorKind::RateLimit), Turn::Fail(ProviderErrorKind::Server), text("at last")];
    let fixture = Fixture::with(turns, |plugins| drop(plugins.register(Again).unwrap())).await;
    assert_eq!(fixture.prompt("hello").await.stop_reason, StopReason::EndTurn);
    check(
        &fixture.trace,
        expect![[r#"
        before_prompt
        record_event(user)
        before_run
        before_turn
        should_compact
        system_prompt
        select_model
        prepare_request
        before_llm_request
        guard_request
        call_llm
        on_llm_error
        guard_request
        call_llm
        on_llm_error
        guard_request
        call_llm
        after_llm_response
        record_event(settings)
        record_event(assistant)
        after_turn
        before_stop
        after_run"#]],
    );
}

async fn cancelled(fixture: Arc<Fixture>, seen: &str) -> RunOutcome {
    let running = tokio::spawn({
        let fixture = fixture.clone();
        async move { fixture.prompt("hello").await }
    });
    while !fixture.screen.0.lock().unwrap().iter().any(|update| format!("{update:?}").contains(seen)) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    fixture.session.cancel();
    running.await.unwrap()
}

#[tokio::test]
async fn cancel_in_the_stream() {
    let fixture = Arc::new(Fixture::new(vec![Turn::Hang(vec![Delta::text("half")]), text("again")]).await);
    let outcome = cancelled(fixture.clone(), "half").await;
    assert_eq!(outcome.stop_reason, StopReason::Cancelled);
    check(
        &fixture.trace,
        expect![[r#"
        before_prompt
        record_event(user)
        before_run
        before_turn
        should_compact
        system_prompt
        select_model
        prepare_request
        before_llm_request
        guard_request
        call_llm
        on_cancel
        record_event(settings)
        record_event(cancelled)
        after_run"#]],
    );
    assert_eq!(fixture.session.messages()[1].text(), "half");
    assert_eq!(fixture.prompt("next").await.stop_reason, StopReason::EndTurn);
}

#[tokio::test]
async fn cancel_in_a_tool() {
    let fixture = Arc::new(Fixture::new(vec![calls(&["look", "hang"]), text("again")]).await);
    let outcome = cancelled(fixture.clone(), "InProgress").await;
    assert_eq!(outcome.stop_reason, StopReason::Cancelled);
    check(
        &fixture.trace,
        expect![[r#"
        before_prompt
        record_event(user)
        before_run
        before_turn
        should_compact
        system_prompt
        select_model
        prepare_request
        before_llm_request
        guard_request
        call_llm
        after_llm_response
        record_event(settings)
        record_event(assistant)
        before_tool_call
        request_permission
        guard_tool_call
        before_tool_call
        request_permission
        guard_tool_call
        call_tool
        call_tool
        on_cancel
        after_tool_call
        record_event(tool)
        after_tool_call
        record_event(tool)
        record_event(cancelled)
        after_run"#]],
    );
    let messages = fixture.session.messages();
    let results: Vec<_> = messages.iter().filter(|message| message.role == Role::Tool).collect();
    assert_eq!(results.len(), 2, "every call has its result: {messages:?}");
    assert_eq!(fixture.prompt("next").await.stop_reason, StopReason::EndTurn);
}

#[tokio::test]
async fn command() {
    let fixture = Fixture::new(vec![]).await;
    assert_eq!(fixture.prompt("/hello").await.stop_reason, StopReason::EndTurn);
    check(
        &fixture.trace,
        expect![[r#"
        before_prompt
        run_command
        record_event(command)
        after_run"#]],
    );
    assert_eq!(fixture.screen.said(), "hello");
}

#[tokio::test]
async fn a_command_nobody_knows_goes_to_the_model() {
    let fixture = Fixture::new(vec![text("what is /etc?")]).await;
    assert_eq!(fixture.prompt("/etc").await.turns, 1);
}
