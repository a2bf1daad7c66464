//! What goes wrong between the agent and its model, and what the user gets to read of it.

use crow_tests::{Client, ModelServer, Reply, Sandbox};
use serde_json::json;

use crate::stage::{Stage, assert_history_is_valid, told};

/// The prompt failed or ended with a message that has these words; the agent is fine.
fn fails_with(stage: &Stage, words: &[&str]) {
    let turn = stage.prompt("go");
    let told = told(&turn).to_lowercase();
    for word in words {
        assert!(told.contains(&word.to_lowercase()), "no `{word}` in what the user is told: `{told}`\n{turn:#?}");
    }
    let asked = stage.server.requests().len();
    stage.server.push(Reply::say("fine now"));
    assert_eq!(stage.prompt("and now?").text(), "fine now");
    assert_history_is_valid(&stage.server.wait_requests(asked + 1).messages());
}

#[test]
fn too_many_requests_are_tried_again_when_the_server_says() {
    let stage = Stage::new([Reply::error(429, "slow down").header("retry-after", "1"), Reply::say("made it")]);
    let turn = stage.prompt("go");
    assert_eq!(turn.stop_reason(), "end_turn");
    assert!(turn.text().ends_with("made it"), "{}", turn.text());
    let requests = stage.server.requests();
    assert_eq!(requests.len(), 2);
    let waited = requests[1].received - stage.server.wait_ended(1);
    assert!(waited >= std::time::Duration::from_millis(900), "tried again after {waited:?}");
    assert_eq!(requests[0].json(), requests[1].json());
}

/// A client with a place for notices gets them there; with any other the conversation itself says it.
#[test]
fn a_server_error_is_tried_again_and_the_user_sees_it() {
    for capabilities in [json!({ "session": { "notices": {} } }), json!({})] {
        let server =
            ModelServer::with([Reply::error(500, "boom"), Reply::error(503, "overloaded"), Reply::say("made it")]);
        let sandbox = Sandbox::with_model(&server);
        let client = Client::start_with(&sandbox, &capabilities);
        let session = client.new_session(&sandbox);
        let turn = client.prompt(&session, "go");
        assert!(turn.text().ends_with("made it"), "{}", turn.text());
        assert_eq!(server.requests().len(), 3);
        let seen = json!(turn.updates).to_string().to_lowercase();
        assert!(seen.contains("retry"), "nothing was said of the retries to a client with {capabilities}: {seen}");
    }
}

#[test]
fn what_cannot_get_better_is_not_tried_again() {
    for (status, words) in
        [(400, "bad thing"), (401, "wrong key"), (402, "pay first"), (403, "not you"), (404, "no such model")]
    {
        let stage = Stage::new([Reply::error(status, words)]);
        fails_with(&stage, &[words]);
        assert_eq!(stage.server.requests().len(), 2, "for status {status}");
    }
}

#[test]
fn a_bad_key_names_the_provider_and_not_the_key() {
    let stage = Stage::new([Reply::error(401, "Incorrect API key provided")]);
    let turn = stage.prompt("go");
    let told = told(&turn);
    assert!(told.contains("test") && told.contains("401"), "{told}");
    assert!(!told.contains("test-key"), "{told}");
}

#[test]
fn a_body_that_is_no_json_is_told_too() {
    let stage = Stage::new([Reply::status(400, &json!("<html>Bad Gateway page</html>"))]);
    fails_with(&stage, &["400"]);
}

#[test]
fn a_stream_cut_in_the_middle_keeps_its_text_and_tells() {
    let stage = Stage::new([Reply::stream().text("half a ").text("sentence").flush().cut()]);
    stage.server.push(Reply::say("fine now"));
    let turn = stage.prompt("go");
    assert!(turn.text().starts_with("half a sentence"), "{}", turn.text());
    // A part of the answer is out: asking again would say it twice.
    assert_eq!(stage.server.requests().len(), 1);
    let failed = turn.reply.is_err() || turn.text().len() > "half a sentence".len();
    assert!(failed, "a silent end: {turn:#?}");
    assert_eq!(stage.prompt("and now?").text(), "fine now");
    let messages = stage.server.wait_requests(2).messages();
    assert!(json!(messages).to_string().contains("half a sentence"), "{messages:#?}");
    assert_history_is_valid(&messages);
}

#[test]
fn a_stream_cut_before_its_first_token_is_tried_again() {
    let stage = Stage::new([Reply::stream().flush().cut(), Reply::say("made it")]);
    assert!(stage.prompt("go").text().ends_with("made it"));
}

#[test]
fn a_stream_cut_inside_a_tool_call_runs_nothing() {
    let fragment = json!([{ "index": 0, "id": "call_1", "function": { "name": "write", "arguments": "{\"path\":\"a.txt\",\"content\":\"x\"" } }]);
    let stage = Stage::new([Reply::stream().text("I write.").tool_fragments(&fragment).flush().cut()]);
    stage.prompt("go");
    assert_eq!(stage.sandbox.read("a.txt"), None);
    stage.server.push(Reply::say("fine now"));
    assert_eq!(stage.prompt("and now?").text(), "fine now");
    assert_history_is_valid(&stage.server.requests().last().expect("a request").messages());
}

#[test]
fn an_error_inside_the_stream_is_told() {
    let stage = Stage::new([Reply::stream().text("so far").stream_error("upstream exploded")]);
    let turn = stage.prompt("go");
    assert!(turn.text().starts_with("so far"));
    assert!(told(&turn).contains("upstream exploded"), "{turn:#?}");
    stage.server.push(Reply::say("fine now"));
    assert_eq!(stage.prompt("and now?").text(), "fine now");
}

#[test]
fn nonsense_in_the_stream_is_told() {
    let stage = Stage::new([Reply::stream().text("so far").raw(b"data: {\"choices\": [ nonsense\n\n").bare()]);
    let turn = stage.prompt("go");
    assert!(turn.text().starts_with("so far"));
    assert!(turn.reply.is_err() || turn.text().len() > "so far".len(), "a silent end: {turn:#?}");
}

#[test]
fn an_empty_answer_is_no_silent_end() {
    let stage = Stage::new([]);
    stage.server.otherwise(Reply::stream());
    let turn = stage.prompt("go");
    assert!(!told(&turn).is_empty(), "nothing was said: {turn:#?}");
}

#[test]
fn no_network_is_told_with_the_address() {
    let server = ModelServer::start();
    let port = server.port();
    let sandbox = Sandbox::with_model(&server);
    drop(server);
    let client = Client::start(&sandbox);
    let session = client.new_session(&sandbox);
    let pending = client.start_prompt(&session, "go");
    // Connection errors are tried again for a while; a user who has seen enough cancels.
    let turn = match client.try_wait(&pending, std::time::Duration::from_mins(2)) {
        Some(_) => client.turn(&session, &pending),
        None => panic!("no answer in two minutes"),
    };
    let told = format!("{}{}", told(&turn), json!(turn.updates));
    assert!(told.contains(&port.to_string()), "{told}");
}

#[test]
fn an_error_message_has_one_line() {
    let stage = Stage::new([Reply::error(400, "first line\nsecond line\n\nthird")]);
    // The schema check at the end refuses messages of several lines.
    fails_with(&stage, &["first line"]);
}

/// A section of no plugin is no reason not to start, and none to say nothing.
#[test]
fn what_is_wrong_with_the_configuration_is_told_in_the_first_session() {
    let server = ModelServer::start();
    let sandbox = Sandbox::new();
    sandbox.config(&format!("{}\n[plugins.compactoin]\nreserve = 1\n", Sandbox::model_config(&server)));
    let client = Client::start_with(&sandbox, &json!({ "session": { "notices": {} } }));
    let session = client.new_session(&sandbox);
    let notice = client.wait_update(&session, 0, |update| update["sessionUpdate"] == "notice");
    assert!(notice.to_string().contains("compactoin"), "{notice}");
}
