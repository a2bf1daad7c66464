//! The harness itself, tried on the bare relay: what the end-to-end tests rely on must be able to fail.
#![forbid(unsafe_code)]

use std::{path::Path, time::Duration};

use crow_tests::{Client, Entry, ModelServer, Postgres, Reply, Sandbox, Schema, Way};
use serde_json::{Value, json};

struct Relay {
    client: Client,
    session: String,
    sandbox: Sandbox,
    server: ModelServer,
}

fn relay(replies: impl IntoIterator<Item = Reply>) -> Relay {
    let server = ModelServer::with(replies);
    let mut sandbox = Sandbox::new();
    sandbox.env("OPENAI_BASE_URL", &server.base_url());
    let command = sandbox.command_for(Path::new(env!("CARGO_BIN_EXE_bare-relay")), &[]);
    let client = Client::spawn_command(command);
    client.initialize(&json!({}));
    let session = client.new_session(&sandbox);
    Relay { client, session, sandbox, server }
}

#[test]
fn a_prompt_goes_there_and_back() {
    let Relay { client, session, server, .. } = relay([Reply::stream().text("Hel").text("lo")]);
    let turn = client.prompt(&session, "say hello");
    assert_eq!((turn.text().as_str(), turn.stop_reason().as_str()), ("Hello", "end_turn"));
    let request = server.wait_requests(1);
    assert_eq!(request.messages(), [json!({ "role": "user", "content": "say hello" })]);
    assert!(request.complete && request.first_byte.is_some());
    assert_eq!(client.finish().len(), 8);
}

#[test]
fn a_tool_round_asks_the_model_again() {
    let relay = relay([]);
    let path = relay.sandbox.file("notes.txt", "forty-two");
    relay.server.push(Reply::call("call_1", "read", &json!({ "path": path })));
    relay.server.push(Reply::say("It says forty-two."));
    let turn = relay.client.prompt(&relay.session, "read");
    assert_eq!(turn.text(), "It says forty-two.");
    assert_eq!(relay.server.wait_requests(2).messages()[2]["content"], "forty-two");
}

#[test]
fn bytes_that_come_one_by_one_arrive_whole() {
    let relay = relay([Reply::stream().text_byte_by_byte("Grüße, 世界 🦀")]);
    assert_eq!(relay.client.prompt(&relay.session, "greet").text(), "Grüße, 世界 🦀");
}

#[test]
fn a_hang_lasts_until_the_client_goes() {
    let Relay { client, session, server, .. } = relay([Reply::stream().text("one").hang()]);
    let pending = client.start_prompt(&session, "hang");
    client.wait_update(&session, 0, |update| update["content"]["text"] == "one");
    assert!(client.try_wait(&pending, Duration::from_millis(100)).is_none());
    assert!(server.wait_requests(1).ended.is_none());
    client.kill();
    let ended = server.wait(Duration::from_secs(10), |requests| requests[0].ended);
    assert!(ended.is_some(), "the server did not see the connection close");
}

#[test]
fn replies_are_picked_by_marker_then_in_turn_then_the_standing_one() {
    let relay = relay([Reply::say("queued")]);
    relay.server.when("apples", Reply::say("marked"));
    relay.server.otherwise(Reply::say("standing"));
    let texts: Vec<String> = ["pears", "apples", "pears"]
        .into_iter()
        .map(|text| relay.client.prompt(&relay.client.new_session(&relay.sandbox), text).text())
        .collect();
    assert_eq!(texts, ["queued", "marked", "standing"]);
}

#[test]
fn pauses_take_the_time_they_say() {
    let gap = Duration::from_millis(10);
    let relay = relay([Reply::stream().gap(gap).texts((0..20).map(|number| number.to_string()))]);
    relay.client.prompt(&relay.session, "slowly");
    let request = relay.server.wait_requests(1);
    let took = relay.server.wait_ended(1) - request.received;
    assert!(took >= gap * 19, "{took:?}");
}

fn from_agent(message: Value) -> Entry {
    Entry { way: Way::FromAgent, at: std::time::Instant::now(), message }
}

fn problems(message: Value) -> String {
    let violations = Schema::official().check(&[from_agent(message)]);
    violations.iter().map(|violation| violation.problem.clone()).collect::<Vec<_>>().join("; ")
}

fn update(update: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": "session/update", "params": { "sessionId": "s", "update": update } })
}

#[test]
fn the_schema_accepts_what_is_right() {
    let chunk = json!({ "sessionUpdate": "agent_message_chunk", "content": { "type": "text", "text": "hi" } });
    assert_eq!(problems(update(&chunk)), "");
    let call = json!({
        "sessionUpdate": "tool_call", "toolCallId": "1", "title": "Edit", "kind": "edit", "status": "pending",
        "content": [{ "type": "diff", "path": "/a", "oldText": null, "newText": "b" }],
        "locations": [{ "path": "/a", "line": 1 }], "rawInput": { "anything": ["goes"] },
        "_meta": { "anything": 1 },
    });
    assert_eq!(problems(update(&call)), "");
    let usage = json!({ "sessionUpdate": "usage_update", "used": 10, "size": 1000 });
    assert_eq!(problems(update(&usage)), "");
}

#[test]
fn the_schema_finds_what_is_wrong() {
    let cases = [
        (
            update(&json!({ "sessionUpdate": "agent_message_chunk", "content": { "type": "text" } })),
            "SessionNotification",
        ),
        (update(&json!({ "sessionUpdate": "made_up" })), "SessionNotification"),
        (update(&json!({ "sessionUpdate": "current_mode_update", "modeId": "ask" })), "SessionNotification"),
        (update(&json!({ "sessionUpdate": "usage_update", "used": 10, "size": 1000, "extra": true })), "key `extra`"),
        (
            update(&json!({
                "sessionUpdate": "tool_call", "toolCallId": "1", "title": "t",
                "content": [{ "type": "content", "content": { "type": "text", "text": "x" }, "own": 1 }],
            })),
            "key `own`",
        ),
        (json!({ "jsonrpc": "2.0", "method": "session/updates", "params": {} }), "no Notification"),
        (json!({ "jsonrpc": "2.0", "id": 1, "result": {} }), "nothing that was asked"),
        (json!({ "jsonrpc": "2.0", "id": 1, "result": {}, "error": { "code": 1, "message": "" } }), "exactly one"),
        (
            json!({ "id": 1, "error": { "code": 1, "message": "two\nlines" } }),
            "not JSON-RPC 2.0; an error message of several",
        ),
    ];
    for (message, expected) in cases {
        let found = problems(message.clone());
        assert!(found.contains(expected), "{message} gave `{found}`, not `{expected}`");
    }
}

#[test]
fn the_schema_matches_answers_to_their_requests() {
    let asked = json!({ "jsonrpc": "2.0", "id": "a", "method": "session/load", "params": {} });
    let asked = Entry { way: Way::ToAgent, at: std::time::Instant::now(), message: asked };
    let answer = from_agent(json!({ "jsonrpc": "2.0", "id": "a", "result": null }));
    let violations = Schema::official().check(&[asked, answer]);
    assert!(violations[0].problem.contains("LoadSessionResponse"), "{violations:?}");
}

#[test]
fn a_postgres_server_is_the_tests_own() {
    let Some(mut postgres) = Postgres::start() else { return };
    let (one, other) = (postgres.url(), postgres.database());
    assert!(one.contains(postgres.password()));
    postgres.query(&one, "CREATE TABLE kept AS SELECT 7 AS x");
    assert_eq!(postgres.query(&other, "SELECT count(*) FROM pg_tables WHERE tablename = 'kept'"), "0");
    postgres.stop();
    postgres.resume();
    assert_eq!(postgres.query(&one, "SELECT x FROM kept"), "7");
    let directory = postgres.directory().to_owned();
    drop(postgres);
    assert!(!directory.exists());
}

#[test]
fn a_postgres_server_may_know_vectors() {
    let Some(postgres) = Postgres::start_with("vector") else { return };
    postgres.query(&postgres.url(), "CREATE EXTENSION vector");
    assert_eq!(postgres.query(&postgres.url(), "SELECT '[1,2]'::vector <-> '[1,4]'::vector"), "2");
}
