//! Models, requests, answers.

use std::time::Duration;

use crow_acp::crow_hooks::{BoxError, Lend};
use crow_acp::{
    Completion, Config, Delta, DeltaKind, DeltaSink, Deltas, Finish, Message, Model, ModelId, Parameters,
    ProviderError, Request, Response, Scope, Section, Sections, Usage,
};
use serde_json::{Value as Json, json};

use super::{Edit, Fields, Misfit, Read, Show, as_json, json, lend, lend_mut, parse, take};
use crate::bridge::Bridge;
use crate::deltas::Port;
use crate::objects::config::Settings;
use crate::plain::{Given, Plain};
use crate::world::{Value, World};

as_json!(ModelId: "a model (PROVIDER/MODEL)", Finish: "stop, tool_calls, length or refusal");
as_json!(Model: "a model", Parameters: "parameters of a request");
lend!(Usage);
take!(ModelId, Completion);

impl Show for Usage {
    fn show(&self) -> Plain {
        json(self).into()
    }
}

/// What is not said is zero.
impl Read for Usage {
    fn read(plain: Plain) -> Result<Self, Misfit> {
        let mut whole = json(&Self::default());
        for (name, value) in Fields::of("token counts", plain)?.rest() {
            whole[name] = Json::read(value)?;
        }
        parse("token counts", whole.into())
    }
}

/// The time that `Duration` says, in seconds.
impl Read for Duration {
    fn read(plain: Plain) -> Result<Self, Misfit> {
        let seconds: f64 = parse("seconds", plain)?;
        Self::try_from_secs_f64(seconds).map_err(|error| Misfit::new(error.to_string()))
    }
}

impl Show for Section {
    fn show(&self) -> Plain {
        json(self).into()
    }
}

impl Read for Section {
    fn read(plain: Plain) -> Result<Self, Misfit> {
        let mut fields = Fields::of("a section of the system prompt", plain)?;
        let scope: Option<Json> = fields.maybe("scope")?;
        let scope = scope.map_or(Ok(Scope::Session), |scope| parse("static, session or turn", scope.into()))?;
        Ok(Self::new(fields.text("id")?, fields.text_or("owner", "")?, scope, fields.text("text")?))
    }
}

impl Show for Sections {
    fn show(&self) -> Plain {
        self.sections().show()
    }
}

impl Edit for Sections {
    fn edit(&mut self, plain: Plain) -> Result<(), Misfit> {
        let sections: Vec<Section> = Read::read(plain)?;
        *self = Self::default();
        for section in sections {
            self.push(section);
        }
        Ok(())
    }
}

impl Show for Request {
    fn show(&self) -> Plain {
        let entry = |name: &str, value: Plain| (name.to_owned(), value);
        let tools = self.tools.iter().cloned().map(Plain::Tool).collect();
        Plain::Map(vec![
            entry("session_id", self.session_id.as_str().into()),
            entry("model", self.model.show()),
            entry("system", self.system.show()),
            entry("messages", self.messages.show()),
            entry("tools", Plain::List(tools)),
            entry("parameters", self.parameters.show()),
        ])
    }
}

impl Edit for Request {
    fn edit(&mut self, plain: Plain) -> Result<(), Misfit> {
        let mut fields = Fields::of("a request", plain)?;
        self.model = Read::read(fields.need("model")?)?;
        self.system.edit(fields.need("system")?)?;
        self.messages = Read::read(fields.need("messages")?)?;
        self.parameters = Read::read(fields.need("parameters")?)?;
        let tools: Vec<crow_acp::ToolDescriptor> = Read::read(fields.need("tools")?)?;
        // Those that were there stay the very same.
        let known = std::mem::take(&mut self.tools);
        self.tools = tools
            .into_iter()
            .map(|tool| {
                let same = known.iter().find(|old| std::sync::Arc::ptr_eq(&old.handler, &tool.handler));
                same.filter(|old| old.description == tool.description).cloned().unwrap_or_else(|| tool.into())
            })
            .collect();
        Ok(())
    }
}

impl Show for Response {
    fn show(&self) -> Plain {
        let message = self.message.show().json().unwrap_or_default();
        let model = self.model.to_string();
        json!({ "message": message, "model": model, "usage": self.usage, "finish": self.finish }).into()
    }
}

impl Edit for Response {
    fn edit(&mut self, plain: Plain) -> Result<(), Misfit> {
        let mut fields = Fields::of("a response", plain)?;
        self.message = Message::read(fields.need("message")?)?;
        self.model = Read::read(fields.need("model")?)?;
        self.usage = Read::read(fields.need("usage")?)?;
        self.finish = Read::read(fields.need("finish")?)?;
        Ok(())
    }
}

impl Show for Completion {
    fn show(&self) -> Plain {
        json!({ "finish": self.finish, "usage": self.usage }).into()
    }
}

/// A dict, or the reason alone.
impl Read for Completion {
    fn read(plain: Plain) -> Result<Self, Misfit> {
        if let Plain::Json(Json::String(_)) = plain {
            return Ok(Self::new(Read::read(plain)?, None));
        }
        let mut fields = Fields::of("how an answer ended: `stop`, or a dict with `finish`", plain)?;
        Ok(Self::new(fields.maybe("finish")?.unwrap_or(Finish::Stop), fields.maybe("usage")?))
    }
}

impl Show for ProviderError {
    fn show(&self) -> Plain {
        let after = self.retry_after.map(|after| after.as_secs_f64());
        json!({ "kind": self.kind, "status": self.status, "retry_after": after, "message": self.message }).into()
    }
}

impl Show for Delta {
    fn show(&self) -> Plain {
        let mut delta = json!({ "kind": "text", "text": self.text, "done": self.done });
        match &self.kind {
            DeltaKind::Text => {}
            DeltaKind::Thought { signature } => {
                delta["kind"] = "thought".into();
                delta["signed"] = signature.is_some().into();
            }
            DeltaKind::ToolCall { index, id, name } => {
                delta["kind"] = "tool_call".into();
                delta["index"] = (*index).into();
                delta["id"] = id.as_deref().into();
                delta["name"] = name.as_deref().into();
            }
            _ => delta["kind"] = "other".into(),
        }
        delta.into()
    }
}

/// Text is a fragment of the answer.
impl Read for Delta {
    fn read(plain: Plain) -> Result<Self, Misfit> {
        if let Plain::Json(Json::String(text)) = plain {
            return Ok(Self::text(text));
        }
        let mut fields = Fields::of("a fragment of an answer: text, or a dict with `text`", plain)?;
        let text = fields.text_or("text", "")?;
        let kind = fields.text_or("kind", "text")?;
        let mut delta = match kind.as_str() {
            "text" => Self::text(text),
            "thought" => Self::thought(text),
            "tool_call" => {
                let index = fields.take("index").map_or(Ok(0), |index| parse("the index of a call", index))?;
                let arguments = match fields.take("arguments") {
                    Some(Plain::Json(Json::String(text))) => text,
                    Some(arguments) => Json::read(arguments)?.to_string(),
                    None => text,
                };
                Self::tool_call(index, fields.maybe("id")?, fields.maybe("name")?, arguments)
            }
            other => {
                return Err(Misfit::new(format!("there is no fragment of kind `{other}`: text, thought, tool_call")));
            }
        };
        delta.done = fields.take("done").map_or(Ok(false), |done| parse("True or False", done))?;
        Ok(delta)
    }
}

/// Only the text: what a fragment is of stays.
impl Edit for Delta {
    fn edit(&mut self, plain: Plain) -> Result<(), Misfit> {
        self.text = Fields::of("a fragment of an answer", plain)?.text("text")?;
        Ok(())
    }
}

/// Fragments go through a port: what is borrowed never crosses.
impl Lend<World> for Deltas<'_> {
    fn lend(&self, _: &Bridge) -> Result<Value, BoxError> {
        Ok(Given::of(Plain::Deltas(Port::open())))
    }

    fn reclaim(&mut self, lent: &Value, _: &Bridge) -> Result<(), BoxError> {
        if let Plain::Deltas(port) = &lent.plain {
            for delta in port.drain() {
                self.accept(delta)?;
            }
        }
        Ok(())
    }
}

impl Lend<World> for Config {
    fn lend(&self, _: &Bridge) -> Result<Value, BoxError> {
        Ok(Given::of(Plain::Config(Settings::of(self))))
    }

    fn reclaim(&mut self, lent: &Value, _: &Bridge) -> Result<(), BoxError> {
        if let Plain::Config(settings) = &lent.plain {
            for (key, value) in settings.take() {
                self.set(&key, value)?;
            }
        }
        Ok(())
    }
}

lend!(ProviderError);
lend_mut!(Sections, Request, Response, Delta);
