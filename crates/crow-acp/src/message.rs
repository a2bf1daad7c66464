//! Messages: what was said in a session, in the shape every provider adapter understands.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::tool::ToolCall;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Instructions. Wherever they stand, a request carries them in its one system prompt.
    System,
    /// The person, and what plugins put into the person's turn.
    User,
    /// The model.
    Assistant,
    /// The result of a tool call.
    Tool,
}

/// One message. Cloning costs a reference count: the parts are shared until somebody edits them.
///
/// ```
/// use crow_acp::{Message, Role};
///
/// let mut copy = Message::user("Fix the bug");
/// let original = copy.clone();
/// copy.push_text(" in add.sh");
/// assert_eq!(copy.text(), "Fix the bug in add.sh");
/// assert_eq!(original.text(), "Fix the bug");
/// assert_eq!(copy.role, Role::User);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// Set on messages that a client was shown, so that a replay shows them under the same id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The name of the plugin that put the message in; `None` for the user, the model and tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    parts: Arc<Vec<Part>>,
}

impl Message {
    /// A message of `role` with these parts.
    pub fn new(role: Role, parts: Vec<Part>) -> Self {
        Self { role, id: None, owner: None, parts: Arc::new(parts) }
    }

    /// A system message of one text part.
    pub fn system(text: impl Into<String>) -> Self {
        Self::new(Role::System, vec![Part::text(text)])
    }

    /// A user message of one text part.
    pub fn user(text: impl Into<String>) -> Self {
        Self::new(Role::User, vec![Part::text(text)])
    }

    /// An assistant message of one text part.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::new(Role::Assistant, vec![Part::text(text)])
    }

    /// The result of the tool call `call_id`, as the model will read it.
    pub fn tool_result(
        call_id: impl Into<String>,
        name: impl Into<String>,
        text: impl Into<String>,
        is_error: bool,
    ) -> Self {
        let result = ToolResult::new(call_id, name, text, is_error);
        Self::new(Role::Tool, vec![Part::ToolResult(result)])
    }

    /// The same message under the id that clients know it by.
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The same message, marked as put in by the plugin `owner`.
    pub fn with_owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = Some(owner.into());
        self
    }

    /// The parts, in order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The parts for editing; copies them first if another clone of the message shares them.
    pub fn parts_mut(&mut self) -> &mut Vec<Part> {
        Arc::make_mut(&mut self.parts)
    }

    /// Appends text: to the last part if that is text, else as a new part.
    pub fn push_text(&mut self, text: &str) {
        let parts = self.parts_mut();
        match parts.last_mut() {
            Some(Part::Text { text: last }) => last.push_str(text),
            _ => parts.push(Part::text(text)),
        }
    }

    /// All text parts joined; reasoning, calls, results and media are left out.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for part in self.parts() {
            if let Part::Text { text: part } = part {
                text.push_str(part);
            }
        }
        text
    }

    /// The tool calls in this message, in the order the model made them.
    pub fn tool_calls(&self) -> impl Iterator<Item = &ToolCall> {
        self.parts().iter().filter_map(|part| match part {
            Part::ToolCall(call) => Some(call),
            _ => None,
        })
    }

    /// The id of the call this message is the result of, for messages of [`Role::Tool`].
    pub fn tool_call_id(&self) -> Option<&str> {
        self.parts().iter().find_map(|part| match part {
            Part::ToolResult(result) => Some(result.call_id.as_str()),
            _ => None,
        })
    }

    /// A rough size in tokens (four bytes to a token, a flat sum for media), good enough for budgets.
    pub fn estimated_tokens(&self) -> u64 {
        self.parts().iter().map(Part::estimated_tokens).sum::<u64>() + 4
    }
}

/// One piece of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Part {
    /// Text, in Markdown where somebody reads it.
    Text {
        /// The text.
        text: String,
    },
    /// The model's reasoning.
    Reasoning {
        /// What may be shown.
        text: String,
        /// Opaque, to be returned unchanged to the model it came from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signature: Option<String>,
        /// The model it came from, as `provider/name`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
    },
    /// The model asks for a tool.
    ToolCall(ToolCall),
    /// What a tool answered.
    ToolResult(ToolResult),
    /// A picture, base64.
    Image {
        /// For example `image/png`.
        mime_type: String,
        /// Base64.
        data: String,
        /// Where it came from, if it has an address.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uri: Option<String>,
    },
    /// Sound, base64.
    Audio {
        /// For example `audio/wav`.
        mime_type: String,
        /// Base64.
        data: String,
    },
    /// A file that the user points at without including it.
    ResourceLink {
        /// Its address, for files `file:///…`.
        uri: String,
        /// What to call it.
        name: String,
    },
    /// A file that the client included.
    Resource {
        /// Its address.
        uri: String,
        /// Its text.
        text: String,
    },
}

impl Part {
    /// A text part.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }

    fn estimated_tokens(&self) -> u64 {
        /// Vision models charge on the order of a thousand tokens for a picture.
        const MEDIA: u64 = 1_000;
        let bytes = match self {
            Self::Text { text } | Self::Reasoning { text, .. } => text.len(),
            Self::ToolCall(call) => call.name.len() + call.raw_arguments.len(),
            Self::ToolResult(result) => result.text.len(),
            Self::ResourceLink { uri, name } => uri.len() + name.len(),
            Self::Resource { uri, text } => uri.len() + text.len(),
            Self::Image { .. } | Self::Audio { .. } => return MEDIA,
        };
        (bytes as u64).div_ceil(4)
    }
}

/// What a tool answered, as the model reads it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolResult {
    /// The id of the call it answers.
    pub call_id: String,
    /// The tool's name.
    pub name: String,
    /// The answer.
    pub text: String,
    /// Whether the tool failed (decided by the tool, never guessed from its text).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_error: bool,
}

impl ToolResult {
    /// A result for the call `call_id` of the tool `name`.
    pub fn new(call_id: impl Into<String>, name: impl Into<String>, text: impl Into<String>, is_error: bool) -> Self {
        Self { call_id: call_id.into(), name: name.into(), text: text.into(), is_error }
    }
}
