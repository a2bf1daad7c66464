//! What plugins offer: tools, commands, providers, modes, options.

use std::sync::Arc;

use crow_acp::{
    Choice, ChoiceKind, Command, CommandCall, CommandReply, ConfigOption, Message, Mode, OptionChange, OptionValue,
    ProviderDescriptor, ToolDescriptor,
};
use serde_json::{Value as Json, json};

use super::{Fields, Misfit, Read, Show, lend, take};
use crate::plain::Plain;

impl Show for ToolDescriptor {
    fn show(&self) -> Plain {
        Plain::Tool(Arc::new(self.clone()))
    }
}

impl Read for ToolDescriptor {
    fn read(plain: Plain) -> Result<Self, Misfit> {
        match plain {
            Plain::Tool(tool) => Ok((*tool).clone()),
            other => Err(Misfit::expected("a tool: a function, or what `crow_acp.tool` makes of one", &other)),
        }
    }
}

impl Show for Command {
    fn show(&self) -> Plain {
        Plain::Command(self.clone())
    }
}

impl Read for Command {
    fn read(plain: Plain) -> Result<Self, Misfit> {
        match plain {
            Plain::Command(command) => Ok(command),
            other => Err(Misfit::expected("a command: a function, or what `crow_acp.command` makes of one", &other)),
        }
    }
}

impl Show for ProviderDescriptor {
    fn show(&self) -> Plain {
        Plain::Provider(self.clone())
    }
}

impl Read for ProviderDescriptor {
    fn read(plain: Plain) -> Result<Self, Misfit> {
        match plain {
            Plain::Provider(provider) => Ok(provider),
            other => Err(Misfit::expected("a provider: what `crow_acp.provider` makes of a function", &other)),
        }
    }
}

impl Show for CommandCall {
    fn show(&self) -> Plain {
        let message = self.message.show().json().unwrap_or_default();
        json!({ "name": self.name, "arguments": self.arguments, "message": message }).into()
    }
}

impl Show for CommandReply {
    fn show(&self) -> Plain {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Prompt(message) => json!({ "prompt": message.show().json().unwrap_or_default() }).into(),
            _ => Plain::NOTHING,
        }
    }
}

/// Text is shown; `{"prompt": message}` goes to the model.
impl Read for CommandReply {
    fn read(plain: Plain) -> Result<Self, Misfit> {
        if let Plain::Json(Json::String(text)) = plain {
            return Ok(Self::Text(text));
        }
        let prompt = Fields::of("text, or a dict with `prompt`", plain)?.need("prompt")?;
        Ok(Self::Prompt(Message::read(prompt)?))
    }
}

impl Show for Mode {
    fn show(&self) -> Plain {
        json!({ "id": self.id, "name": self.name, "description": self.description }).into()
    }
}

impl Read for Mode {
    fn read(plain: Plain) -> Result<Self, Misfit> {
        let mut fields = Fields::of("a mode: a dict with `id`, `name` and `description`", plain)?;
        let id = fields.text("id")?;
        let name = fields.text_or("name", &id)?;
        Ok(Self::new(id, name, fields.text_or("description", "")?))
    }
}

impl Show for ConfigOption {
    fn show(&self) -> Plain {
        let value = |value: &OptionValue| json!({ "id": value.id, "name": value.name });
        let values: Vec<Json> = self.values.iter().map(value).collect();
        json!({
            "id": self.id, "name": self.name, "description": self.description, "category": self.category,
            "current": self.current, "values": values,
        })
        .into()
    }
}

impl Read for ConfigOption {
    fn read(plain: Plain) -> Result<Self, Misfit> {
        let mut fields = Fields::of("an option: a dict with `id`, `name`, `current` and `values`", plain)?;
        let id = fields.text("id")?;
        let name = fields.text_or("name", &id)?;
        let values: Vec<OptionValue> = Read::read(fields.need("values")?)?;
        let mut option = Self::new(id, name, fields.text("current")?, values);
        option.description = fields.maybe("description")?;
        option.category = fields.maybe("category")?;
        Ok(option)
    }
}

impl Read for OptionValue {
    fn read(plain: Plain) -> Result<Self, Misfit> {
        if let Plain::Json(Json::String(id)) = plain {
            return Ok(Self::new(id.as_str(), id.as_str()));
        }
        let mut fields = Fields::of("a value: text, or a dict with `id` and `name`", plain)?;
        let id = fields.text("id")?;
        let name = fields.text_or("name", &id)?;
        Ok(Self::new(id, name))
    }
}

/// A text is a choice that allows.
impl Read for Choice {
    fn read(plain: Plain) -> Result<Self, Misfit> {
        if let Plain::Json(Json::String(id)) = plain {
            return Ok(Self::new(id.as_str(), id.as_str(), ChoiceKind::AllowOnce));
        }
        let mut fields = Fields::of("a choice: text, or a dict with `id`, `name` and `kind`", plain)?;
        let id = fields.text("id")?;
        let name = fields.text_or("name", &id)?;
        let kind = match fields.text_or("kind", "allow_once")?.as_str() {
            "allow_once" => ChoiceKind::AllowOnce,
            "allow_always" => ChoiceKind::AllowAlways,
            "reject_once" => ChoiceKind::RejectOnce,
            "reject_always" => ChoiceKind::RejectAlways,
            other => return Err(Misfit::new(format!("there is no kind of choice `{other}`"))),
        };
        Ok(Self::new(id, name, kind))
    }
}

impl Show for OptionChange {
    fn show(&self) -> Plain {
        json!({ "id": self.id, "from": self.from, "to": self.to }).into()
    }
}

lend!(CommandCall, OptionChange);
take!(CommandReply);
