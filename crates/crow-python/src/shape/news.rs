//! Events of the log, sessions as stores know them, updates on their way to clients.

use crow_acp::{Event, SessionQuery, SessionRecord, SessionSummary, Update};
use serde_json::{Value as Json, json};

use super::{Edit, Fields, Misfit, Show, as_json, json, lend, lend_mut, path, take};
use crate::plain::Plain;

as_json!(Event: "an event", SessionRecord: "a session's record", SessionSummary: "what is known of a session");
lend!(Event, SessionQuery);
take!(SessionRecord);

impl Show for SessionQuery {
    fn show(&self) -> Plain {
        let cwd = self.cwd.as_deref().map(path);
        json!({ "cwd": cwd, "before": self.before, "limit": self.limit }).into()
    }
}

/// `{"kind": "agent_message", …}`
impl Show for Update {
    fn show(&self) -> Plain {
        let mut update = match self {
            Self::UserMessage { message_id, part } => {
                json!({ "kind": "user_message", "message_id": message_id, "part": json(part) })
            }
            Self::AgentMessage { message_id, text } => {
                json!({ "kind": "agent_message", "message_id": message_id, "text": text })
            }
            Self::AgentThought { message_id, text } => {
                json!({ "kind": "agent_thought", "message_id": message_id, "text": text })
            }
            Self::ToolCall(call) => json!({
                "kind": "tool_call", "call_id": call.call_id, "name": call.name, "title": call.title,
                "tool_kind": call.kind, "content": call.content, "locations": call.locations,
                "raw_input": call.raw_input, "raw_output": call.raw_output,
            }),
            Self::TerminalOutput { call_id, data } => {
                json!({ "kind": "terminal_output", "call_id": call_id, "text": data })
            }
            Self::Plan(entries) => {
                let entries: Vec<&str> = entries.iter().map(|entry| entry.content.as_str()).collect();
                json!({ "kind": "plan", "entries": entries })
            }
            Self::Commands(commands) => {
                let names: Vec<&str> = commands.iter().map(|command| command.name.as_str()).collect();
                json!({ "kind": "commands", "names": names })
            }
            Self::Mode(mode) => json!({ "kind": "mode", "mode": mode }),
            Self::SessionInfo { title, updated_at } => {
                json!({ "kind": "session_info", "title": title, "updated_at": updated_at })
            }
            Self::Usage { used, size, cost } => json!({ "kind": "usage", "used": used, "size": size, "cost": cost }),
            Self::Notice(notice) => {
                json!({ "kind": "notice", "title": notice.title, "text": notice.description })
            }
            _ => json!({ "kind": "other" }),
        };
        if let Json::Object(entries) = &mut update {
            entries.retain(|_, value| !value.is_null());
        }
        update.into()
    }
}

/// What a person reads can be changed: the text of messages and thoughts, titles, notices.
impl Edit for Update {
    fn edit(&mut self, plain: Plain) -> Result<(), Misfit> {
        let mut fields = Fields::of("an update", plain)?;
        match self {
            Self::AgentMessage { text, .. } | Self::AgentThought { text, .. } => *text = fields.text("text")?,
            Self::TerminalOutput { data, .. } => *data = fields.text("text")?,
            Self::ToolCall(call) => call.title = fields.maybe("title")?,
            Self::Notice(notice) => {
                notice.title = fields.text("title")?;
                notice.description = fields.maybe("text")?;
            }
            _ => {}
        }
        Ok(())
    }
}

lend_mut!(Update);
