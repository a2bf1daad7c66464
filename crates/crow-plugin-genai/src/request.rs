//! From our request to the crate's.

use crow_acp::{Message, Part, Request, Role, Scope, ToolCall, ToolResult};
use genai::chat::{
    CacheControl, ChatMessage, ChatOptions, ChatRequest, ChatRole, ContentPart, CustomPart, MessageContent,
    ReasoningEffort, Tool, ToolResponse,
};
use serde_json::{Map, Value, json};

use crate::protocol::Protocol;
use crate::signature::Signature;

/// The conversation and the tools.
pub(crate) fn conversation(protocol: Protocol, request: &Request) -> ChatRequest {
    let mut messages = system(protocol, request);
    let mut said = Vec::new();
    for message in &request.messages {
        match message.role {
            Role::System => {}
            Role::User => push(&mut said, protocol, ChatRole::User, user(message)),
            Role::Tool => push(&mut said, protocol, results_of(protocol), results(protocol, message)),
            Role::Assistant => {
                let model = request.model.id.to_string();
                push(&mut said, protocol, ChatRole::Assistant, assistant(protocol, message, &model));
            }
        }
    }
    if protocol == Protocol::Anthropic {
        mark(&mut said);
    }
    messages.extend(said);
    let mut conversation = ChatRequest::from_messages(messages);
    // Its own place in the other protocols; a message of the system's among the others does as well for them, but not for
    // the prefix that their caches keep.
    if protocol != Protocol::Anthropic {
        let text = request.system.text();
        conversation.system = (!text.is_empty()).then_some(text);
    }
    if !request.tools.is_empty() {
        conversation.tools = Some(
            request
                .tools
                .iter()
                .map(|tool| {
                    Tool::new(tool.name.as_str())
                        .with_description(tool.description.as_str())
                        .with_schema(tool.input_schema.clone())
                })
                .collect(),
        );
    }
    conversation
}

/// Everything else.
pub(crate) fn options(protocol: Protocol, request: &Request) -> ChatOptions {
    let parameters = &request.parameters;
    let mut options =
        ChatOptions::default().with_capture_usage(true).with_capture_content(true).with_capture_tool_calls(true);
    let effort = parameters.reasoning_effort.as_deref();
    let shows = protocol.shows_reasoning(&request.model.id.name, request.model.reasoning || effort.is_some());
    options = options.with_capture_reasoning_content(shows);
    // Anthropic wants to be told; what the crate would say is a guess.
    let known = request.model.max_output.filter(|_| protocol == Protocol::Anthropic);
    if let Some(limit) = parameters.max_output_tokens.or(known) {
        options = options.with_max_tokens(u32::try_from(limit).unwrap_or(u32::MAX));
    }
    if let Some(temperature) = parameters.temperature {
        options = options.with_temperature(temperature);
    }
    let mut extra = parameters.extra.clone();
    match effort.map(|effort| (effort, ReasoningEffort::from_keyword(effort))) {
        Some((_, Some(known))) => options = options.with_reasoning_effort(known),
        Some((effort, None)) if protocol == Protocol::Responses => {
            extra.entry("reasoning").or_insert_with(|| json!({ "effort": effort }));
        }
        _ => {}
    }
    if protocol == Protocol::Responses {
        options = options.with_prompt_cache_key(request.session_id.as_str());
    }
    if !extra.is_empty() {
        options = options.with_extra_body(Value::Object(extra));
    }
    options
}

/// The system prompt as messages, for the one protocol that caches it in pieces: what is the same in all sessions ends at a
/// mark, and so does what is the same through this one.
fn system(protocol: Protocol, request: &Request) -> Vec<ChatMessage> {
    if protocol != Protocol::Anthropic {
        return Vec::new();
    }
    let text = |scope: Scope| {
        let sections = request.system.sections().iter().filter(|section| section.scope == scope);
        let texts: Vec<&str> = sections.map(|section| section.text.as_str()).filter(|text| !text.is_empty()).collect();
        texts.join("\n\n")
    };
    let marked = |text: String, is_stable: bool| {
        let message = ChatMessage::system(text);
        if is_stable { message.with_options(CacheControl::Ephemeral) } else { message }
    };
    [Scope::Static, Scope::Session, Scope::Turn]
        .into_iter()
        .map(|scope| (text(scope), scope != Scope::Turn))
        .filter(|(text, _)| !text.is_empty())
        .map(|(text, is_stable)| marked(text, is_stable))
        .collect()
}

/// Marks the last two messages that do not come from the model, so that a request finds what the one before it wrote. With
/// the two of the system prompt these are the four marks that there may be.
fn mark(messages: &mut [ChatMessage]) {
    let asked = messages.iter_mut().rev().filter(|message| message.role == ChatRole::User);
    for message in asked.take(2) {
        message.options = Some(CacheControl::Ephemeral.into());
    }
}

/// Who speaks in a message of results. Anthropic wants all results of a turn, and what the user adds to them, in one
/// message of the user's.
fn results_of(protocol: Protocol) -> ChatRole {
    if protocol == Protocol::Anthropic { ChatRole::User } else { ChatRole::Tool }
}

/// Adds a message, to the one before if that is of the same speaker and the protocol wants them to take turns.
fn push(messages: &mut Vec<ChatMessage>, protocol: Protocol, role: ChatRole, parts: Vec<ContentPart>) {
    if parts.is_empty() {
        return;
    }
    let takes_turns = match protocol {
        Protocol::Anthropic => true,
        Protocol::Gemini => role != ChatRole::Tool,
        Protocol::Responses | Protocol::Ollama => false,
    };
    match messages.last_mut() {
        Some(last) if takes_turns && last.role == role => last.content.extend(parts),
        _ => messages.push(ChatMessage::new(role, MessageContent::from_parts(parts))),
    }
}

fn user(message: &Message) -> Vec<ContentPart> {
    let parts = message.parts().iter().filter_map(|part| match part {
        Part::Text { text } if text.trim().is_empty() => None,
        Part::Text { text } => Some(ContentPart::Text(text.clone())),
        Part::Image { mime_type, data, .. } | Part::Audio { mime_type, data } => {
            Some(ContentPart::from_binary_base64(mime_type.as_str(), data.as_str(), None))
        }
        Part::ResourceLink { uri, name } => Some(ContentPart::Text(format!("[{name}]({uri})"))),
        Part::Resource { uri, text } => {
            Some(ContentPart::Text(format!("<resource uri=\"{uri}\">\n{text}\n</resource>")))
        }
        _ => None,
    });
    parts.collect()
}

fn results(protocol: Protocol, message: &Message) -> Vec<ContentPart> {
    let parts = message.parts().iter().filter_map(|part| match part {
        Part::ToolResult(result) => Some(self::result(protocol, result)),
        _ => None,
    });
    parts.collect()
}

fn result(protocol: Protocol, result: &ToolResult) -> ContentPart {
    if protocol == Protocol::Anthropic && result.is_error {
        // The crate has no word for a result that is an error.
        let data = json!({
            "type": "tool_result", "tool_use_id": result.call_id, "content": result.text, "is_error": true,
        });
        return ContentPart::Custom(CustomPart { model_iden: None, data });
    }
    let id = call_id(protocol, &result.call_id, &result.name);
    ContentPart::ToolResponse(ToolResponse::new(id, result.text.as_str()).with_fn_name(result.name.as_str()))
}

fn assistant(protocol: Protocol, message: &Message, model: &str) -> Vec<ContentPart> {
    let mut parts = Vec::new();
    let mut of_calls: Vec<(usize, String)> = Vec::new();
    let mut number = 0;
    for part in message.parts() {
        match part {
            Part::Text { text } if !text.trim().is_empty() => parts.push(ContentPart::Text(text.clone())),
            // Only the model that signed it can read it.
            Part::Reasoning { text, signature: Some(signature), model: Some(from) } if from == model => {
                match Signature::read(signature) {
                    Signature::Plain(signature) => {
                        parts.push(ContentPart::ThoughtSignature(signature));
                        if protocol == Protocol::Anthropic {
                            parts.push(ContentPart::ReasoningContent(text.clone()));
                        }
                    }
                    Signature::Call(call, signature) => of_calls.push((call, signature)),
                    Signature::Block(data) => parts.push(ContentPart::Custom(CustomPart { model_iden: None, data })),
                }
            }
            Part::ToolCall(call) => {
                let signatures =
                    of_calls.iter().filter(|(of, _)| *of == number).map(|(_, text)| text.clone()).collect();
                parts.push(ContentPart::ToolCall(self::call(protocol, call, signatures)));
                number += 1;
            }
            _ => {}
        }
    }
    parts
}

fn call(protocol: Protocol, call: &ToolCall, signatures: Vec<String>) -> genai::chat::ToolCall {
    let arguments = match &call.arguments {
        arguments @ Value::Object(_) => arguments.clone(),
        // It was refused as it stands; the model still sees that it called.
        _ => Value::Object(Map::new()),
    };
    genai::chat::ToolCall {
        call_id: call_id(protocol, &call.id, &call.name),
        fn_name: call.name.clone(),
        fn_arguments: arguments,
        thought_signatures: (!signatures.is_empty()).then_some(signatures),
    }
}

/// The id of a call as the provider knows it. Older models of Gemini give none: the crate makes one up and takes it out
/// again, if it is still of its form.
fn call_id(protocol: Protocol, id: &str, name: &str) -> String {
    if protocol == Protocol::Gemini && id.starts_with("call#") { format!("call#{name}#0") } else { id.to_owned() }
}
