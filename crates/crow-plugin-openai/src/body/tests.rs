//! The body as an endpoint reads it.

use std::sync::Arc;

use crow_acp::{BoxFuture, Model, ModelId, Scope, Section, ToolContext, ToolError, ToolHandler, ToolOutcome};
use proptest::prelude::*;
use serde_json::json;

use super::*;

struct Nothing;

impl ToolHandler for Nothing {
    fn call<'a>(&'a self, _: &'a ToolContext, _: &'a ToolCall) -> BoxFuture<'a, Result<ToolOutcome, ToolError>> {
        Box::pin(async { Ok(ToolOutcome::ok("")) })
    }
}

fn dialect(base: &str) -> Dialect {
    Dialect::of(&base.parse().expect("a URL"))
}

fn body_at(base: &str, request: &Request) -> Value {
    let bytes = write(request, request.model.images, &dialect(base)).expect("JSON");
    serde_json::from_slice(&bytes).expect("JSON")
}

fn body(request: &Request) -> Value {
    body_at("http://127.0.0.1:1/v1", request)
}

fn request(messages: Vec<Message>) -> Request {
    Request::new("s", Model::new(ModelId::new("local", "m")), messages)
}

#[test]
fn the_whole_of_it() {
    let mut request = request(vec![
        Message::user("hi"),
        Message::new(
            Role::Assistant,
            vec![
                Part::Reasoning { text: "hm".into(), signature: None, model: Some("local/m".into()) },
                Part::ToolCall(ToolCall::from_raw("c1", "read", "{\"path\": 1}")),
            ],
        ),
        Message::tool_result("c1", "read", "text", false),
        Message::assistant("done"),
    ]);
    request.system.push(Section::new("role", "test", Scope::Static, "You are Crow."));
    request.tools.push(Arc::new(ToolDescriptor::new("read", "Reads.", json!({ "type": "object" }), Nothing)));
    request.parameters.max_output_tokens = Some(100);
    request.parameters.temperature = Some(0.5);
    request.parameters.extra.insert("top_k".into(), json!(3));
    assert_eq!(
        body(&request),
        json!({
            "model": "m",
            "tools": [{ "type": "function", "function": { "name": "read", "description": "Reads.", "parameters": { "type": "object" } } }],
            "messages": [
                { "role": "system", "content": "You are Crow." },
                { "role": "user", "content": "hi" },
                { "role": "assistant", "reasoning_content": "hm", "content": null, "tool_calls": [
                    { "id": "c1", "type": "function", "function": { "name": "read", "arguments": "{\"path\": 1}" } },
                ] },
                { "role": "tool", "tool_call_id": "c1", "content": "text" },
                { "role": "assistant", "content": "done" },
            ],
            "stream": true,
            "stream_options": { "include_usage": true },
            "max_tokens": 100,
            "temperature": 0.5,
            "top_k": 3,
        })
    );
}

#[test]
fn what_changes_least_comes_first() {
    let mut request = request(vec![Message::user("HISTORY")]);
    request.system.push(Section::new("role", "test", Scope::Static, "SYSTEM"));
    request.tools.push(Arc::new(ToolDescriptor::new("TOOL", "", json!({}), Nothing)));
    let text = String::from_utf8(write(&request, false, &dialect("http://h/")).expect("JSON")).expect("UTF-8");
    let at = |what: &str| text.find(what).expect(what);
    assert!(at("TOOL") < at("SYSTEM") && at("SYSTEM") < at("HISTORY"));
}

#[test]
fn the_session_is_named_only_where_it_helps_the_cache() {
    let request = request(vec![Message::user("a")]);
    assert_eq!(body_at("https://api.openai.com/v1", &request)["prompt_cache_key"], "s");
    assert_eq!(body(&request).get("prompt_cache_key"), None);
}

#[test]
fn one_system_message_only() {
    let mut request = request(vec![Message::user("a"), Message::system("late"), Message::user("b")]);
    request.system.push(Section::new("role", "test", Scope::Static, "first"));
    let messages = body(&request)["messages"].clone();
    assert_eq!(messages[0], json!({ "role": "system", "content": "first\n\nlate" }));
    assert_eq!(messages.as_array().map(Vec::len), Some(3));
}

#[test]
fn the_users_own_fields_win() {
    let mut request = request(vec![Message::user("a")]);
    request.parameters.max_output_tokens = Some(5);
    request.parameters.extra =
        serde_json::from_value(json!({ "max_completion_tokens": 7, "stream_options": null, "stream": false }))
            .expect("a map");
    let body = body(&request);
    assert_eq!((&body["max_completion_tokens"], &body["max_tokens"]), (&json!(7), &Value::Null));
    assert_eq!((&body["stream"], body.get("stream_options")), (&json!(true), None));
}

#[test]
fn reasoning_goes_back_only_to_its_model_and_where_it_is_taken() {
    let said = |model: &str| {
        let reasoning = Part::Reasoning { text: "hm".into(), signature: None, model: Some(model.into()) };
        request(vec![Message::new(Role::Assistant, vec![reasoning, Part::text("a")])])
    };
    let message = |base: &str, model: &str| body_at(base, &said(model))["messages"][0].clone();
    assert_eq!(message("https://api.deepseek.com", "local/m")["reasoning_content"], "hm");
    assert_eq!(message("https://openrouter.ai/api/v1", "local/m")["reasoning"], "hm");
    assert_eq!(message("https://api.deepseek.com", "other/m"), json!({ "role": "assistant", "content": "a" }));
    assert_eq!(message("https://api.mistral.ai/v1", "local/m"), json!({ "role": "assistant", "content": "a" }));
}

#[test]
fn an_answer_of_reasoning_alone_is_left_out_where_it_cannot_be_said() {
    let reasoning = Part::Reasoning { text: "hm".into(), signature: None, model: Some("local/m".into()) };
    let request = request(vec![Message::user("a"), Message::new(Role::Assistant, vec![reasoning]), Message::user("b")]);
    assert_eq!(body_at("https://api.openai.com/v1", &request)["messages"].as_array().map(Vec::len), Some(2));
}

#[test]
fn pictures_go_to_models_that_take_them() {
    let picture = Part::Image { mime_type: "image/png".into(), data: "QUJD".into(), uri: None };
    let mut request = request(vec![Message::new(Role::User, vec![Part::text("look"), picture])]);
    let without = body(&request)["messages"][0]["content"].clone();
    assert_eq!(without, "look\n[image/png left out: local/m is not known to take pictures]");
    request.model.images = true;
    let with = body(&request)["messages"][0]["content"].clone();
    assert_eq!(
        with,
        json!([
            { "type": "text", "text": "look" },
            { "type": "image_url", "image_url": { "url": "data:image/png;base64,QUJD" } },
        ])
    );
}

#[test]
fn arguments_that_are_no_object_are_quoted() {
    let call = |raw: &str| {
        request(vec![Message::new(Role::Assistant, vec![Part::ToolCall(ToolCall::from_raw("c", "t", raw))])])
    };
    let sent = |raw: &str| body(&call(raw))["messages"][0]["tool_calls"][0]["function"]["arguments"].clone();
    assert_eq!(sent("{\"a\": 1}"), "{\"a\": 1}");
    assert_eq!(sent("{\"a\": "), r#"{"not_an_object":"{\"a\": "}"#);
    assert_eq!(sent("[1]"), r#"{"not_an_object":"[1]"}"#);
    assert_eq!(sent(""), "{}");
}

fn messages() -> impl Strategy<Value = Vec<Message>> {
    let text = "[a-zé\"\\\\\n]{0,12}";
    let message = prop_oneof![
        text.prop_map(Message::user),
        text.prop_map(Message::assistant),
        (text, text).prop_map(|(name, text)| Message::tool_result("c", name, text, false)),
        (text, text).prop_map(|(text, raw)| Message::new(
            Role::Assistant,
            vec![
                Part::Reasoning { text: text.clone(), signature: None, model: Some("local/m".into()) },
                Part::text(text),
                Part::ToolCall(ToolCall::from_raw("c", "t", raw)),
            ]
        )),
        text.prop_map(|data| Message::new(
            Role::User,
            vec![Part::Image { mime_type: "image/png".into(), data, uri: None }]
        )),
    ];
    proptest::collection::vec(message, 0..12)
}

proptest! {
    /// What an endpoint has cached of a request is good for the next: same bytes as far as the history is the same.
    #[test]
    fn a_request_begins_as_the_one_before_it(messages in messages(), cut in any::<prop::sample::Index>(), images in any::<bool>()) {
        let cut = cut.index(messages.len() + 1);
        let dialect = dialect("http://127.0.0.1:1/v1");
        let text = |messages: &[Message]| {
            let mut request = request(messages.to_vec());
            request.model.images = images;
            request.system.push(Section::new("role", "test", Scope::Static, "S"));
            request.tools.push(Arc::new(ToolDescriptor::new("t", "d", json!({ "b": 1, "a": 2 }), Nothing)));
            String::from_utf8(write(&request, images, &dialect).expect("JSON")).expect("UTF-8")
        };
        let (before, after) = (text(&messages[..cut]), text(&messages));
        let end = before.find(r#"],"stream":true"#).expect("the end of the messages");
        prop_assert_eq!(&after[..end], &before[..end]);
        prop_assert_eq!(&text(&messages), &after);
    }
}
