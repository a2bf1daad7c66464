//! Long conversations made shorter: what a client sees of it, live and on a replay.

use crow_tests::{Client, ModelServer, Reply, Sandbox};
use serde_json::{Value, json};

use crate::stage::assert_history_is_valid;

const KNOWS_COMPACTION: &str = "compaction_update";

fn compactions(updates: &[Value]) -> Vec<&Value> {
    updates.iter().filter(|update| update["sessionUpdate"] == KNOWS_COMPACTION).collect()
}

/// A client that knows of compactions, and a conversation that is long enough for one.
fn long_conversation(server: &ModelServer, sandbox: &Sandbox) -> (Client, String) {
    sandbox.config(&format!(
        "{}\n[plugins.compaction]\nkeep_tokens = 10\nuser_tokens = 20\n",
        Sandbox::model_config(server)
    ));
    let client = Client::start_with(sandbox, &json!({ "session": { "compaction": {} } }));
    let session = client.new_session(sandbox);
    for at in 0..3 {
        server.push(Reply::say(&format!("answer {at}: {}", "many words ".repeat(200))));
        assert_eq!(client.prompt(&session, &format!("question {at}")).stop_reason(), "end_turn");
    }
    (client, session)
}

#[test]
fn a_client_sees_a_compaction_begin_and_end_and_sees_it_again_after_a_crash() {
    let server = ModelServer::start();
    let sandbox = Sandbox::with_model(&server);
    let (client, session) = long_conversation(&server, &sandbox);
    server.push(Reply::say("# Summary\nThree questions were answered."));
    let turn = client.prompt(&session, "/compact");
    let seen = compactions(&turn.updates);
    let states: Vec<_> = seen.iter().map(|update| update["status"].as_str().unwrap_or_default()).collect();
    assert_eq!(states, ["in_progress", "completed"], "{seen:#?}");
    assert_eq!(seen[0]["compactionId"], seen[1]["compactionId"]);
    assert!(seen[1]["summary"][0]["text"].as_str().unwrap_or_default().contains("Three questions"), "{seen:#?}");
    assert!(turn.of_kind("notice").is_empty(), "told once is enough: {turn:#?}");
    let used = turn.of_kind("usage_update").last().map(|usage| usage["used"].as_u64()).expect("the usage after it");
    assert!(used.is_some_and(|used| used < 600), "{turn:#?}");

    let done = seen[1].clone();
    client.kill();
    let client = Client::start_with(&sandbox, &json!({ "session": { "compaction": {} } }));
    let loaded = client.load_session(&sandbox, &session);
    assert!(loaded.reply.is_ok(), "{loaded:#?}");
    assert_eq!(compactions(&loaded.updates), [&done]);
    server.push(Reply::say("still here"));
    let asked = server.requests().len();
    assert_eq!(client.prompt(&session, "are you there?").text(), "still here");
    let request = server.wait_requests(asked + 1);
    assert!(request.text().contains("Three questions were answered"), "{}", request.text());
    assert!(!request.text().contains("answer 0"), "what was summed up is not sent again");
    assert_history_is_valid(&request.messages());
}

#[test]
fn a_cancelled_compaction_is_told_as_one_and_changes_nothing() {
    let server = ModelServer::start();
    let sandbox = Sandbox::with_model(&server);
    let (client, session) = long_conversation(&server, &sandbox);
    let asked = server.requests().len();
    server.push(Reply::stream().text("# Summ").flush().hang());
    let from = client.updates(&session).len();
    let prompt = client.start_prompt(&session, "/compact");
    server.wait_requests(asked + 1);
    client.cancel(&session);
    let turn = client.turn(&session, &prompt);
    assert_eq!(turn.stop_reason(), "cancelled");
    let updates = client.updates(&session).split_off(from);
    let states: Vec<_> = compactions(&updates).iter().map(|update| update["status"].clone()).collect();
    assert_eq!(states, [json!("in_progress"), json!("cancelled")], "{updates:#?}");

    server.push(Reply::say("all there"));
    assert_eq!(client.prompt(&session, "and now?").text(), "all there");
    let request = server.wait_requests(asked + 2);
    assert!(request.text().contains("answer 0") && request.text().contains("answer 2"), "{}", request.text());
}
