//! The rules that every run keeps, whatever plugins do.

use std::sync::Arc;
use std::time::Duration;

use crow_acp::*;
use serde_json::json;

use crate::support::{Fixture, Log, Turn, calls, calls_with, text};

fn results(session: &Session) -> Vec<(String, bool)> {
    let messages = session.messages();
    let parts = messages.iter().flat_map(|message| message.parts().to_vec());
    parts
        .filter_map(
            |part| if let Part::ToolResult(result) = part { Some((result.text, result.is_error)) } else { None },
        )
        .collect()
}

struct Upper;

#[hookimpls]
impl CrowHooks for Upper {
    fn before_llm_request(&self, messages: &mut Vec<Message>) -> Option<Vec<Message>> {
        for message in messages {
            for part in message.parts_mut() {
                if let Part::Text { text } = part {
                    *text = text.to_uppercase();
                }
            }
        }
        None
    }
}

#[tokio::test]
async fn edits_of_a_request_never_reach_the_session_and_the_log_names_the_editor() {
    let log = Log::default();
    let fixture = Fixture::with(vec![text("hi")], |plugins| {
        plugins.register(Upper).unwrap();
        plugins.register(log.clone()).unwrap();
    })
    .await;
    fixture.prompt("quiet").await;
    assert_eq!(fixture.requests.lock().unwrap()[0].messages[0].text(), "QUIET");
    assert_eq!(fixture.session.messages()[0].text(), "quiet");
    let events = log.0.lock().unwrap();
    let edited = events.iter().find_map(|event| match &event.kind {
        EventKind::Edited { hook, plugins, before, after } => Some((hook.clone(), plugins.clone(), before != after)),
        _ => None,
    });
    assert_eq!(edited, Some(("before_llm_request".into(), vec!["upper".into()], true)));
}

/// Holds text back until a block ends, and fails on a word.
#[derive(Default)]
struct Redact(std::sync::Mutex<String>);

#[hookimpls]
impl CrowHooks for Redact {
    fn on_stream_delta(&self, delta: &mut Delta) -> Result<(), String> {
        let mut held = self.0.lock().unwrap();
        held.push_str(&std::mem::take(&mut delta.text));
        if held.contains("forbidden") {
            return Err("a forbidden word".into());
        }
        if delta.done {
            delta.text = std::mem::take(&mut *held).replace("4111", "****");
        }
        Ok(())
    }
}

#[tokio::test]
async fn text_that_a_hook_holds_back_is_released_at_the_end_of_its_block() {
    let said = vec![Delta::text("card 41"), Delta::text("11 it is")];
    let fixture = Fixture::with(vec![Turn::Say(said, Finish::Stop)], |plugins| {
        drop(plugins.register(Redact::default()).unwrap())
    })
    .await;
    fixture.prompt("go").await;
    assert_eq!(fixture.screen.said(), "card **** it is");
    assert_eq!(fixture.session.messages()[1].text(), "card **** it is");
}

#[tokio::test]
async fn a_fragment_whose_hook_fails_is_withheld_and_ends_the_run() {
    let said = vec![Delta::text("a "), Delta::text("forbidden word"), Delta::text(" and more")];
    let fixture = Fixture::with(vec![Turn::Say(said, Finish::Stop)], |plugins| {
        drop(plugins.register(Redact::default()).unwrap())
    })
    .await;
    let outcome = fixture.prompt("go").await;
    assert!(outcome.error.unwrap().message.contains("a forbidden word"));
    assert_eq!(fixture.screen.said(), "");
    assert!(fixture.screen.notices().contains("a forbidden word"));
}

#[tokio::test]
async fn calls_that_cannot_run_give_the_model_an_error_to_read() {
    let turn = calls_with(&[("nope", "{}"), ("look", "{broken"), ("look", "[]"), ("poke", "{\"quietly\":true}")]);
    let fixture = Fixture::new(vec![turn, text("ok")]).await;
    fixture.prompt("go").await;
    let results = results(&fixture.session);
    assert!(results.iter().all(|(_, is_error)| *is_error));
    assert!(results[0].0.contains("there is no tool `nope`; the tools are hang, look, meet, poke"), "{results:?}");
    assert!(results[1].0.contains("not valid JSON"), "{results:?}");
    assert!(results[2].0.contains("must be object"), "{results:?}");
    assert!(results[3].0.contains("no plugin decides on permissions"), "{results:?}");
}

/// Rewrites, denies, answers, fails: by the name of an argument.
struct Gate;

#[hookimpls]
impl CrowHooks for Gate {
    fn before_tool_call(&self, call: &mut ToolCall) -> Result<Option<ToolGate>, String> {
        let wish = call.arguments["wish"].as_str().unwrap_or_default().to_owned();
        match wish.as_str() {
            "rewrite" => {
                call.arguments = json!({ "wish": "rewritten" });
                Ok(None)
            }
            "deny" => Ok(Some(ToolGate::Deny { reason: "not today".into() })),
            "answer" => Ok(Some(ToolGate::Answer(ToolOutcome::ok("from the cache")))),
            "fail" => Err("the gate is broken".into()),
            _ => Ok(None),
        }
    }

    fn guard_tool_call(&self, call: &ToolCall) -> Result<(), String> {
        if call.arguments["wish"] == "guarded" { Err("guarded".into()) } else { Ok(()) }
    }
}

#[tokio::test]
async fn gates_rewrite_deny_answer_and_fail_closed() {
    let wishes = ["rewrite", "deny", "answer", "fail", "guarded"].map(|wish| format!("{{\"wish\":\"{wish}\"}}"));
    let turn: Vec<(&str, &str)> = wishes.iter().map(|arguments| ("poke", arguments.as_str())).collect();
    let log = Log::default();
    let fixture = Fixture::with(vec![calls_with(&turn), text("ok")], |plugins| {
        plugins.register(Gate).unwrap();
        plugins.register(log.clone()).unwrap();
    })
    .await;
    fixture.prompt("go").await;
    let results = results(&fixture.session);
    assert_eq!(results[0], ("poke ran with {\"wish\":\"rewritten\"}".into(), false));
    assert_eq!(results[1], ("denied: not today".into(), true));
    assert_eq!(results[2], ("from the cache".into(), false));
    assert!(results[3].0.contains("the gate is broken") && results[3].1);
    assert!(results[4].0.contains("guarded") && results[4].1);
    let events = log.0.lock().unwrap();
    let both = events.iter().find_map(|event| match &event.kind {
        EventKind::Tool(tool) => {
            tool.original_arguments.clone().map(|original| (original, tool.call.raw_arguments.clone()))
        }
        _ => None,
    });
    assert_eq!(both, Some(("{\"wish\":\"rewrite\"}".into(), "{\"wish\":\"rewritten\"}".into())));
}

#[tokio::test]
async fn read_only_calls_run_together() {
    let fixture = Fixture::new(vec![calls(&["meet", "meet"]), text("ok")]).await;
    fixture.session.insert(tokio::sync::Barrier::new(2));
    let outcome = tokio::time::timeout(Duration::from_secs(10), fixture.prompt("go")).await.expect("they met");
    assert_eq!(outcome.turns, 2);
}

struct Onwards;

#[hookimpls]
impl CrowHooks for Onwards {
    fn before_stop(&self) -> KeepGoing {
        KeepGoing::new("go on")
    }
}

#[tokio::test]
async fn a_run_is_kept_going_eight_times_at_most() {
    let turns = (0..20).map(|_| text("x")).collect();
    let fixture = Fixture::with(turns, |plugins| drop(plugins.register(Onwards).unwrap())).await;
    assert_eq!(fixture.prompt("go").await.turns, 9);
}

#[tokio::test]
async fn a_run_ends_after_its_turns() {
    let turns = (0..101).map(|_| calls(&["look"])).collect();
    let fixture = Fixture::new(turns).await;
    let outcome = fixture.prompt("go").await;
    assert_eq!(outcome.stop_reason, StopReason::MaxTurnRequests);
    assert_eq!(fixture.requests.lock().unwrap().len(), 100);
    assert!(fixture.screen.notices().contains("max_turns"));
}

struct Adds;

#[hookimpls]
impl CrowHooks for Adds {
    fn call_tool(&self, session: &Session) -> Option<ToolOutcome> {
        session.add_message("user", "a thought of mine");
        None
    }
}

#[tokio::test]
async fn messages_added_while_calls_are_open_come_after_the_results() {
    let fixture =
        Fixture::with(vec![calls(&["poke", "poke"]), text("ok")], |plugins| drop(plugins.register(Adds).unwrap()))
            .await;
    fixture.prompt("go").await;
    let roles: Vec<Role> = fixture.session.messages().iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::Tool, Role::Tool, Role::User, Role::User, Role::Assistant]);
}

struct Panics;

#[hookimpls]
impl CrowHooks for Panics {
    fn before_run(&self, user_input: &str) {
        assert!(user_input != "boom", "out of luck");
    }

    fn after_run(&self) {
        panic!("nobody minds");
    }
}

#[tokio::test]
async fn a_plugin_that_panics_is_named_and_the_next_prompt_works() {
    let fixture = Fixture::with(vec![text("fine")], |plugins| drop(plugins.register(Panics).unwrap())).await;
    let outcome = fixture.prompt("boom").await;
    assert_eq!(outcome.stop_reason, StopReason::Refusal);
    let said = fixture.screen.said();
    assert!(said.contains("panics") && said.contains("before_run") && said.contains("out of luck"), "{said}");
    assert_eq!(fixture.prompt("fine?").await.stop_reason, StopReason::EndTurn);
}

struct Sleeps;

#[hookimpls]
impl CrowHooks for Sleeps {
    async fn before_run(&self) {
        tokio::time::sleep(Duration::from_hours(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_hangs_is_named_when_its_time_is_up() {
    let fixture = Fixture::with(vec![], |plugins| drop(plugins.register(Sleeps).unwrap())).await;
    let outcome = fixture.prompt("go").await;
    let error = outcome.error.expect("an error");
    assert!(error.message.contains("sleeps") && error.message.contains("before_run"), "{error}");
}

struct FullDisk;

#[hookimpls]
impl CrowHooks for FullDisk {
    fn record_event(&self, event: &Event) -> Result<(), String> {
        let user = matches!(&event.kind, EventKind::User { message } if message.text() == "keep this");
        if user || matches!(event.kind, EventKind::Assistant { .. } | EventKind::Tool(_)) {
            Err("disk full".into())
        } else {
            Ok(())
        }
    }
}

#[tokio::test]
async fn a_prompt_that_cannot_be_kept_is_refused_and_other_failures_are_told_once() {
    let fixture =
        Fixture::with(vec![calls(&["look", "look"]), text("ok")], |plugins| drop(plugins.register(FullDisk).unwrap()))
            .await;
    let outcome = fixture.prompt("keep this").await;
    assert_eq!(outcome.stop_reason, StopReason::Refusal);
    assert!(fixture.requests.lock().unwrap().is_empty());
    assert!(fixture.session.messages().is_empty());
    let outcome = fixture.prompt("whatever").await;
    assert_eq!(outcome.stop_reason, StopReason::EndTurn);
    assert_eq!(fixture.screen.notices().matches("disk full").count(), 1);
}

#[tokio::test]
async fn prompts_queue_and_a_cancel_reaches_all_of_them() {
    let fixture = Arc::new(Fixture::new(vec![Turn::Hang(vec![Delta::text("half")])]).await);
    let prompt = |text: &'static str| {
        let fixture = fixture.clone();
        tokio::spawn(async move { fixture.prompt(text).await })
    };
    let first = prompt("one");
    while fixture.screen.said() != "half" {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let second = prompt("two");
    tokio::task::yield_now().await;
    fixture.session.cancel();
    assert_eq!(first.await.unwrap().stop_reason, StopReason::Cancelled);
    assert_eq!(second.await.unwrap().stop_reason, StopReason::Cancelled);
    assert_eq!(fixture.requests.lock().unwrap().len(), 1, "the queued one never reached the model");
}

#[tokio::test]
async fn a_session_comes_back_from_its_log_as_it_was() {
    let log = Log::default();
    let turns = vec![
        calls(&["look", "poke"]),
        text("done"),
        Turn::Break(vec![Delta::thought("hm"), Delta::text("half")]),
        text("and again"),
    ];
    let fixture = Fixture::with(turns, |plugins| {
        plugins.register(log.clone()).unwrap();
        plugins.register(Adds).unwrap();
    })
    .await;
    for prompt in ["one", "two", "three"] {
        fixture.prompt(prompt).await;
    }
    let (before, id) = (fixture.session.messages(), fixture.session.id().to_owned());
    let seqs: Vec<u64> = log.0.lock().unwrap().iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "numbers without gaps");
    let setup = NewSession::new(std::env::temp_dir());
    let (loaded, replay) = fixture.agent.load_session(&id, setup, Origin::Loaded).await.unwrap();
    assert_eq!(loaded.messages(), before);
    assert_eq!(loaded.title().as_deref(), Some("one"));
    assert_eq!(loaded.usage(), fixture.session.usage());
    assert_eq!(loaded.model(), fixture.session.model());
    let tools = replay.iter().filter(|update| matches!(update, Update::ToolCall(_))).count();
    assert_eq!(tools, 2);
}

#[tokio::test]
async fn without_a_model_the_prompt_says_what_to_do() {
    let fixture = Fixture::new(vec![]).await;
    let session = fixture.agent.new_session(NewSession::new(std::env::temp_dir())).await.unwrap();
    let outcome = fixture.agent.prompt(&session, Message::user("hi")).await;
    let error = outcome.error.expect("an error");
    assert!(error.message.contains("crow init") && error.message.contains("OPENAI_API_KEY"), "{error}");
}

/// Calls a hook from inside that hook, directly or by a task.
struct Recursive {
    by_task: bool,
}

#[hookimpls]
impl CrowHooks for Recursive {
    async fn before_run(&self, agent: &Agent, session: &Session, user_input: &str) -> Result<(), String> {
        if !self.by_task {
            return agent.hooks().before_run(agent, session, user_input).await.map_err(|error| error.to_string());
        }
        let (send, receive) = tokio::sync::oneshot::channel();
        let (inner, session, text) = (agent.clone(), session.clone(), user_input.to_owned());
        agent.spawn(async move {
            let _ = send.send(inner.hooks().before_run(&inner, &session, &text).await);
        });
        receive.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }
}

#[tokio::test]
async fn hooks_that_call_hooks_end_somewhere() {
    for by_task in [false, true] {
        let fixture = Fixture::with(vec![], |plugins| drop(plugins.register(Recursive { by_task }).unwrap())).await;
        let outcome = fixture.prompt("go").await;
        let error = outcome.error.expect("an error").message;
        assert!(error.contains("more than 8 deep: before_run → before_run"), "{error}");
    }
}

#[tokio::test]
async fn a_configured_mode_that_nobody_offers_is_told() {
    let plugins = PluginManager::new();
    let config = Config::from_toml(std::env::temp_dir(), "mode = \"pln\"").unwrap();
    let agent = Agent::new(config, plugins).await.unwrap();
    let screen = Arc::new(crate::support::Screen::default());
    agent.connect(screen.clone());
    agent.new_session(NewSession::new(std::env::temp_dir())).await.unwrap();
    assert!(screen.notices().contains("`pln`"), "{}", screen.notices());
}

#[tokio::test]
async fn an_empty_answer_is_told() {
    let fixture = Fixture::new(vec![Turn::Say(vec![], Finish::Stop)]).await;
    assert_eq!(fixture.prompt("go").await.stop_reason, StopReason::EndTurn);
    assert!(fixture.screen.notices().contains("empty answer"));
    assert_eq!(fixture.session.messages().len(), 1, "and the next request holds no empty message");
}

/// Never lets go of a call that was cancelled.
struct Clings;

#[hookimpls]
impl CrowHooks for Clings {
    async fn after_tool_call(&self, outcome: &mut ToolOutcome) {
        if outcome.status == ToolStatus::Cancelled {
            std::future::pending::<()>().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_hangs_in_the_closing_part_leaves_a_valid_history() {
    let turns = vec![calls(&["look", "hang"]), text("fine")];
    let fixture = Fixture::with(turns, |plugins| drop(plugins.register(Clings).unwrap())).await;
    let fixture = Arc::new(fixture);
    let running = tokio::spawn({
        let fixture = fixture.clone();
        async move { fixture.prompt("go").await }
    });
    while !fixture.screen.0.lock().unwrap().iter().any(|update| format!("{update:?}").contains("InProgress")) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    fixture.session.cancel();
    assert_eq!(running.await.unwrap().stop_reason, StopReason::Cancelled);
    assert_eq!(fixture.prompt("next").await.stop_reason, StopReason::EndTurn);
    let requests = fixture.requests.lock().unwrap();
    let messages = &requests[1].messages;
    let answered: Vec<&str> = messages.iter().filter_map(Message::tool_call_id).collect();
    let called: Vec<&str> = messages.iter().flat_map(Message::tool_calls).map(|call| call.id.as_str()).collect();
    assert_eq!(answered.len(), called.len(), "{messages:?}");
}
