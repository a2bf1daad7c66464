//! What an event means for the tables besides `events`: pure, so that it can be told again from the log.

use std::borrow::Cow;

use crow_acp::{Event, EventKind, Message, Part, Role, Usage};

/// The change that one event makes to its session's row and to `messages`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Projection {
    /// A user's prompt.
    pub(crate) prompts: u32,
    /// The session's model from now on.
    pub(crate) model: Option<String>,
    /// The session's title from now on.
    pub(crate) title: Option<String>,
    /// The session's mode from now on.
    pub(crate) mode: Option<String>,
    /// The tokens and, in US dollars, the cost of a model's answer; an unknown cost makes the session's sum unknown.
    pub(crate) spent: Option<(Usage, Option<f64>)>,
    /// A message of the conversation.
    pub(crate) role: Option<Role>,
    /// The message of this number is taken back.
    pub(crate) excluded: Option<u64>,
}

/// The change that `event` makes.
pub(crate) fn project(event: &Event) -> Projection {
    let mut change = Projection::default();
    match &event.kind {
        EventKind::User { message } => {
            change.prompts = 1;
            change.role = Some(message.role);
        }
        EventKind::Injected { message } | EventKind::Cancelled { message: Some(message) } => {
            change.role = Some(message.role);
        }
        EventKind::Assistant { message, model, usage, cost } => {
            change.role = Some(message.role);
            change.model = Some(model.to_string());
            change.spent = Some((*usage, *cost));
        }
        EventKind::Tool(tool) => change.role = Some(tool.message.role),
        EventKind::Refused { excluded, .. } => change.excluded = Some(*excluded),
        EventKind::Settings(settings) => {
            change.model = settings.model.as_ref().map(ToString::to_string);
            change.title.clone_from(&settings.title);
            change.mode.clone_from(&settings.mode);
        }
        // A partial answer is a message once it is known to be all there is.
        _ => {}
    }
    change
}

/// The event's type, as its JSON says it.
pub(crate) fn type_name(kind: &EventKind) -> &'static str {
    match kind {
        EventKind::User { .. } => "user",
        EventKind::Injected { .. } => "injected",
        EventKind::Partial { .. } => PARTIAL,
        EventKind::Assistant { .. } => "assistant",
        EventKind::Tool(_) => "tool",
        EventKind::Command { .. } => "command",
        EventKind::Refused { .. } => "refused",
        EventKind::Error { .. } => "error",
        EventKind::Cancelled { .. } => "cancelled",
        EventKind::Compacted { .. } => "compacted",
        EventKind::Settings(_) => "settings",
        EventKind::Edited { .. } => "edited",
        _ => "other",
    }
}

/// The type of partial answers.
pub(crate) const PARTIAL: &str = "partial";

/// How a role is written in `messages`.
pub(crate) fn role_name(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    }
}

/// The words of an event that a person may search for.
pub(crate) fn words(kind: &EventKind) -> Cow<'_, str> {
    /// Tools give long listings; the beginning of one says what it is about.
    const TOOL_OUTPUT: usize = 4096;
    match kind {
        EventKind::User { message } | EventKind::Injected { message } | EventKind::Assistant { message, .. } => {
            Cow::Owned(readable(message))
        }
        EventKind::Cancelled { message: Some(message) } => Cow::Owned(readable(message)),
        EventKind::Command { message, reply } => Cow::Owned(format!("{}\n{}", message.text(), reply.text())),
        EventKind::Tool(tool) => {
            let text = readable(&tool.message);
            Cow::Owned(format!("{}\n{}", tool.title, &text[..text.floor_char_boundary(TOOL_OUTPUT)]))
        }
        EventKind::Refused { reason: text, .. }
        | EventKind::Error { message: text }
        | EventKind::Compacted { summary: text, .. } => Cow::Borrowed(text),
        _ => Cow::Borrowed(""),
    }
}

/// What a person reads of a message: its text and tool results, without reasoning, calls and media.
pub(crate) fn readable(message: &Message) -> String {
    let mut text = String::new();
    for part in message.parts() {
        match part {
            Part::Text { text: part } | Part::Resource { text: part, .. } => text.push_str(part),
            Part::ToolResult(result) => text.push_str(&result.text),
            Part::ResourceLink { uri, .. } => text.push_str(uri),
            _ => continue,
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crow_acp::{ModelId, Settings, ToolCall, ToolEvent, ToolStatus};
    use serde_json::json;

    fn every_kind() -> Vec<EventKind> {
        let message = Message::user("hello");
        let call = ToolCall::new("c", "read", json!({}));
        let result = Message::tool_result("c", "read", "text", false);
        vec![
            EventKind::User { message: message.clone() },
            EventKind::Injected { message: message.clone() },
            EventKind::Partial { message: message.clone() },
            EventKind::Assistant {
                message: message.clone(),
                model: ModelId::new("p", "m"),
                usage: Usage::new(1, 2),
                cost: None,
            },
            EventKind::Tool(Box::new(ToolEvent::new(call, ToolStatus::Completed, result))),
            EventKind::Command { message: message.clone(), reply: message.clone() },
            EventKind::Refused { excluded: 1, reason: "no".into() },
            EventKind::Error { message: "oh".into() },
            EventKind::Cancelled { message: Some(message.clone()) },
            EventKind::Compacted { messages: vec![message], summary: "short".into(), id: None },
            EventKind::Settings(Settings::default()),
            EventKind::Edited { hook: "before_run".into(), plugins: vec![], before: 1, after: 2 },
        ]
    }

    #[test]
    fn type_names_are_those_of_the_json() {
        for kind in every_kind() {
            let json = serde_json::to_value(&kind).unwrap();
            assert_eq!(json["type"], type_name(&kind));
        }
    }

    #[test]
    fn role_names_are_those_of_the_json() {
        for role in [Role::System, Role::User, Role::Assistant, Role::Tool] {
            assert_eq!(serde_json::to_value(role).unwrap(), role_name(role));
        }
    }

    #[test]
    fn long_tool_output_is_indexed_by_its_beginning() {
        let call = ToolCall::new("c", "read", json!({}));
        let result = Message::tool_result("c", "read", "\u{e9}".repeat(5000), false);
        let kind = EventKind::Tool(Box::new(ToolEvent::new(call, ToolStatus::Completed, result)));
        assert_eq!(words(&kind).len(), "read\n".len() + 4096);
    }
}
