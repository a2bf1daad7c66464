//! Messages, their parts, tool calls and what comes of them.

use crow_acp::{Message, Part, Role, ToolCall, ToolOutcome, ToolResult, ToolStatus};
use serde_json::{Value as Json, json};

use super::{Edit, Fields, Misfit, Read, Show, as_json, json, lend_mut, parse, take};
use crate::plain::Plain;

/// `{"role": "user", "content": "text"}`; what is more than one piece of text is a list of parts.
impl Show for Message {
    fn show(&self) -> Plain {
        let content = match self.parts() {
            [Part::Text { text }] => Json::from(text.as_str()),
            parts => parts.iter().map(json).collect(),
        };
        let mut message = json!({ "role": self.role, "content": content });
        for (key, value) in [("id", &self.id), ("owner", &self.owner)] {
            if let Some(value) = value {
                message[key] = value.as_str().into();
            }
        }
        message.into()
    }
}

/// A text alone is a message of the user's.
impl Read for Message {
    fn read(plain: Plain) -> Result<Self, Misfit> {
        if let Plain::Json(Json::String(text)) = plain {
            return Ok(Self::user(text));
        }
        let mut fields = Fields::of("a message", plain)?;
        let role = fields.text("role")?;
        let role = match role.as_str() {
            "system" | "developer" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "tool" => Role::Tool,
            other => return Err(Misfit::new(format!("there is no role `{other}`: system, user, assistant, tool"))),
        };
        let answered = fields.maybe::<String>("tool_call_id")?;
        let content = fields.take("content").or_else(|| fields.take("parts"));
        let parts = match (content, answered) {
            (None, _) => Vec::new(),
            // As others write the result of a tool call.
            (Some(Plain::Json(Json::String(text))), Some(id)) => {
                vec![Part::ToolResult(ToolResult::new(id, fields.text_or("name", "")?, text, false))]
            }
            (Some(Plain::Json(Json::String(text))), None) => vec![Part::text(text)],
            (Some(parts), _) => Read::read(parts)?,
        };
        let mut message = Self::new(role, parts);
        message.id = fields.maybe("id")?;
        message.owner = fields.maybe("owner")?;
        Ok(message)
    }
}

impl Edit for Message {
    fn edit(&mut self, plain: Plain) -> Result<(), Misfit> {
        *self = Read::read(plain)?;
        Ok(())
    }
}

impl Read for Part {
    fn read(plain: Plain) -> Result<Self, Misfit> {
        match &plain {
            Plain::Json(Json::String(text)) => Ok(Self::text(text.as_str())),
            Plain::Json(json) if json["type"] == "tool_call" => Ok(Self::ToolCall(Read::read(plain)?)),
            _ => parse("a part of a message", plain),
        }
    }
}

impl Show for ToolCall {
    fn show(&self) -> Plain {
        json(self).into()
    }
}

/// The letters that the model wrote stay if they still say what the arguments do.
impl Read for ToolCall {
    fn read(plain: Plain) -> Result<Self, Misfit> {
        let mut fields = Fields::of("a tool call", plain)?;
        let (id, name) = (fields.text("id")?, fields.text("name")?);
        let arguments: Option<Json> = fields.maybe("arguments")?;
        let raw: Option<String> = fields.maybe("raw_arguments")?;
        let written = raw.map(|raw| Self::from_raw(id.as_str(), name.as_str(), raw));
        Ok(match (written, arguments) {
            (Some(written), None) => written,
            (Some(written), Some(arguments)) if written.arguments == arguments => written,
            (_, arguments) => Self::new(id, name, arguments.unwrap_or_else(|| json!({}))),
        })
    }
}

impl Edit for ToolCall {
    fn edit(&mut self, plain: Plain) -> Result<(), Misfit> {
        *self = Read::read(plain)?;
        Ok(())
    }
}

impl Show for ToolOutcome {
    fn show(&self) -> Plain {
        json(self).into()
    }
}

/// Text is success; a dict may say more.
impl Read for ToolOutcome {
    fn read(plain: Plain) -> Result<Self, Misfit> {
        if let Plain::Json(Json::String(text)) = plain {
            return Ok(Self::ok(text));
        }
        let mut fields = Fields::of("the outcome of a tool call: text, or a dict with `text`", plain)?;
        let mut outcome = Self::ok(fields.text("text")?);
        if let Some(status) = fields.maybe::<ToolStatus>("status")? {
            outcome.status = status;
        }
        let content: Option<Json> = fields.maybe("content")?;
        outcome.content =
            content.map_or_else(|| Ok(Vec::new()), |content| parse("what the user sees", content.into()))?;
        let locations: Option<Json> = fields.maybe("locations")?;
        outcome.locations = locations.map_or_else(|| Ok(Vec::new()), |files| parse("places in files", files.into()))?;
        outcome.raw_output = fields.maybe("raw_output")?;
        Ok(outcome)
    }
}

impl Edit for ToolOutcome {
    fn edit(&mut self, plain: Plain) -> Result<(), Misfit> {
        *self = Read::read(plain)?;
        Ok(())
    }
}

as_json!(ToolStatus: "completed, failed or cancelled");

lend_mut!(Message, ToolCall, ToolOutcome);
take!(ToolCall, ToolOutcome);
