//! Questions to the user.

use serde_json::{Value, json};

use crate::client::{Client, said};

async fn asked(client: &mut Client) -> Value {
    client.until(|message| message["method"] == "session/request_permission").await
}

async fn answer(client: &mut Client, question: &Value, outcome: Value) {
    client.send(json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "outcome": outcome } })).await;
}

#[tokio::test]
async fn a_call_is_shown_before_the_question_about_it() {
    let (mut client, session) = Client::with_session().await;
    let prompt = client.start_prompt(&session, "poke").await;
    let question = asked(&mut client).await;
    let params = &question["params"];
    assert_eq!(params["sessionId"], json!(session));
    let shown = client.shown(&session);
    let call =
        shown.iter().find(|update| update["sessionUpdate"] == "tool_call").expect("the call, before the question");
    assert_eq!(params["toolCall"]["toolCallId"], call["toolCallId"]);
    let kinds: Vec<&str> =
        params["options"].as_array().unwrap().iter().map(|option| option["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["allow_once", "allow_always", "reject_once"]);
    answer(&mut client, &question, json!({ "outcome": "selected", "optionId": "yes" })).await;
    assert_eq!(client.answer(prompt).await["result"]["stopReason"], "end_turn");
    let shown = client.shown(&session);
    assert!(shown.iter().any(|update| update["status"] == "completed"), "{shown:#?}");
    assert_eq!(said(&shown), "done");
}

#[tokio::test]
async fn a_rejected_call_fails_and_the_turn_goes_on() {
    let (mut client, session) = Client::with_session().await;
    let prompt = client.start_prompt(&session, "poke").await;
    let question = asked(&mut client).await;
    answer(&mut client, &question, json!({ "outcome": "selected", "optionId": "no" })).await;
    assert_eq!(client.answer(prompt).await["result"]["stopReason"], "end_turn");
    let shown = client.shown(&session);
    assert!(shown.iter().any(|update| update["status"] == "failed"), "{shown:#?}");
    assert_eq!(said(&shown), "done");
}

#[tokio::test]
async fn a_cancelled_question_cancels_the_turn() {
    let (mut client, session) = Client::with_session().await;
    let prompt = client.start_prompt(&session, "poke").await;
    let question = asked(&mut client).await;
    answer(&mut client, &question, json!({ "outcome": "cancelled" })).await;
    assert_eq!(client.answer(prompt).await["result"]["stopReason"], "cancelled");
}

#[tokio::test]
async fn a_question_is_withdrawn_when_its_prompt_is_cancelled() {
    let (mut client, session) = Client::with_session().await;
    let prompt = client.start_prompt(&session, "poke").await;
    let question = asked(&mut client).await;
    client.notify("session/cancel", json!({ "sessionId": session })).await;
    assert_eq!(client.answer(prompt).await["result"]["stopReason"], "cancelled");
    let withdrawn = client.until(|message| message["method"] == "$/cancel_request").await;
    assert_eq!(withdrawn["params"]["requestId"], question["id"]);
    // An answer that comes too late is ignored.
    answer(&mut client, &question, json!({ "outcome": "selected", "optionId": "yes" })).await;
    let (shown, answer) = client.prompt(&session, "next").await;
    assert!(said(&shown).ends_with("next"), "{shown:#?}");
    assert_eq!(answer["result"]["stopReason"], "end_turn");
}

#[tokio::test]
async fn a_client_that_cannot_ask_is_not_waited_for() {
    let (mut client, session) = Client::with_session().await;
    let prompt = client.start_prompt(&session, "poke").await;
    let question = asked(&mut client).await;
    client.send(json!({ "jsonrpc": "2.0", "id": question["id"], "error": { "code": -32601, "message": "no" } })).await;
    assert_eq!(client.answer(prompt).await["result"]["stopReason"], "end_turn");
    assert!(client.shown(&session).iter().any(|update| update["status"] == "failed"));
}

#[tokio::test]
async fn a_question_about_no_call_gets_one_to_stand_in_for_it() {
    let (mut client, session) = Client::with_session().await;
    let asking = client.start("_test/ask", json!({})).await;
    let question = asked(&mut client).await;
    let shown = client.shown(&session);
    assert!(
        shown.iter().any(|update| update["sessionUpdate"] == "tool_call" && update["title"] == "Really?"),
        "{shown:#?}"
    );
    answer(&mut client, &question, json!({ "outcome": "selected", "optionId": "no" })).await;
    assert_eq!(client.answer(asking).await["result"], "no");
    assert!(client.shown(&session).iter().any(|update| update["status"] == "completed"));
}
