//! Anthropic's Messages.

use std::time::Duration;

use crow_acp::{Part, ProviderErrorKind as Kind, StopReason};
use serde_json::{Value, json};

use crate::server::{Reply, Server};
use crate::{ask, error_of, said, session};

const MODEL: &str = "claude-sonnet-4-5";

fn start(usage: &Value) -> Value {
    json!({ "type": "message_start", "message": { "id": "m", "model": MODEL, "role": "assistant", "content": [], "usage": usage } })
}

fn block(index: u32, block: &Value, deltas: &[Value]) -> Vec<Value> {
    let mut events = vec![json!({ "type": "content_block_start", "index": index, "content_block": block })];
    events.extend(deltas.iter().map(|delta| json!({ "type": "content_block_delta", "index": index, "delta": delta })));
    events.push(json!({ "type": "content_block_stop", "index": index }));
    events
}

fn text(index: u32, text: &str) -> Vec<Value> {
    block(index, &json!({ "type": "text", "text": "" }), &[json!({ "type": "text_delta", "text": text })])
}

fn end(reason: &str) -> Vec<Value> {
    vec![
        json!({ "type": "message_delta", "delta": { "stop_reason": reason }, "usage": { "output_tokens": 30 } }),
        json!({ "type": "message_stop" }),
    ]
}

fn call(index: u32, id: &str, pieces: &[&str]) -> Vec<Value> {
    let deltas: Vec<Value> =
        pieces.iter().map(|piece| json!({ "type": "input_json_delta", "partial_json": piece })).collect();
    block(index, &json!({ "type": "tool_use", "id": id, "name": "look", "input": {} }), &deltas)
}

fn answer(parts: impl IntoIterator<Item = Vec<Value>>, reason: &str) -> Reply {
    let usage = json!({ "input_tokens": 10, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 5, "output_tokens": 1 });
    let events = std::iter::once(start(&usage)).chain([json!({ "type": "ping" })]);
    Reply::events(events.chain(parts.into_iter().flatten()).chain(end(reason)))
}

fn thinking(index: u32, text: &str, signature: &[&str]) -> Vec<Value> {
    let mut deltas = vec![json!({ "type": "thinking_delta", "thinking": text })];
    deltas.extend(signature.iter().map(|piece| json!({ "type": "signature_delta", "signature": piece })));
    block(index, &json!({ "type": "thinking", "thinking": "", "signature": "" }), &deltas)
}

#[tokio::test]
async fn a_tool_round_returns_signed_reasoning_unchanged() {
    let server = Server::with([
        answer(
            [
                thinking(0, "Two places.", &["EqQB", "CkYI=="]),
                block(1, &json!({ "type": "redacted_thinking", "data": "EmwK" }), &[]),
                text(2, "Looking."),
                call(3, "toolu_1", &["{\"at\"", ": 1}"]),
                call(4, "toolu_2", &["{\"at\": 2}"]),
                call(5, "toolu_3", &[]),
            ],
            "tool_use",
        ),
        answer([text(0, "Seen.")], "end_turn"),
    ]);
    let (agent, session) = session(&server, "anthropic", "/v1", MODEL).await;
    let outcome = ask(&agent, &session, "Look around").await;
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    assert_eq!(outcome.stop_reason, StopReason::EndTurn);
    assert_eq!(said(&session).text(), "Seen.");
    let usage = session.usage();
    assert_eq!((usage.input_tokens, usage.cached_input_tokens, usage.output_tokens), (230, 200, 60));

    let asked = server.asked();
    assert_eq!(asked[0].path, "/v1/messages");
    assert_eq!(asked[0].header("x-api-key"), Some("sk-very-secret"));
    assert_eq!(asked[0].header("x-own"), Some("mine"));
    assert!(asked[0].header("anthropic-version").is_some());
    assert_eq!(asked[0].body["max_tokens"], 64_000);
    assert_eq!(asked[0].body["tools"][0]["name"], "look");
    assert_eq!(asked[0].body["tools"][0]["input_schema"]["properties"]["at"]["type"], "integer");
    let mark = json!({ "type": "ephemeral" });
    assert_eq!(
        asked[0].body["system"],
        json!([
            { "type": "text", "text": "You are Crow.", "cache_control": mark },
            { "type": "text", "text": "You are here.", "cache_control": mark },
            { "type": "text", "text": "It is Monday." },
        ])
    );
    let messages = asked[1].body["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 3, "{messages:#?}");
    assert_eq!(
        messages[1]["content"],
        json!([
            { "type": "thinking", "thinking": "Two places.", "signature": "EqQBCkYI==" },
            { "type": "redacted_thinking", "data": "EmwK" },
            { "type": "text", "text": "Looking." },
            { "type": "tool_use", "id": "toolu_1", "name": "look", "input": { "at": 1 } },
            { "type": "tool_use", "id": "toolu_2", "name": "look", "input": { "at": 2 } },
            { "type": "tool_use", "id": "toolu_3", "name": "look", "input": {} },
        ])
    );
    assert_eq!(messages[2]["role"], "user");
    let results = messages[2]["content"].as_array().unwrap();
    assert_eq!(results.len(), 3, "all results of a turn go together: {results:#?}");
    assert_eq!(results[0], json!({ "type": "tool_result", "tool_use_id": "toolu_1", "content": "saw 1" }));
    assert_eq!(
        results[1],
        json!({ "type": "tool_result", "tool_use_id": "toolu_2", "content": "nothing there", "is_error": true })
    );
    // The ends of this request and of the one before it.
    assert_eq!(results[2]["cache_control"], mark);
    assert_eq!(messages[0]["content"][0]["cache_control"], mark);
    let marks = asked[1].body.to_string().matches("cache_control").count();
    assert_eq!(marks, 4, "more than four are refused");
}

#[tokio::test]
async fn reasoning_of_another_model_stays_here() {
    let server = Server::with([
        answer([thinking(0, "Hm.", &["c2ln"]), text(1, "One.")], "end_turn"),
        answer([text(0, "Two.")], "end_turn"),
    ]);
    let (agent, session) = session(&server, "anthropic", "/v1/", MODEL).await;
    ask(&agent, &session, "one").await;
    let parts = said(&session).parts().to_vec();
    assert!(
        matches!(&parts[0], Part::Reasoning { text, signature: Some(signature), .. } if text == "Hm." && signature == "c2ln"),
        "{parts:?}"
    );
    session.set_model(&"p/claude-haiku-4-5".parse().unwrap()).await.unwrap();
    ask(&agent, &session, "two").await;
    let asked = server.asked();
    assert!(!asked[1].body.to_string().contains("c2ln"), "{:#}", asked[1].body);
    assert_eq!(asked[1].body["messages"][1], json!({ "role": "assistant", "content": "One." }));
}

#[tokio::test]
async fn what_cuts_an_answer_short_is_told() {
    let server = Server::with([answer([text(0, "Half an")], "max_tokens"), answer([text(0, "")], "refusal")]);
    let (agent, session) = session(&server, "anthropic", "/v1", MODEL).await;
    assert_eq!(ask(&agent, &session, "go").await.stop_reason, StopReason::MaxTokens);
    assert_eq!(ask(&agent, &session, "go").await.stop_reason, StopReason::Refusal);
}

#[tokio::test]
async fn errors_have_our_kinds() {
    let error = |kind: &str, message: &str| json!({ "type": "error", "error": { "type": kind, "message": message } });
    for (status, body, kind) in [
        (401, error("authentication_error", "invalid x-api-key sk-very-secret"), Kind::Authentication),
        (404, error("not_found_error", "model: nobody"), Kind::NotFound),
        (
            400,
            error("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
            Kind::ContextOverflow,
        ),
        (400, error("invalid_request_error", "tools.0.name: too long"), Kind::BadRequest),
        (429, error("rate_limit_error", "slow down"), Kind::RateLimit),
        (500, error("api_error", "oops"), Kind::Server),
        (529, error("overloaded_error", "Overloaded"), Kind::Overloaded),
    ] {
        let server = Server::with([Reply::json(status, &body).header("retry-after", "7")]);
        let error = error_of(&server, "anthropic", MODEL).await;
        assert_eq!(error.kind(), Some(kind), "{error}");
        assert!(error.message.contains("provider `p` (127.0.0.1:") && !error.message.contains("secret"), "{error}");
        let told = error.provider.as_ref().expect("the provider's error");
        assert_eq!((told.status, told.retry_after), (Some(status), Some(Duration::from_secs(7))));
    }
}

#[tokio::test]
async fn streams_that_fail_on_the_way() {
    let broken = |more: Vec<Value>| Reply::events([start(&json!({ "input_tokens": 1 }))].into_iter().chain(more));
    let overloaded = json!({ "type": "error", "error": { "type": "overloaded_error", "message": "Overloaded" } });
    for (reply, kind) in [
        (broken(vec![overloaded]), Kind::Overloaded),
        (broken(vec![]), Kind::Connection),
        (broken(vec![]).hang(), Kind::Timeout),
    ] {
        let error = error_of(&Server::with([reply]), "anthropic", MODEL).await;
        assert_eq!(error.kind(), Some(kind), "{error}");
    }
    let nobody = Server::at(1);
    let error = error_of(&nobody, "anthropic", MODEL).await;
    assert_eq!(error.kind(), Some(Kind::Connection), "{error}");
}

#[tokio::test]
async fn reasoning_is_asked_for_by_effort() {
    let server = Server::with([answer([text(0, "ok")], "end_turn")]);
    let config = format!(
        "model = \"p/claude-3-7-sonnet\"\n[providers.p]\nprotocol = \"anthropic\"\nbase_url = \"{}\"\napi_key = \"k\"\n\
         [providers.p.models.claude-3-7-sonnet]\nreasoning_effort = \"low\"\ntemperature = 1.0\nextra = {{ top_k = 5 }}\n",
        server.url("/v1")
    );
    let agent = crate::start(&config).await.unwrap();
    let session = agent.new_session(crow_acp::NewSession::new("/tmp")).await.unwrap();
    ask(&agent, &session, "hi").await;
    let body = &server.asked()[0].body;
    assert_eq!(body["thinking"]["type"], "enabled", "{body:#}");
    assert_eq!((&body["temperature"], &body["top_k"]), (&json!(1.0), &json!(5)));
}
