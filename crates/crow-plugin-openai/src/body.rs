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
mod tests;
