//! Prompts: what is shown, what is answered, in which order.

use serde_json::json;

use crate::client::{Client, kinds, said};
use crate::script::Script;

#[tokio::test]
async fn a_prompt_streams_and_then_ends() {
    let (mut client, session) = Client::with_session().await;
    client.update("available_commands_update").await;
    let (shown, answer) = client.prompt(&session, "think well").await;
    assert_eq!(answer["result"], json!({ "stopReason": "end_turn" }));
    let kinds = kinds(&shown);
    for kind in ["session_info_update", "agent_thought_chunk", "agent_message_chunk", "usage_update"] {
        assert!(kinds.contains(&kind), "{kind} in {kinds:?}");
    }
    let text = shown.iter().find(|update| update["sessionUpdate"] == "agent_message_chunk").unwrap();
    let thought = shown.iter().find(|update| update["sessionUpdate"] == "agent_thought_chunk").unwrap();
    assert_eq!(thought["content"]["text"], "Hm. ");
    assert!(text["messageId"].is_string());
    let usage = shown.iter().find(|update| update["sessionUpdate"] == "usage_update").unwrap();
    assert_eq!(usage["used"], 105);
}

#[tokio::test]
async fn nothing_is_lost_when_the_client_is_slow() {
    let (mut client, session) = Client::with_session().await;
    let (shown, answer) = client.prompt(&session, "count 20000").await;
    assert_eq!(answer["result"]["stopReason"], "end_turn");
    let whole = (0..20_000).map(|n| n.to_string()).collect::<Vec<_>>().join(" ") + " ";
    assert!(said(&shown) == whole, "the text differs");
}

#[tokio::test]
async fn a_tool_call_is_shown_from_beginning_to_end() {
    let (mut client, session) = Client::with_session().await;
    client.request("session/set_mode", json!({ "sessionId": session, "modeId": "full" })).await;
    client.shown(&session);
    let (shown, answer) = client.prompt(&session, "poke").await;
    assert_eq!(answer["result"]["stopReason"], "end_turn");
    let calls: Vec<_> = shown.iter().filter(|update| update["toolCallId"].is_string()).collect();
    assert_eq!(calls[0]["sessionUpdate"], "tool_call");
    assert_eq!(
        (&calls[0]["title"], &calls[0]["name"], &calls[0]["kind"], &calls[0]["rawInput"]),
        (&json!("Run poke"), &json!("poke"), &json!("execute"), &json!({}))
    );
    assert!(calls[1..].iter().all(|call| call["sessionUpdate"] == "tool_call_update"));
    assert!(calls.iter().any(|call| call["status"] == "in_progress"));
    let last = calls.last().unwrap();
    assert_eq!(
        (&last["status"], &last["content"][0]["content"]["text"]),
        (&json!("completed"), &json!("```\nout\n```"))
    );
    assert_eq!(said(&shown), "done");
}

#[tokio::test]
async fn output_is_appended_for_clients_that_can() {
    let mut client = Client::introduced(json!({ "_meta": { "terminal_output": true } })).await;
    let session = client.new_session().await;
    client.request("session/set_mode", json!({ "sessionId": session, "modeId": "full" })).await;
    let (shown, _) = client.prompt(&session, "poke").await;
    let metas: Vec<&str> = shown
        .iter()
        .filter_map(|update| update["_meta"].as_object())
        .flat_map(|meta| meta.keys().map(String::as_str))
        .collect();
    assert_eq!(metas, ["terminal_info", "terminal_output", "terminal_exit"]);
}

#[tokio::test]
async fn a_cancelled_prompt_answers_cancelled_whenever_it_is_cancelled() {
    let (mut client, session) = Client::with_session().await;
    // While it streams.
    let prompt = client.start_prompt(&session, "wait").await;
    client.update("agent_message_chunk").await;
    client.notify("session/cancel", json!({ "sessionId": session })).await;
    assert_eq!(client.answer(prompt).await["result"]["stopReason"], "cancelled");
    // Before anything has come of it, and with another behind it.
    let first = client.start_prompt(&session, "wait").await;
    let second = client.start_prompt(&session, "never").await;
    client.notify("session/cancel", json!({ "sessionId": session })).await;
    assert_eq!(client.answer(first).await["result"]["stopReason"], "cancelled");
    assert_eq!(client.answer(second).await["result"]["stopReason"], "cancelled");
    // While a tool runs.
    client.request("session/set_mode", json!({ "sessionId": session, "modeId": "full" })).await;
    let prompt = client.start_prompt(&session, "slow").await;
    client.until(|message| message["params"]["update"]["status"] == "in_progress").await;
    client.notify("session/cancel", json!({ "sessionId": session })).await;
    client.until(|message| message["params"]["update"]["status"] == "failed").await;
    assert_eq!(client.answer(prompt).await["result"]["stopReason"], "cancelled");
    // With nothing to cancel; and the session goes on.
    client.notify("session/cancel", json!({ "sessionId": session })).await;
    client.notify("session/cancel", json!({ "sessionId": "nobody" })).await;
    client.shown(&session);
    let (shown, answer) = client.prompt(&session, "here").await;
    assert_eq!((said(&shown).as_str(), &answer["result"]["stopReason"]), ("here", &json!("end_turn")));
}

#[tokio::test]
async fn a_request_can_be_cancelled_by_its_id() {
    let (mut client, session) = Client::with_session().await;
    let prompt = client.start_prompt(&session, "wait").await;
    client.update("agent_message_chunk").await;
    client.notify("$/cancel_request", json!({ "requestId": prompt })).await;
    assert_eq!(client.answer(prompt).await["result"]["stopReason"], "cancelled");
    // A request that is no prompt gets the protocol's error: this one waits for an answer of ours.
    let asking = client.start("_test/ask", json!({})).await;
    client.until(|message| message["method"] == "session/request_permission").await;
    client.notify("$/cancel_request", json!({ "requestId": asking })).await;
    assert_eq!(client.answer(asking).await["error"]["code"], -32800);
}

#[tokio::test]
async fn prompts_wait_for_each_other_and_answer_in_order() {
    let (mut client, session) = Client::with_session().await;
    let first = client.start_prompt(&session, "count 300").await;
    let second = client.start_prompt(&session, "second").await;
    let mut told = Vec::new();
    while told.last() != Some(&json!(second)) {
        let message = client.next().await.unwrap();
        match message.get("id") {
            Some(id) => told.push(id.clone()),
            None => told.push(message["params"]["update"]["content"]["text"].clone()),
        }
    }
    let first_answer = told.iter().position(|what| *what == json!(first)).unwrap();
    let second_text = told.iter().position(|what| *what == json!("second")).unwrap();
    assert!(first_answer < second_text, "the second begins when the first is answered");
}

#[tokio::test]
async fn a_refusal_says_why_and_ends_with_that_stop_reason() {
    let (mut client, session) = Client::with_session().await;
    let (shown, answer) = client.prompt(&session, "my key is sk-12345678").await;
    assert_eq!(answer["result"], json!({ "stopReason": "refusal" }));
    assert!(said(&shown).contains("that looks like a secret key"), "{shown:#?}");
}

#[tokio::test]
async fn an_error_is_shown_and_answered_with_what_programs_need() {
    let (mut client, session) = Client::with_session().await;
    let (shown, answer) = client.prompt(&session, "busy").await;
    let error = &answer["error"];
    assert_eq!((&error["code"], &error["message"]), (&json!(-32603), &json!("too many requests")));
    let data = &error["data"];
    assert_eq!((&data["kind"], &data["status"], &data["retryAfter"]), (&json!("rate_limit"), &json!(429), &json!(7.0)));
    assert!(said(&shown).contains("too many\nrequests"), "{shown:#?}");
    let (_, answer) = client.prompt(&session, "lost").await;
    assert_eq!(answer["error"]["code"], -32000, "{answer}");
    assert_eq!(client.prompt(&session, "better").await.1["result"]["stopReason"], "end_turn");
}

#[tokio::test]
async fn errors_go_to_notices_where_there_are_any() {
    let mut client = Client::introduced(json!({ "session": { "notices": {} } })).await;
    let session = client.new_session().await;
    let (shown, _) = client.prompt(&session, "busy").await;
    let notice = shown.iter().find(|update| update["sessionUpdate"] == "notice").expect("a notice");
    assert_eq!(notice["severity"], "error");
    assert_eq!(said(&shown), "");
}

#[tokio::test]
async fn without_a_model_sessions_work_and_prompts_say_what_to_do() {
    let mut client = Client::connect_to(Script::without_model()).await;
    client.initialize(json!({})).await;
    let session = client.new_session().await;
    let (_, answer) = client.prompt(&session, "hello").await;
    assert_eq!(answer["error"]["code"], -32000, "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("crow init"), "{answer}");
}

#[tokio::test]
async fn unknown_blocks_and_a_prompt_of_megabytes_arrive() {
    let (mut client, session) = Client::with_session().await;
    let prompt = json!({ "sessionId": session, "prompt": [
        { "type": "text", "text": "echo " }, { "type": "hologram", "data": 1 },
        { "type": "resource_link", "uri": "file:///a", "name": "a" },
    ] });
    let id = client.start("session/prompt", prompt).await;
    assert_eq!(client.answer(id).await["result"]["stopReason"], "end_turn");
    assert!(said(&client.shown(&session)).contains("`hologram`"));
    let long = "x".repeat(5 * 1024 * 1024);
    let (shown, answer) = client.prompt(&session, &long).await;
    assert_eq!(answer["result"]["stopReason"], "end_turn");
    assert_eq!(said(&shown).len(), long.len());
}

#[tokio::test]
async fn a_command_is_answered_without_the_model() {
    let (mut client, session) = Client::with_session().await;
    let (shown, answer) = client.prompt(&session, "/greet you").await;
    assert_eq!((said(&shown).as_str(), &answer["result"]["stopReason"]), ("hello you", &json!("end_turn")));
}

#[tokio::test]
async fn sessions_do_not_wait_for_each_other() {
    let (mut client, busy) = Client::with_session().await;
    let other = client.new_session().await;
    let waiting = client.start_prompt(&busy, "wait").await;
    client.update("agent_message_chunk").await;
    assert_eq!(client.prompt(&other, "hello").await.1["result"]["stopReason"], "end_turn");
    // A mode can be set while the session is busy.
    let answer = client.request("session/set_mode", json!({ "sessionId": busy, "modeId": "full" })).await;
    assert_eq!(answer["result"], json!({}));
    client.notify("session/cancel", json!({ "sessionId": busy })).await;
    client.answer(waiting).await;
}
