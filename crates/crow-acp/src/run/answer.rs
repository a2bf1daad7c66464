//! A model's answer on its way in: fragments to the client, and the message they add up to.

use std::sync::Arc;

use crate::answers::Response;
use crate::client::Client;
use crate::delta::{Delta, DeltaKind, DeltaRefused, DeltaSink};
use crate::hooks::{Hooks, OnStreamDelta};
use crate::message::{Message, Part, Role};
use crate::model::{ModelId, Price, Usage};
use crate::provider::{Completion, Request};
use crate::session::Session;
use crate::state::Shared;
use crate::tool::{BoxFuture, ToolCall};
use crate::update::Update;

/// An answer under way, shared between the sink that fills it and the loop that records it.
pub(super) struct Answer {
    /// What the client knows it by.
    pub(super) message_id: String,
    /// Its number in the log, once a part of it was recorded.
    pub(super) seq: Option<u64>,
    /// What the request said its model costs: a plugin may know a price that the registry does not.
    pub(super) price: Option<Price>,
    pub(super) assembly: Arc<Shared<Assembly>>,
}

impl Answer {
    pub(super) fn new(message_id: String, price: Option<Price>) -> Self {
        Self { message_id, seq: None, price, assembly: Arc::default() }
    }
}

/// The parts of an answer so far.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    parts: Vec<Part>,
    calls: Vec<CallParts>,
    /// Something has come since the last look.
    pub(super) dirty: bool,
}

#[derive(Debug, Default)]
struct CallParts {
    index: usize,
    id: String,
    name: String,
    arguments: String,
}

impl Assembly {
    /// Takes in a fragment as the hook left it.
    pub(super) fn push(&mut self, delta: &Delta, model: &ModelId) {
        self.dirty = true;
        match &delta.kind {
            DeltaKind::Text => match self.parts.last_mut() {
                Some(Part::Text { text }) => text.push_str(&delta.text),
                _ if delta.text.is_empty() => {}
                _ => self.parts.push(Part::text(delta.text.as_str())),
            },
            DeltaKind::Thought { signature } => {
                // A signature ends its block: what comes after it is another.
                if let Some(Part::Reasoning { text, signature: signed @ None, .. }) = self.parts.last_mut() {
                    text.push_str(&delta.text);
                    signed.clone_from(signature);
                } else if !delta.text.is_empty() || signature.is_some() {
                    let model = Some(model.to_string());
                    self.parts.push(Part::Reasoning { text: delta.text.clone(), signature: signature.clone(), model });
                }
            }
            DeltaKind::ToolCall { index, id, name } => {
                let at = match self.calls.iter().position(|call| call.index == *index) {
                    Some(at) => at,
                    None => {
                        self.calls.push(CallParts { index: *index, ..CallParts::default() });
                        self.calls.len() - 1
                    }
                };
                let call = &mut self.calls[at];
                if let Some(id) = id
                    && call.id.is_empty()
                {
                    call.id.clone_from(id);
                }
                call.name.push_str(name.as_deref().unwrap_or_default());
                call.arguments.push_str(&delta.text);
            }
        }
    }

    /// Whether nothing has come.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.calls.is_empty()
    }

    /// What has come, without tool calls: those are worth something only when they are whole.
    pub(super) fn partial(&self, message_id: &str) -> Option<Message> {
        let parts: Vec<Part> = self.parts.clone();
        (!parts.is_empty()).then(|| Message::new(Role::Assistant, parts).with_id(message_id))
    }

    /// The whole answer. `unique` gives each call an id that the session has not used.
    pub(super) fn message(&self, message_id: &str, unique: impl Fn(&str) -> String) -> Message {
        let mut parts = self.parts.clone();
        for call in &self.calls {
            parts.push(Part::ToolCall(ToolCall::from_raw(unique(&call.id), call.name.trim(), call.arguments.as_str())));
        }
        Message::new(Role::Assistant, parts).with_id(message_id)
    }
}

/// Where the run's own answer streams to.
pub(super) struct Stream {
    pub(super) session: Session,
    pub(super) hooks: Hooks,
    pub(super) client: Option<Arc<dyn Client>>,
    pub(super) message_id: String,
    pub(super) model: ModelId,
    pub(super) assembly: Arc<Shared<Assembly>>,
    /// The block the last fragment belonged to.
    block: Option<DeltaKind>,
    listened: bool,
}

impl Stream {
    pub(super) fn new(
        session: &Session,
        hooks: &Hooks,
        client: Option<Arc<dyn Client>>,
        answer: &Answer,
        model: ModelId,
    ) -> Self {
        Self {
            session: session.clone(),
            hooks: hooks.clone(),
            client,
            message_id: answer.message_id.clone(),
            model,
            assembly: answer.assembly.clone(),
            block: None,
            listened: hooks.has_impls(OnStreamDelta),
        }
    }

    /// Ends the block under way: an impl that held text back releases it.
    pub(super) fn end_block(&mut self) -> Result<(), DeltaRefused> {
        let Some(kind) = self.block.take() else { return Ok(()) };
        if !self.listened {
            return Ok(());
        }
        self.pass(Delta { kind, text: String::new(), done: true })
    }

    fn pass(&mut self, mut delta: Delta) -> Result<(), DeltaRefused> {
        if self.listened {
            let read_only = delta.is_read_only().then(|| delta.clone());
            let heard = self.hooks.on_stream_delta(&self.session, &mut delta);
            heard.map_err(|error| DeltaRefused(error.to_string()))?;
            if let Some(original) = read_only {
                delta = original;
            }
        }
        self.assembly.with(|assembly| assembly.push(&delta, &self.model));
        if delta.text.is_empty() {
            return Ok(());
        }
        let message_id = self.message_id.clone();
        match delta.kind {
            DeltaKind::Text => self.session.update(Update::AgentMessage { message_id, text: delta.text }),
            DeltaKind::Thought { .. } => self.session.update(Update::AgentThought { message_id, text: delta.text }),
            DeltaKind::ToolCall { .. } => {}
        }
        Ok(())
    }
}

impl DeltaSink for Stream {
    fn accept(&mut self, delta: Delta) -> Result<(), DeltaRefused> {
        let same = match (&self.block, &delta.kind) {
            (Some(DeltaKind::ToolCall { index: a, .. }), DeltaKind::ToolCall { index: b, .. }) => a == b,
            (Some(a), b) => std::mem::discriminant(a) == std::mem::discriminant(b),
            (None, _) => false,
        };
        if !same {
            self.end_block()?;
            self.block = Some(match &delta.kind {
                // Only what tells the block from others: the closing delta must not repeat ids or signatures.
                DeltaKind::ToolCall { index, .. } => DeltaKind::ToolCall { index: *index, id: None, name: None },
                DeltaKind::Thought { .. } => DeltaKind::Thought { signature: None },
                DeltaKind::Text => DeltaKind::Text,
            });
        }
        self.pass(delta)
    }

    fn room(&mut self) -> Option<BoxFuture<'_, ()>> {
        self.client.as_ref()?.room()
    }
}

/// The sink of a request that nobody watches.
#[derive(Debug, Default)]
pub(crate) struct Silent {
    assembly: Assembly,
    model: Option<ModelId>,
}

impl Silent {
    pub(crate) fn into_response(self, request: &Request, completion: Completion) -> Response {
        let message = self.assembly.message(&super::new_id(), str::to_owned);
        let usage = completion.usage.unwrap_or_else(|| estimate(request, &message));
        Response::new(message, request.model.id.clone(), usage, completion.finish)
    }
}

impl DeltaSink for Silent {
    fn accept(&mut self, delta: Delta) -> Result<(), DeltaRefused> {
        let model = self.model.get_or_insert_with(|| ModelId::new("", ""));
        self.assembly.push(&delta, model);
        Ok(())
    }

    fn is_shown(&self) -> bool {
        false
    }
}

/// The usage of a request whose provider does not tell.
pub(super) fn estimate(request: &Request, answer: &Message) -> Usage {
    let tools: usize =
        request.tools.iter().map(|tool| tool.description.len() + tool.input_schema.to_string().len()).sum();
    let fixed = (request.system.text().len() + tools) as u64 / 4;
    let said: u64 = request.messages.iter().map(Message::estimated_tokens).sum();
    Usage::new(fixed + said, answer.estimated_tokens())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_add_up_to_a_message() {
        let model = ModelId::new("p", "m");
        let mut assembly = Assembly::default();
        for delta in [
            Delta::thought("let me "),
            Delta::thought("see"),
            Delta::text("Reading "),
            Delta::text("both."),
            Delta::tool_call(0, Some("x".into()), Some("re".into()), ""),
            Delta::tool_call(1, None, Some("read".into()), "{\"path\":"),
            Delta::tool_call(0, None, Some("ad".into()), "{}"),
            Delta::tool_call(1, None, None, "\"b\"}"),
        ] {
            assembly.push(&delta, &model);
        }
        let message = assembly.message("id", |id| if id.is_empty() { "made-up".into() } else { id.to_owned() });
        assert_eq!(message.text(), "Reading both.");
        let calls: Vec<_> = message
            .tool_calls()
            .map(|call| (call.id.as_str(), call.name.as_str(), call.raw_arguments.as_str()))
            .collect();
        assert_eq!(calls, [("x", "read", "{}"), ("made-up", "read", "{\"path\":\"b\"}")]);
        assert!(assembly.partial("id").is_some_and(|partial| partial.tool_calls().next().is_none()));
    }
}
