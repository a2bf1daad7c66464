//! Cancelling, at every point of a turn.
//!
//! The limit that users are promised is 100 ms, which the benchmark measures. Here it only has to be no time-out's doing.

use std::time::{Duration, Instant};

use crow_tests::{Permission, Reply, Turn};
use serde_json::json;

use crate::stage::{Stage, assert_history_is_valid, said_by, still_running};

/// Much more than it takes, much less than any time-out.
const SOON: Duration = Duration::from_secs(3);

/// Cancels and checks that the turn ends as it should and nothing follows it.
fn cancel(stage: &Stage, pending: &crow_tests::Pending) -> Turn {
    let start = Instant::now();
    stage.client.cancel(&stage.session);
    let turn = stage.client.turn(&stage.session, pending);
    assert!(start.elapsed() < SOON, "it took {:?}", start.elapsed());
    assert_eq!(turn.stop_reason(), "cancelled");
    let said = stage.client.transcript().len();
    stage.client.settle();
    let after = stage.client.transcript().since(said);
    let late: Vec<_> = after.iter().filter(|entry| entry.is_from_agent("session/update")).collect();
    assert!(late.is_empty(), "updates after the answer: {late:#?}");
    turn
}

/// The session must work as before, with a history the model accepts.
fn goes_on(stage: &Stage) {
    let asked = stage.server.requests().len();
    stage.server.push(Reply::say("here again"));
    let turn = stage.prompt("and now?");
    assert_eq!((turn.text().as_str(), turn.stop_reason().as_str()), ("here again", "end_turn"));
    assert_history_is_valid(&stage.server.wait_requests(asked + 1).messages());
}

#[test]
fn before_the_models_first_byte() {
    let stage = Stage::new([Reply::stream().flush().hang()]);
    let pending = stage.client.start_prompt(&stage.session, "go");
    stage.server.wait_requests(1);
    cancel(&stage, &pending);
    let ended = stage.server.wait(SOON, |requests| requests[0].ended);
    assert!(ended.is_some(), "the request to the model is still open");
    goes_on(&stage);
}

#[test]
fn in_the_models_stream_and_what_arrived_is_kept() {
    let stage = Stage::new([Reply::stream().text("as far as ").text("this").hang()]);
    let pending = stage.client.start_prompt(&stage.session, "go");
    stage.client.wait_update(&stage.session, pending.from, |update| update["content"]["text"] == "this");
    let turn = cancel(&stage, &pending);
    assert_eq!(turn.text(), "as far as this");
    let ended = stage.server.wait(SOON, |requests| requests[0].ended);
    assert!(ended.is_some(), "the request to the model is still open");
    goes_on(&stage);
    let messages = stage.server.wait_requests(2).messages();
    let kept = said_by("assistant", &messages).iter().any(|text| text.contains("as far as this"));
    assert!(kept, "{messages:#?}");
}

#[test]
fn with_a_half_finished_tool_call() {
    let fragment = json!([{ "index": 0, "id": "call_1", "function": { "name": "read", "arguments": "{\"pa" } }]);
    let stage = Stage::new([Reply::stream().text("I look.").tool_fragments(&fragment).hang()]);
    let pending = stage.client.start_prompt(&stage.session, "go");
    stage.client.wait_update(&stage.session, pending.from, |update| update["content"]["text"] == "I look.");
    cancel(&stage, &pending);
    goes_on(&stage);
}

#[test]
fn while_a_command_runs_and_its_children_are_gone() {
    // Numbers nobody else sleeps for.
    let (child, grandchild) = ("sleep 7601", "sleep 7602");
    let command = format!("echo running; sh -c '{grandchild} & {child}'");
    let stage = Stage::new([Reply::call("call_1", "terminal", &json!({ "command": command }))]);
    let pending = stage.client.start_prompt(&stage.session, "go");
    stage.client.wait_update(&stage.session, pending.from, |update| {
        update["sessionUpdate"] == "tool_call_update" && update.to_string().contains("running")
    });
    let turn = cancel(&stage, &pending);
    assert_eq!(still_running(child), Vec::<u32>::new());
    assert_eq!(still_running(grandchild), Vec::<u32>::new());
    let status = turn.tool_calls()[0]["status"].clone();
    assert!(status == "failed" || status == "completed", "the call is left `{status}`");
    goes_on(&stage);
}

#[test]
fn while_a_command_ignores_polite_requests() {
    let command = "trap '' TERM INT; echo stubborn; while :; do sleep 7603; done";
    let stage = Stage::new([Reply::call("call_1", "terminal", &json!({ "command": command }))]);
    let pending = stage.client.start_prompt(&stage.session, "go");
    stage.client.wait_update(&stage.session, pending.from, |update| {
        update["sessionUpdate"] == "tool_call_update" && update.to_string().contains("stubborn")
    });
    cancel(&stage, &pending);
    assert_eq!(still_running("sleep 7603"), Vec::<u32>::new());
    goes_on(&stage);
}

#[test]
fn while_a_permission_is_pending_that_is_never_answered() {
    let stage = Stage::new([Reply::call("call_1", "write", &json!({ "path": "a.txt", "content": "x" }))]);
    stage.permission(Permission::Hold);
    let pending = stage.client.start_prompt(&stage.session, "go");
    let asked = stage.client.wait_request("session/request_permission", pending.from);
    cancel(&stage, &pending);
    assert_eq!(stage.sandbox.read("a.txt"), None);
    // An answer that comes too late changes nothing.
    let outcome =
        json!({ "outcome": { "outcome": "selected", "optionId": asked["params"]["options"][0]["optionId"] } });
    stage.client.send(json!({ "jsonrpc": "2.0", "id": asked["id"], "result": outcome }));
    stage.permission(Permission::AllowOnce);
    goes_on(&stage);
    assert_eq!(stage.sandbox.read("a.txt"), None);
}

#[test]
fn a_question_answered_with_cancelled_ends_the_turn() {
    let stage = Stage::new([Reply::call("call_1", "write", &json!({ "path": "a.txt", "content": "x" }))]);
    stage.permission(Permission::Cancelled);
    stage.server.otherwise(Reply::say("went on"));
    let pending = stage.client.start_prompt(&stage.session, "go");
    stage.client.wait_request("session/request_permission", pending.from);
    stage.client.cancel(&stage.session);
    assert_eq!(stage.client.turn(&stage.session, &pending).stop_reason(), "cancelled");
    assert_eq!(stage.sandbox.read("a.txt"), None);
}

#[test]
fn with_one_of_two_calls_done() {
    let stage = Stage::new([]);
    stage.sandbox.file("a.txt", "apple");
    let both = Reply::stream().tool_call("call_a", "read", &json!({ "path": "a.txt" })).tool_call(
        "call_b",
        "terminal",
        &json!({ "command": "echo slow; sleep 7604" }),
    );
    stage.server.push(both);
    let pending = stage.client.start_prompt(&stage.session, "go");
    stage.client.wait_update(&stage.session, pending.from, |update| {
        update["sessionUpdate"] == "tool_call_update" && update.to_string().contains("slow")
    });
    cancel(&stage, &pending);
    goes_on(&stage);
    let messages = stage.server.wait_requests(2).messages();
    assert!(json!(messages).to_string().contains("apple"), "the finished call's result is lost: {messages:#?}");
}

#[test]
fn while_waiting_to_try_again() {
    let stage = Stage::new([Reply::error(429, "slow down").header("retry-after", "60")]);
    let pending = stage.client.start_prompt(&stage.session, "go");
    stage.server.wait_requests(1);
    std::thread::sleep(Duration::from_millis(100));
    cancel(&stage, &pending);
    goes_on(&stage);
}

#[test]
fn by_the_protocols_own_cancel_notification() {
    let stage = Stage::new([Reply::stream().text("one").hang()]);
    let pending = stage.client.start_prompt(&stage.session, "go");
    stage.client.wait_update(&stage.session, pending.from, |update| update["content"]["text"] == "one");
    stage.client.notify("$/cancel_request", &json!({ "requestId": pending.id }));
    assert_eq!(stage.client.turn(&stage.session, &pending).stop_reason(), "cancelled");
    goes_on(&stage);
}

#[test]
fn with_nothing_running_does_nothing() {
    let stage = Stage::new([]);
    stage.client.cancel(&stage.session);
    stage.client.cancel("no-such-session");
    goes_on(&stage);
}

#[test]
fn only_the_session_it_names() {
    let stage = Stage::new([]);
    let other = stage.client.new_session(&stage.sandbox);
    stage.server.when("#stay", Reply::stream().text("still ").pause(Duration::from_millis(500)).text("here"));
    stage.server.when("#leave", Reply::stream().text("bye").hang());
    let staying = stage.client.start_prompt(&other, "#stay");
    let leaving = stage.client.start_prompt(&stage.session, "#leave");
    stage.client.wait_update(&stage.session, leaving.from, |update| update["content"]["text"] == "bye");
    stage.client.cancel(&stage.session);
    assert_eq!(stage.client.turn(&stage.session, &leaving).stop_reason(), "cancelled");
    let turn = stage.client.turn(&other, &staying);
    assert_eq!((turn.text().as_str(), turn.stop_reason().as_str()), ("still here", "end_turn"));
}

#[test]
fn closing_a_session_cancels_what_runs_in_it() {
    let stage = Stage::new([Reply::stream().text("one").hang()]);
    let pending = stage.client.start_prompt(&stage.session, "go");
    stage.client.wait_update(&stage.session, pending.from, |update| update["content"]["text"] == "one");
    stage.client.ok("session/close", &json!({ "sessionId": stage.session }));
    assert_eq!(stage.client.turn(&stage.session, &pending).stop_reason(), "cancelled");
}

#[test]
fn closing_stdin_ends_a_running_command() {
    let stage = Stage::new([Reply::call("call_1", "terminal", &json!({ "command": "echo running; sleep 7605" }))]);
    let pending = stage.client.start_prompt(&stage.session, "go");
    stage.client.wait_update(&stage.session, pending.from, |update| {
        update["sessionUpdate"] == "tool_call_update" && update.to_string().contains("running")
    });
    let Stage { client, .. } = stage;
    client.finish();
    assert_eq!(still_running("sleep 7605"), Vec::<u32>::new());
}

#[test]
fn a_polite_signal_ends_the_agent_and_its_commands() {
    let stage = Stage::new([Reply::call("call_1", "terminal", &json!({ "command": "echo running; sleep 7607" }))]);
    let pending = stage.client.start_prompt(&stage.session, "go");
    stage.client.wait_update(&stage.session, pending.from, |update| {
        update["sessionUpdate"] == "tool_call_update" && update.to_string().contains("running")
    });
    let pid = stage.client.pid();
    let sent = std::process::Command::new("kill").args(["-TERM", &pid.to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()));
    let gone = crow_tests::wait_for(SOON, || (!crow_tests::proc::alive(pid)).then_some(()));
    assert!(gone.is_some(), "the agent is still there");
    assert_eq!(still_running("sleep 7607"), Vec::<u32>::new());
    let Stage { client, .. } = stage;
    client.kill();
}
