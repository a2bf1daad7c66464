//! OpenAI's Responses.

use crow_acp::{ProviderErrorKind as Kind, StopReason};
use serde_json::{Value, json};

use crate::server::{Reply, Server};
use crate::{ask, error_of, said, session};

const MODEL: &str = "gpt-5";

fn response(status: &str) -> Value {
    json!({ "id": "resp_1", "object": "response", "status": status, "model": MODEL, "output": [], "usage": {
        "input_tokens": 50, "input_tokens_details": { "cached_tokens": 40 },
        "output_tokens": 20, "output_tokens_details": { "reasoning_tokens": 8 }, "total_tokens": 70,
    } })
}

fn end(status: &str) -> Value {
    json!({ "type": format!("response.{status}"), "response": response(status) })
}

fn call(index: u32, id: &str, pieces: &[&str]) -> Vec<Value> {
    let item = |arguments: &str| json!({ "type": "function_call", "id": format!("fc_{id}"), "call_id": id, "name": "look", "arguments": arguments });
    let mut events = vec![json!({ "type": "response.output_item.added", "output_index": index, "item": item("") })];
    events.extend(pieces.iter().map(
        |piece| json!({ "type": "response.function_call_arguments.delta", "output_index": index, "delta": piece }),
    ));
    events.push(json!({ "type": "response.output_item.done", "output_index": index, "item": item(&pieces.concat()) }));
    events
}

#[tokio::test]
async fn a_tool_round_returns_encrypted_reasoning_unchanged() {
    let reasoning = json!({ "type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAAABo" });
    let mut first = vec![
        json!({ "type": "response.created", "response": response("in_progress") }),
        json!({ "type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "Two places." }),
        json!({ "type": "response.output_item.done", "output_index": 0, "item": reasoning }),
    ];
    first.extend(call(1, "call_a", &["{\"at\":", " 1}"]));
    first.extend(call(2, "call_b", &["{\"at\": 2}"]));
    first.push(end("completed"));
    let second = [
        json!({ "type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Seen." }),
        end("completed"),
    ];
    let server = Server::with([Reply::events(first), Reply::events(second)]);
    let (agent, session) = session(&server, "responses", "/v1", MODEL).await;
    let outcome = ask(&agent, &session, "Look around").await;
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    assert_eq!(said(&session).text(), "Seen.");
    let usage = session.usage();
    assert_eq!((usage.input_tokens, usage.cached_input_tokens, usage.reasoning_tokens), (100, 80, 16));

    let asked = server.asked();
    assert_eq!(asked[0].path, "/v1/responses");
    assert_eq!(asked[0].header("authorization"), Some("Bearer sk-very-secret"));
    let body = &asked[0].body;
    assert_eq!(body["instructions"], "You are Crow.\n\nYou are here.\n\nIt is Monday.");
    assert_eq!((&body["store"], &body["stream"]), (&json!(false), &json!(true)));
    assert_eq!(body["include"], json!(["reasoning.encrypted_content"]));
    assert_eq!(body["prompt_cache_key"], session.id());
    let input = asked[1].body["input"].as_array().unwrap();
    let first = asked[0].body["input"].as_array().unwrap();
    assert_eq!(input[..first.len()], first[..], "what was sent is sent again as it was");
    assert_eq!(
        input[first.len()..],
        [
            json!({ "type": "reasoning", "encrypted_content": "gAAAAABo", "summary": [] }),
            json!({ "type": "function_call", "call_id": "call_a", "name": "look", "arguments": "{\"at\":1}" }),
            json!({ "type": "function_call", "call_id": "call_b", "name": "look", "arguments": "{\"at\":2}" }),
            json!({ "type": "function_call_output", "call_id": "call_a", "output": "saw 1" }),
            json!({ "type": "function_call_output", "call_id": "call_b", "output": "nothing there" }),
        ]
    );
}

#[tokio::test]
async fn a_call_that_comes_only_with_the_end_is_made() {
    let mut done = end("completed");
    done["response"]["output"] =
        json!([{ "type": "function_call", "call_id": "call_a", "name": "look", "arguments": "{\"at\": 7}" }]);
    let second = [
        json!({ "type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "ok" }),
        end("completed"),
    ];
    let server = Server::with([Reply::events([done]), Reply::events(second)]);
    let (agent, session) = session(&server, "responses", "/v1", "gpt-4.1").await;
    assert!(ask(&agent, &session, "hi").await.error.is_none());
    let input = server.asked()[1].body["input"].clone();
    assert!(input.to_string().contains("saw 7"), "{input:#}");
    // A model that does not reason refuses to be asked how.
    assert!(server.asked()[0].body.get("reasoning").is_none());
}

#[tokio::test]
async fn answers_that_end_otherwise() {
    let text = json!({ "type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Half" });
    let server = Server::with([Reply::events([text, end("incomplete")])]);
    let (agent, session) = session(&server, "responses", "/v1", MODEL).await;
    assert_eq!(ask(&agent, &session, "go").await.stop_reason, StopReason::MaxTokens);

    let mut failed = end("failed");
    failed["response"]["error"] =
        json!({ "code": "context_length_exceeded", "message": "Your input exceeds the context window of this model." });
    let error = error_of(&Server::with([Reply::events([failed])]), "responses", MODEL).await;
    assert_eq!(error.kind(), Some(Kind::ContextOverflow), "{error}");
    let event = json!({ "type": "error", "code": "server_error", "message": "something broke" });
    let error = error_of(&Server::with([Reply::events([event])]), "responses", MODEL).await;
    assert_eq!(error.kind(), Some(Kind::Server), "{error}");
    let body = json!({ "error": { "code": "insufficient_quota", "message": "You exceeded your current quota" } });
    let error = error_of(&Server::with([Reply::json(429, &body)]), "responses", MODEL).await;
    assert_eq!(error.kind(), Some(Kind::Payment), "{error}");
}
