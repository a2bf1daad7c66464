//! Ollama's own protocol.

use crow_acp::ProviderErrorKind as Kind;
use serde_json::{Value, json};

use crate::server::{Reply, Server};
use crate::{ask, error_of, said, session};

fn line(message: &Value, done: bool) -> Value {
    let mut line = json!({ "model": "qwen3", "message": message, "done": done });
    if done {
        line["done_reason"] = "stop".into();
        line["prompt_eval_count"] = 25.into();
        line["eval_count"] = 9.into();
    }
    line
}

fn look(at: u32) -> Value {
    json!({ "function": { "name": "look", "arguments": { "at": at } } })
}

#[tokio::test]
async fn a_tool_round() {
    let server = Server::with([
        Reply::lines([
            line(&json!({ "role": "assistant", "content": "", "thinking": "Two places." }), false),
            line(&json!({ "role": "assistant", "content": "Looking." }), false),
            line(&json!({ "role": "assistant", "content": "", "tool_calls": [look(1), look(2)] }), false),
            line(&json!({ "role": "assistant", "content": "" }), true),
        ]),
        Reply::lines([line(&json!({ "role": "assistant", "content": "Seen." }), true)]),
    ]);
    let (agent, session) = session(&server, "ollama", "", "qwen3").await;
    let outcome = ask(&agent, &session, "Look around").await;
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    assert_eq!(said(&session).text(), "Seen.");
    assert_eq!((session.usage().input_tokens, session.usage().output_tokens), (50, 18));

    let asked = server.asked();
    assert_eq!(asked[0].path, "/api/chat");
    assert_eq!(asked[0].header("x-own"), Some("mine"));
    let (first, second) = (&asked[0].body["messages"], asked[1].body["messages"].as_array().unwrap());
    let first = first.as_array().unwrap();
    assert_eq!(first[0]["role"], "system");
    assert_eq!(second[..first.len()], first[..]);
    let roles: Vec<&str> = second[first.len()..].iter().filter_map(|message| message["role"].as_str()).collect();
    assert_eq!(roles, ["assistant", "tool", "tool"], "each result has a message of its own");
    assert_eq!(second[first.len()]["tool_calls"].as_array().map(Vec::len), Some(2));
    assert_eq!(second[first.len() + 1]["content"], "saw 1");
}

#[tokio::test]
async fn the_models_of_a_server_are_listed() {
    let server = Server::with([Reply::json(200, &json!({ "models": [{ "name": "qwen3:8b" }, { "name": "gemma3" }] }))]);
    let (agent, _session) = session(&server, "ollama", "", "qwen3").await;
    let models = agent.provider("p").unwrap().handler.list_models().await.unwrap();
    let names: Vec<String> = models.iter().map(|model| model.id.to_string()).collect();
    assert_eq!(names, ["p/gemma3", "p/qwen3:8b"]);
    assert_eq!(server.asked()[0].path, "/api/tags");
}

#[tokio::test]
async fn a_model_that_is_not_there_is_named() {
    let server = Server::with([Reply::json(404, &json!({ "error": "model 'nobody' not found" }))]);
    let error = error_of(&server, "ollama", "nobody").await;
    assert_eq!(error.kind(), Some(Kind::NotFound));
    assert!(error.message.contains("model 'nobody' not found"), "{error}");
}
