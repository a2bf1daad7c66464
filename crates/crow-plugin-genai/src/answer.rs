//! From the crate's events to our fragments.

use crow_acp::{Completion, Delta, DeltaKind, DeltaRefused, Deltas, Finish, Usage};
use genai::chat::{ContentPart, StopReason, StreamEnd, ToolCall};
use serde_json::Value;

use crate::protocol::Protocol;
use crate::signature::Signature;

/// An answer under way.
pub(crate) struct Answer<'a, 'b> {
    protocol: Protocol,
    deltas: &'a mut Deltas<'b>,
    /// A signature that comes in pieces, and what it signs ended with.
    signature: String,
    /// Something of the block that the signature is for has come.
    thinking: bool,
    calls: Vec<Call>,
}

/// A call so far.
struct Call {
    id: String,
    arguments: String,
}

impl<'a, 'b> Answer<'a, 'b> {
    pub(crate) fn new(protocol: Protocol, deltas: &'a mut Deltas<'b>) -> Self {
        Self { protocol, deltas, signature: String::new(), thinking: false, calls: Vec::new() }
    }

    pub(crate) async fn text(&mut self, text: String) -> Result<(), DeltaRefused> {
        self.sign().await?;
        self.deltas.push(Delta::text(text)).await
    }

    pub(crate) async fn thought(&mut self, text: String) -> Result<(), DeltaRefused> {
        if self.thinking {
            // Signed, so that what comes now is another block.
            self.sign().await?;
        }
        self.thinking = true;
        self.deltas.push(Delta::thought(text)).await
    }

    /// A signature, or a piece of one.
    pub(crate) async fn signature(&mut self, piece: &str) -> Result<(), DeltaRefused> {
        if self.protocol == Protocol::Gemini {
            // Whole ones, of what comes next: a call says so itself.
            self.sign().await?;
        }
        self.signature.push_str(piece);
        Ok(())
    }

    /// A call, with all its arguments so far.
    pub(crate) async fn call(&mut self, call: ToolCall) -> Result<(), DeltaRefused> {
        let is_whole = !call.fn_arguments.is_string();
        for own in call.thought_signatures.iter().flatten() {
            if self.signature == *own {
                self.signature.clear();
            }
            let kept = Signature::Call(self.calls.len(), own.clone()).keep();
            self.sign_with(kept).await?;
        }
        self.sign().await?;
        // Calls that come whole may lack ids, or share them.
        let known = if is_whole { None } else { self.calls.iter().position(|known| known.id == call.call_id) };
        let arguments = text_of(&call.fn_arguments);
        if let Some(at) = known {
            let more = arguments.strip_prefix(self.calls[at].arguments.as_str()).unwrap_or_default().to_owned();
            self.calls[at].arguments = arguments;
            if more.is_empty() {
                return Ok(());
            }
            return self.deltas.push(Delta::tool_call(at, None, None, more)).await;
        }
        let id = call.call_id;
        self.calls.push(Call { id: id.clone(), arguments: arguments.clone() });
        let at = self.calls.len() - 1;
        self.deltas.push(Delta::tool_call(at, Some(id), Some(call.fn_name), arguments)).await
    }

    /// The answer's end: what came only with it, and how it went.
    pub(crate) async fn end(mut self, end: StreamEnd) -> Result<Completion, DeltaRefused> {
        self.sign().await?;
        for part in end.captured_content.into_iter().flatten() {
            match part {
                // Blocks that no event told of, and blobs that only the end has.
                ContentPart::Custom(block) if self.protocol == Protocol::Anthropic => {
                    self.sign_with(Signature::Block(block.data).keep()).await?;
                }
                ContentPart::ThoughtSignature(signature) if self.protocol == Protocol::Responses => {
                    self.sign_with(signature).await?;
                }
                ContentPart::ToolCall(call) if self.is_behind(&call) => {
                    let call = ToolCall { fn_arguments: Value::String(text_of(&call.fn_arguments)), ..call };
                    self.call(ToolCall { thought_signatures: None, ..call }).await?;
                }
                _ => {}
            }
        }
        let finish = match end.captured_stop_reason {
            Some(StopReason::MaxTokens(_)) => Finish::Length,
            Some(StopReason::ContentFilter(_)) => Finish::Refusal,
            _ if !self.calls.is_empty() => Finish::ToolCalls,
            _ => Finish::Stop,
        };
        Ok(Completion::new(finish, end.captured_usage.map(|usage| self::usage(&usage))))
    }

    /// Whether the end tells more of a call than its events did.
    fn is_behind(&self, call: &ToolCall) -> bool {
        let streams = matches!(self.protocol, Protocol::Anthropic | Protocol::Responses);
        streams
            && self.calls.iter().find(|known| known.id == call.call_id).is_none_or(|known| {
                let so_far = known.arguments.as_str();
                let read: Option<Value> = serde_json::from_str(so_far).ok();
                read.is_none() && text_of(&call.fn_arguments).starts_with(so_far)
            })
    }

    /// Ends the block that a signature is for, if one came.
    async fn sign(&mut self) -> Result<(), DeltaRefused> {
        if self.signature.is_empty() {
            return Ok(());
        }
        let signature = std::mem::take(&mut self.signature);
        self.sign_with(signature).await
    }

    async fn sign_with(&mut self, signature: String) -> Result<(), DeltaRefused> {
        self.thinking = false;
        let mut delta = Delta::thought("");
        delta.kind = DeltaKind::Thought { signature: Some(signature) };
        self.deltas.push(delta).await
    }
}

/// Arguments as the text that they are, or that says the same.
fn text_of(arguments: &Value) -> String {
    match arguments {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        value => value.to_string(),
    }
}

fn usage(told: &genai::chat::Usage) -> Usage {
    let count = |tokens: Option<i32>| tokens.and_then(|tokens| u64::try_from(tokens).ok()).unwrap_or_default();
    let mut usage = Usage::new(count(told.prompt_tokens), count(told.completion_tokens));
    usage.cached_input_tokens = count(told.prompt_tokens_details.as_ref().and_then(|details| details.cached_tokens));
    let details = told.completion_tokens_details.as_ref();
    usage.reasoning_tokens = count(details.and_then(|details| details.reasoning_tokens));
    usage
}
