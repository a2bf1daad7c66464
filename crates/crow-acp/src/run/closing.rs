//! The end of a run: what the user is told, and what stays.

use super::{Ended, Run, new_id};
use crate::answers::{RunError, RunOutcome, StopReason};
use crate::event::EventKind;
use crate::message::Message;
use crate::model::{ModelId, Usage};
use crate::update::{Notice, Severity, Update};

impl Run {
    /// What the user is told of an error: what `on_error` answers, else the truth.
    pub(super) async fn told(&self, error: &RunError) -> String {
        match self.hooks.on_error(&self.agent, &self.session, error).await {
            Ok(Some(text)) => text,
            Ok(None) | Err(_) => error.message.clone(),
        }
    }

    /// Tells the user why the prompt was refused, as the agent's message.
    pub(crate) async fn tell_refusal(&self, error: &RunError) -> String {
        let text = self.told(error).await;
        self.session.update(Update::AgentMessage { message_id: new_id(), text: text.clone() });
        text
    }

    /// Tells the user what went wrong, as a notice.
    pub(crate) async fn tell_failure(&self, error: &RunError) -> String {
        let text = self.told(error).await;
        self.session.notify(Notice::new(Severity::Error, text.clone()));
        text
    }

    /// Takes the prompt, and whatever followed it, out of what the model sees. The log keeps it, marked.
    pub(crate) async fn exclude_prompt(&mut self, reason: String) {
        let Some(prompt) = self.prompt.take() else { return };
        self.calls.clear();
        self.answer = None;
        self.session.hold_messages(false);
        self.session.state(|state| {
            let stands = |message: &Message| message.id.as_deref() == Some(&prompt.message_id);
            if let Some(at) = state.messages.iter().position(stands) {
                state.messages.truncate(at);
            }
        });
        self.record(EventKind::Refused { excluded: prompt.seq, reason }).await;
    }

    /// What had arrived of the answer when the user cancelled: it stays in the conversation.
    pub(crate) async fn record_cancelled(&mut self) {
        let message = self.partial();
        if let Some(message) = &message {
            self.session.push_own(message.clone());
        }
        self.record_answer(EventKind::Cancelled { message }).await;
    }

    /// What had arrived of the answer when the request failed: it stays in the conversation, as an answer.
    pub(crate) async fn keep_partial_answer(&mut self) {
        let Some(message) = self.partial() else { return };
        let model = self.session.model().unwrap_or_else(|| ModelId::new("unknown", "unknown"));
        self.session.push_own(message.clone());
        // The provider did not live to tell the usage.
        self.record_answer(EventKind::Assistant { message, model, usage: Usage::default(), cost: None }).await;
    }

    fn partial(&self) -> Option<Message> {
        let answer = self.answer.as_ref()?;
        answer.assembly.with(|assembly| assembly.partial(&answer.message_id))
    }

    /// Records the event that ends a failed run.
    pub(crate) async fn record_error(&mut self, message: String) {
        self.record(EventKind::Error { message }).await;
    }

    /// Records what synchronous calls left behind.
    pub(crate) async fn flush(&mut self) {
        let recorded = self.session.record_pending().await;
        self.noticed(recorded);
    }

    /// What the run amounts to.
    pub(crate) fn outcome(&self, ended: &Ended) -> RunOutcome {
        let (stop_reason, error) = match ended {
            Ended::Stop(reason) => (*reason, None),
            Ended::Answered { refused: false } => (StopReason::EndTurn, None),
            Ended::Answered { refused: true } => (StopReason::Refusal, None),
            Ended::Cancelled => (StopReason::Cancelled, None),
            Ended::RefusedEarly(error) | Ended::Refused(error) => (StopReason::Refusal, Some(error.clone())),
            Ended::Failed(error) => (StopReason::EndTurn, Some(error.clone())),
        };
        RunOutcome { stop_reason, error, usage: self.usage, turns: self.turns }
    }
}
