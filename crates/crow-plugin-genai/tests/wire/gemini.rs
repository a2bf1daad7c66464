//! Gemini.

use crow_acp::{ProviderErrorKind as Kind, StopReason};
use serde_json::{Value, json};

use crate::server::{Reply, Server};
use crate::{ask, error_of, said, session};

const MODEL: &str = "gemini-3-pro-preview";

fn chunk(parts: &Value, finish: Option<&str>) -> Value {
    let mut candidate = json!({ "content": { "role": "model", "parts": parts } });
    if let Some(finish) = finish {
        candidate["finishReason"] = finish.into();
    }
    json!({ "candidates": [candidate], "usageMetadata": {
        "promptTokenCount": 60, "cachedContentTokenCount": 50, "candidatesTokenCount": 10, "thoughtsTokenCount": 6,
        "totalTokenCount": 76,
    } })
}

#[tokio::test]
async fn a_tool_round_returns_each_signature_with_its_call() {
    let server = Server::with([
        Reply::events([
            chunk(&json!([{ "text": "Two places.", "thought": true }]), None),
            chunk(&json!([{ "text": "Looking." }]), None),
            chunk(
                &json!([{ "functionCall": { "name": "look", "args": { "at": 1 } }, "thoughtSignature": "Cone" }]),
                None,
            ),
            chunk(
                &json!([{ "functionCall": { "name": "look", "args": { "at": 2 } }, "thoughtSignature": "Ctwo" }]),
                Some("STOP"),
            ),
        ]),
        Reply::events([chunk(&json!([{ "text": "Seen." }]), Some("STOP"))]),
    ]);
    let (agent, session) = session(&server, "gemini", "/v1beta", MODEL).await;
    let outcome = ask(&agent, &session, "Look around").await;
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    assert_eq!((outcome.stop_reason, said(&session).text().as_str()), (StopReason::EndTurn, "Seen."));
    let usage = session.usage();
    assert_eq!((usage.input_tokens, usage.cached_input_tokens, usage.reasoning_tokens), (120, 100, 12));

    let asked = server.asked();
    assert_eq!(asked[0].path, format!("/v1beta/models/{MODEL}:streamGenerateContent?alt=sse"));
    assert_eq!(asked[0].header("x-goog-api-key"), Some("sk-very-secret"));
    let body = &asked[0].body;
    assert!(body["systemInstruction"].to_string().contains("You are Crow."), "{body:#}");
    assert_eq!(body["generationConfig"]["thinkingConfig"]["includeThoughts"], true);
    assert_eq!(body["tools"][0]["functionDeclarations"][0]["name"], "look");
    let contents = asked[1].body["contents"].as_array().unwrap();
    assert_eq!(contents.len(), 3, "{contents:#?}");
    let model = contents[1]["parts"].as_array().unwrap();
    assert_eq!(model.len(), 3, "{model:#?}");
    assert_eq!(model[0]["text"], "Looking.");
    for (part, at, signature) in [(&model[1], 1, "Cone"), (&model[2], 2, "Ctwo")] {
        assert_eq!(part["functionCall"]["args"]["at"], at);
        assert_eq!(part["thoughtSignature"], signature);
    }
    let results = contents[2]["parts"].as_array().unwrap();
    assert_eq!(results.len(), 2, "all results of a turn go together");
    assert_eq!(results[0]["functionResponse"]["name"], "look");
    assert!(results[1].to_string().contains("nothing there"));
}

#[tokio::test]
async fn errors_have_our_kinds() {
    let error =
        |code: u16, message: &str| json!({ "error": { "code": code, "message": message, "status": "WHATEVER" } });
    for (reply, kind) in [
        (Reply::json(429, &error(429, "Resource has been exhausted")), Kind::RateLimit),
        (Reply::json(503, &error(503, "The model is overloaded")), Kind::Overloaded),
        (
            Reply::json(
                400,
                &json!([error(400, "The input token count exceeds the maximum number of tokens allowed")]),
            ),
            Kind::ContextOverflow,
        ),
        (Reply::json(403, &error(403, "API key not valid")), Kind::Authentication),
        (Reply::events([error(503, "overloaded")]), Kind::Overloaded),
    ] {
        let error = error_of(&Server::with([reply]), "gemini", MODEL).await;
        assert_eq!(error.kind(), Some(kind), "{error}");
    }
}

#[tokio::test]
async fn what_safety_stops_is_a_refusal() {
    let server = Server::with([Reply::events([chunk(&json!([{ "text": "I" }]), Some("SAFETY"))])]);
    let (agent, session) = session(&server, "gemini", "/v1beta", "gemini-1.5-pro").await;
    assert_eq!(ask(&agent, &session, "go").await.stop_reason, StopReason::Refusal);
    assert!(!server.asked()[0].body.to_string().contains("thinkingConfig"));
}
