//! What hooks are asked about and what they decide.

use crow_acp::{
    CompactPlan, CompactReport, CompactTrigger, Compaction, ContextUse, EndReason, KeepGoing, Message, Permission,
    Recovery, RunError, RunOutcome, StopReason, SubagentSpec, ToolCallError, ToolGate, ToolOutcome, Turn, TurnDecision,
};
use serde_json::{Value as Json, json};

use super::{Edit, Fields, Misfit, Read, Show, lend, lend_mut, take};
use crate::plain::Plain;

fn text_of(plain: &Plain) -> Option<&str> {
    match plain {
        Plain::Json(Json::String(text)) => Some(text),
        _ => None,
    }
}

fn data(value: &(impl Show + ?Sized)) -> Json {
    value.show().json().unwrap_or_default()
}

impl Show for StopReason {
    fn show(&self) -> Plain {
        let name = match self {
            Self::EndTurn => "end_turn",
            Self::MaxTokens => "max_tokens",
            Self::MaxTurnRequests => "max_turn_requests",
            Self::Refusal => "refusal",
            Self::Cancelled => "cancelled",
            _ => "other",
        };
        name.into()
    }
}

impl Read for StopReason {
    fn read(plain: Plain) -> Result<Self, Misfit> {
        Ok(match text_of(&plain) {
            Some("end_turn") => Self::EndTurn,
            Some("max_tokens") => Self::MaxTokens,
            Some("max_turn_requests") => Self::MaxTurnRequests,
            Some("refusal") => Self::Refusal,
            Some("cancelled") => Self::Cancelled,
            _ => {
                let reasons = "end_turn, max_tokens, max_turn_requests, refusal or cancelled";
                return Err(Misfit::expected(reasons, &plain));
            }
        })
    }
}

impl Show for EndReason {
    fn show(&self) -> Plain {
        let name = match self {
            Self::Closed => "closed",
            Self::Deleted => "deleted",
            Self::Disconnected => "disconnected",
            _ => "other",
        };
        name.into()
    }
}

impl Show for RunError {
    fn show(&self) -> Plain {
        let provider = self.provider.as_ref().map(data);
        let (plugin, hook) = self.origin.clone().unzip();
        json!({ "message": self.message, "provider": provider, "plugin": plugin, "hook": hook }).into()
    }
}

impl Show for RunOutcome {
    fn show(&self) -> Plain {
        let error = self.error.as_ref().map(data);
        let reason = data(&self.stop_reason);
        json!({ "stop_reason": reason, "error": error, "usage": self.usage, "turns": self.turns }).into()
    }
}

impl Show for Turn {
    fn show(&self) -> Plain {
        json!({ "number": self.number, "usage": self.usage }).into()
    }
}

impl Show for TurnDecision {
    fn show(&self) -> Plain {
        match self {
            Self::Stop { reason, message } => json!({ "stop": data(reason), "message": message }).into(),
            Self::Inject(messages) => json!({ "inject": data(messages) }).into(),
            _ => "compact".into(),
        }
    }
}

/// `"compact"`, `{"stop": reason, "message": text}` or `{"inject": messages}`.
impl Read for TurnDecision {
    fn read(plain: Plain) -> Result<Self, Misfit> {
        if text_of(&plain) == Some("compact") {
            return Ok(Self::Compact);
        }
        let misfit = Misfit::expected("`compact`, or a dict with `stop` or `inject`", &plain);
        let mut fields = Fields::of("`compact`, or a dict with `stop` or `inject`", plain)?;
        if let Some(messages) = fields.maybe("inject")? {
            return Ok(Self::Inject(messages));
        }
        let reason = fields.maybe("stop")?.ok_or(misfit)?;
        Ok(Self::Stop { reason, message: fields.maybe("message")? })
    }
}

impl Show for Recovery {
    fn show(&self) -> Plain {
        match self {
            Self::Retry { after, notice } => json!({ "retry": after.as_secs_f64(), "notice": notice }).into(),
            Self::SwitchModel(model) => json!({ "model": model.to_string() }).into(),
            Self::Compact => "compact".into(),
            _ => "fail".into(),
        }
    }
}

/// `"fail"`, `"compact"`, `{"retry": seconds, "notice": text}` or `{"model": "PROVIDER/MODEL"}`.
impl Read for Recovery {
    fn read(plain: Plain) -> Result<Self, Misfit> {
        match text_of(&plain) {
            Some("fail") => return Ok(Self::Fail),
            Some("compact") => return Ok(Self::Compact),
            _ => {}
        }
        let misfit = Misfit::expected("`fail`, `compact`, or a dict with `retry` or `model`", &plain);
        let mut fields = Fields::of("`fail`, `compact`, or a dict with `retry` or `model`", plain)?;
        if let Some(model) = fields.maybe("model")? {
            return Ok(Self::SwitchModel(model));
        }
        let after = fields.maybe("retry")?.ok_or(misfit)?;
        Ok(Self::Retry { after, notice: fields.text_or("notice", "asking again")? })
    }
}

impl Show for ToolGate {
    fn show(&self) -> Plain {
        match self {
            Self::Deny { reason } => json!({ "deny": reason }).into(),
            Self::Answer(outcome) => json!({ "answer": data(outcome) }).into(),
            _ => Plain::NOTHING,
        }
    }
}

/// `{"deny": reason}` or `{"answer": outcome}`.
impl Read for ToolGate {
    fn read(plain: Plain) -> Result<Self, Misfit> {
        let misfit = Misfit::expected("a dict with `deny` or `answer`", &plain);
        let mut fields = Fields::of("a dict with `deny` or `answer`", plain)?;
        if let Some(outcome) = fields.maybe::<ToolOutcome>("answer")? {
            return Ok(Self::Answer(outcome));
        }
        Ok(Self::Deny { reason: fields.maybe("deny")?.ok_or(misfit)? })
    }
}

impl Show for Permission {
    fn show(&self) -> Plain {
        match self {
            Self::Allow => "allow".into(),
            Self::Deny { reason } => json!({ "deny": reason }).into(),
            _ => Plain::NOTHING,
        }
    }
}

/// `"allow"` or `{"deny": reason}`.
impl Read for Permission {
    fn read(plain: Plain) -> Result<Self, Misfit> {
        match &plain {
            Plain::Json(Json::Bool(true)) => return Ok(Self::Allow),
            Plain::Json(Json::Bool(false)) => return Ok(Self::Deny { reason: "not allowed".into() }),
            _ if text_of(&plain) == Some("allow") => return Ok(Self::Allow),
            _ => {}
        }
        Ok(Self::Deny { reason: Fields::of("`allow`, or a dict with `deny`", plain)?.text("deny")? })
    }
}

impl Show for KeepGoing {
    fn show(&self) -> Plain {
        self.message.show()
    }
}

impl Read for KeepGoing {
    fn read(plain: Plain) -> Result<Self, Misfit> {
        let mut going = Self::new("");
        going.message = Message::read(plain)?;
        Ok(going)
    }
}

impl Show for ContextUse {
    fn show(&self) -> Plain {
        let Self { used, window, max_output, overflow, .. } = self;
        json!({ "used": used, "window": window, "max_output": max_output, "overflow": overflow }).into()
    }
}

impl Show for CompactTrigger {
    fn show(&self) -> Plain {
        match self {
            Self::Threshold => "threshold".into(),
            Self::Overflow => "overflow".into(),
            Self::Asked { focus } => json!({ "asked": focus }).into(),
            _ => "other".into(),
        }
    }
}

/// `"threshold"`, `"overflow"`, `"asked"` or `{"asked": focus}`.
impl Read for CompactTrigger {
    fn read(plain: Plain) -> Result<Self, Misfit> {
        Ok(match text_of(&plain) {
            Some("threshold") => Self::Threshold,
            Some("overflow") => Self::Overflow,
            Some("asked") => Self::Asked { focus: None },
            _ => {
                let mut fields = Fields::of("`threshold`, `overflow`, or a dict with `asked`", plain)?;
                Self::Asked { focus: fields.maybe("asked")? }
            }
        })
    }
}

impl Show for CompactPlan {
    fn show(&self) -> Plain {
        json!({
            "trigger": data(&self.trigger), "context": data(&self.context), "messages": data(&self.messages),
        })
        .into()
    }
}

impl Show for Compaction {
    fn show(&self) -> Plain {
        json!({ "messages": data(&self.messages), "summary": self.summary }).into()
    }
}

impl Read for Compaction {
    fn read(plain: Plain) -> Result<Self, Misfit> {
        let mut fields = Fields::of("a compaction: a dict with `messages` and `summary`", plain)?;
        let messages: Vec<Message> = Read::read(fields.need("messages")?)?;
        Ok(Self::new(messages, fields.text("summary")?))
    }
}

impl Show for CompactReport {
    fn show(&self) -> Plain {
        json!({ "trigger": data(&self.trigger), "before": self.before, "after": self.after }).into()
    }
}

impl Show for ToolCallError {
    fn show(&self) -> Plain {
        let kind = match self {
            Self::UnknownTool { .. } => "unknown_tool",
            Self::Malformed(_) => "malformed",
            Self::Invalid(_) => "invalid",
            _ => "other",
        };
        json!({ "kind": kind, "message": self.to_string() }).into()
    }
}

impl Show for SubagentSpec {
    fn show(&self) -> Plain {
        let model = self.model.as_ref().map(ToString::to_string);
        json!({ "prompt": data(&self.prompt), "model": model }).into()
    }
}

impl Edit for SubagentSpec {
    fn edit(&mut self, plain: Plain) -> Result<(), Misfit> {
        let mut fields = Fields::of("a subagent", plain)?;
        self.prompt = Read::read(fields.need("prompt")?)?;
        self.model = fields.maybe("model")?;
        Ok(())
    }
}

lend!(StopReason, EndReason, RunError, RunOutcome, Turn, ContextUse, CompactPlan, CompactReport, ToolCallError);
lend_mut!(SubagentSpec);
take!(TurnDecision, Recovery, ToolGate, Permission, KeepGoing, CompactTrigger, Compaction);
