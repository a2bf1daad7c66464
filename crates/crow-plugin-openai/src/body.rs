//! The body of a request, written once and straight from the agent's own types.
//!
//! What changes least comes first (tools, system prompt, history), nothing in it depends on the time or on chance, and a
//! message that has been sent is written the same way ever after: what the endpoint has cached stays good.

use std::borrow::Cow;
use std::fmt::Write as _;

use crow_acp::{Message, Part, Request, Role, ToolCall, ToolDescriptor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::dialect::{Dialect, ReasoningField};

/// The body of `request`; pictures are left out unless the model takes `images`.
///
/// # Errors
/// Never in practice: there is nothing in a request that JSON cannot hold.
pub(crate) fn write(request: &Request, images: bool, dialect: &Dialect) -> Result<Vec<u8>, serde_json::Error> {
    // Enough for most, so that a long history is not copied again and again while it grows.
    let guess: usize = request.messages.iter().map(|message| message.estimated_tokens() as usize * 5 + 64).sum();
    let mut out = Vec::with_capacity(4096 + guess);
    serde_json::to_writer(&mut out, &Body { request, images, dialect })?;
    Ok(out)
}

struct Body<'a> {
    request: &'a Request,
    images: bool,
    dialect: &'a Dialect,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { request, images, dialect } = *self;
        let parameters = &request.parameters;
        // What the user wants in the body goes before what we would put there.
        let own = |key: &str| !parameters.extra.contains_key(key);
        let mut map = serializer.serialize_map(None)?;
        if own("model") {
            map.serialize_entry("model", &request.model.id.name)?;
        }
        if !request.tools.is_empty() && own("tools") {
            map.serialize_entry("tools", &Tools(&request.tools))?;
        }
        map.serialize_entry("messages", &Messages { request, images, dialect })?;
        map.serialize_entry("stream", &true)?;
        if dialect.stream_usage() && own("stream_options") {
            map.serialize_entry("stream_options", &StreamOptions { include_usage: true })?;
        }
        if dialect.cache_key && own("prompt_cache_key") {
            map.serialize_entry("prompt_cache_key", &request.session_id)?;
        }
        let limit = dialect.limit_field();
        if let Some(most) = parameters.max_output_tokens.filter(|_| own("max_tokens") && own("max_completion_tokens")) {
            map.serialize_entry(limit, &most)?;
        }
        if let Some(temperature) = parameters.temperature.filter(|_| own("temperature")) {
            map.serialize_entry("temperature", &temperature)?;
        }
        if let Some(effort) = parameters.reasoning_effort.as_ref().filter(|_| own("reasoning_effort")) {
            map.serialize_entry("reasoning_effort", effort)?;
        }
        for (key, value) in &parameters.extra {
            // `null` takes a field out.
            if !value.is_null() && key != "messages" && key != "stream" {
                map.serialize_entry(key, value)?;
            }
        }
        map.end()
    }
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

struct Tools<'a>(&'a [std::sync::Arc<ToolDescriptor>]);

impl Serialize for Tools<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Tool<'a> {
            r#type: &'static str,
            function: Function<'a>,
        }
        #[derive(Serialize)]
        struct Function<'a> {
            name: &'a str,
            description: &'a str,
            parameters: &'a Value,
        }
        serializer.collect_seq(self.0.iter().map(|tool| {
            let function =
                Function { name: &tool.name, description: &tool.description, parameters: &tool.input_schema };
            Tool { r#type: "function", function }
        }))
    }
}

struct Messages<'a> {
    request: &'a Request,
    images: bool,
    dialect: &'a Dialect,
}

impl Serialize for Messages<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let messages = &self.request.messages;
        let mut seq = serializer.serialize_seq(None)?;
        // One system message only, whoever made the request: many models' templates know no other place for it.
        let mut system = self.request.system.text();
        for message in messages.iter().filter(|message| message.role == Role::System) {
            if !system.is_empty() {
                system.push_str("\n\n");
            }
            system.push_str(&message.text());
        }
        if !system.is_empty() {
            seq.serialize_element(&Plain { role: "system", content: &system })?;
        }
        for message in messages {
            match message.role {
                Role::System => {}
                Role::User => seq.serialize_element(&self.user(message))?,
                Role::Assistant => {
                    let assistant = self.assistant(message);
                    if !assistant.is_empty() {
                        seq.serialize_element(&assistant)?;
                    }
                }
                Role::Tool => {
                    for part in message.parts() {
                        if let Part::ToolResult(result) = part {
                            let tool =
                                ToolMessage { role: "tool", tool_call_id: &result.call_id, content: &result.text };
                            seq.serialize_element(&tool)?;
                        }
                    }
                }
            }
        }
        seq.end()
    }
}

impl<'a> Messages<'a> {
    fn user(&self, message: &'a Message) -> User<'a> {
        let parts = message.parts().iter().filter_map(|part| match part {
            Part::Text { text } => Some(UserPart::Text { text: Cow::Borrowed(text) }),
            Part::Resource { uri, text } => Some(UserPart::text(format!("<file uri=\"{uri}\">\n{text}\n</file>"))),
            Part::ResourceLink { uri, name } => Some(UserPart::text(format!("[{name}]({uri})"))),
            Part::Image { mime_type, data, .. } if self.images => {
                Some(UserPart::ImageUrl { image_url: ImageUrl { url: DataUrl { mime_type, data } } })
            }
            Part::Image { mime_type, uri, .. } => {
                let model = &self.request.model.id;
                let place = uri.as_deref().map(|uri| format!(" {uri}")).unwrap_or_default();
                Some(UserPart::text(format!("[{mime_type}{place} left out: {model} is not known to take pictures]")))
            }
            Part::Audio { mime_type, data } => Some(UserPart::InputAudio {
                input_audio: InputAudio { data, format: mime_type.rsplit(['/', '-']).next().unwrap_or(mime_type) },
            }),
            _ => None,
        });
        User { role: "user", content: UserContent(parts.collect()) }
    }

    fn assistant(&self, message: &'a Message) -> Assistant<'a> {
        let mut content = String::new();
        let mut reasoning = String::new();
        let mut calls = Vec::new();
        let id = &self.request.model.id;
        for part in message.parts() {
            match part {
                Part::Text { text } => content.push_str(text),
                Part::Reasoning { text, model, .. } if self.dialect.reasoning != ReasoningField::None => {
                    let same = model.as_deref().and_then(|model| model.split_once('/'));
                    if same == Some((id.provider.as_str(), id.name.as_str())) {
                        reasoning.push_str(text);
                    }
                }
                Part::ToolCall(call) => calls.push(call),
                _ => {}
            }
        }
        let field = self.dialect.reasoning;
        Assistant { content, reasoning, field, calls }
    }
}

#[derive(Serialize)]
struct Plain<'a> {
    role: &'static str,
    content: &'a str,
}

#[derive(Serialize)]
struct ToolMessage<'a> {
    role: &'static str,
    tool_call_id: &'a str,
    content: &'a str,
}

#[derive(Serialize)]
struct User<'a> {
    role: &'static str,
    content: UserContent<'a>,
}

/// A plain string as long as there is nothing but text: the one form that every server takes.
struct UserContent<'a>(Vec<UserPart<'a>>);

impl Serialize for UserContent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let [UserPart::Text { text }] = self.0.as_slice() {
            return serializer.serialize_str(text);
        }
        let mut all = String::new();
        for part in &self.0 {
            let UserPart::Text { text } = part else { return serializer.collect_seq(&self.0) };
            if !all.is_empty() && !all.ends_with('\n') {
                all.push('\n');
            }
            all.push_str(text);
        }
        serializer.serialize_str(&all)
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum UserPart<'a> {
    Text { text: Cow<'a, str> },
    ImageUrl { image_url: ImageUrl<'a> },
    InputAudio { input_audio: InputAudio<'a> },
}

impl UserPart<'_> {
    fn text(text: String) -> Self {
        Self::Text { text: Cow::Owned(text) }
    }
}

#[derive(Serialize)]
struct ImageUrl<'a> {
    url: DataUrl<'a>,
}

/// Written without first building it: pictures are large.
struct DataUrl<'a> {
    mime_type: &'a str,
    data: &'a str,
}

impl Serialize for DataUrl<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("data:{};base64,{}", self.mime_type, self.data))
    }
}

#[derive(Serialize)]
struct InputAudio<'a> {
    data: &'a str,
    format: &'a str,
}

struct Assistant<'a> {
    content: String,
    reasoning: String,
    field: ReasoningField,
    calls: Vec<&'a ToolCall>,
}

impl Assistant<'_> {
    /// A message of nothing at all is refused by many servers, and one of reasoning only says nothing without it.
    fn is_empty(&self) -> bool {
        self.content.is_empty() && self.calls.is_empty() && self.reasoning.is_empty()
    }
}

impl Serialize for Assistant<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("role", "assistant")?;
        if !self.reasoning.is_empty() {
            match self.field {
                ReasoningField::ReasoningContent => map.serialize_entry("reasoning_content", &self.reasoning)?,
                ReasoningField::Reasoning => map.serialize_entry("reasoning", &self.reasoning)?,
                ReasoningField::None => {}
            }
        }
        if self.calls.is_empty() {
            map.serialize_entry("content", &self.content)?;
        } else {
            map.serialize_entry("content", &Some(&self.content).filter(|content| !content.is_empty()))?;
            map.serialize_entry("tool_calls", &Calls(&self.calls))?;
        }
        map.end()
    }
}

struct Calls<'a>(&'a [&'a ToolCall]);

impl Serialize for Calls<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Call<'a> {
            id: &'a str,
            r#type: &'static str,
            function: Function<'a>,
        }
        #[derive(Serialize)]
        struct Function<'a> {
            name: &'a str,
            arguments: Cow<'a, str>,
        }
        serializer.collect_seq(self.0.iter().map(|call| {
            let function = Function { name: &call.name, arguments: arguments(call) };
            Call { id: &call.id, r#type: "function", function }
        }))
    }
}

/// The arguments as the model wrote them. What is not JSON goes back as a JSON object that quotes it: servers that read
/// the arguments of past calls into their template refuse the whole conversation otherwise.
fn arguments(call: &ToolCall) -> Cow<'_, str> {
    if call.arguments.is_object() {
        return Cow::Borrowed(&call.raw_arguments);
    }
    let mut quoted = String::with_capacity(call.raw_arguments.len() + 32);
    let _ = write!(quoted, "{{\"not_an_object\":{}}}", Value::from(call.raw_arguments.as_str()));
    Cow::Owned(quoted)
}

#[cfg(test)]
mod tests {
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
        let request =
            request(vec![Message::user("a"), Message::new(Role::Assistant, vec![reasoning]), Message::user("b")]);
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
}
