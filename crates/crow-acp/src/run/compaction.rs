//! Making a conversation shorter for the model. The log keeps all of it.

use super::{Ended, Run};
use crate::agent::Agent;
use crate::answers::{CompactPlan, CompactReport, CompactTrigger, ContextUse, RunError};
use crate::event::EventKind;
use crate::hooks::Hooks;
use crate::message::Message;
use crate::session::Session;
use crate::update::{Notice, Severity};

impl Run {
    pub(crate) fn asked_to_compact() -> CompactTrigger {
        CompactTrigger::Asked { focus: None }
    }

    pub(crate) fn context_use(&self, overflow: bool) -> ContextUse {
        context_use(&self.agent, &self.session, overflow)
    }

    /// `compact` → `after_compact`. A veto or a failure is told, and the run goes on with what it has.
    pub(crate) async fn compact(&mut self, trigger: CompactTrigger) -> Result<(), Ended> {
        let compacted = self.interruptible(compact(&self.agent, &self.session, &self.hooks, trigger)).await?;
        if let Err(error) = compacted {
            let title = format!("the conversation was not compacted: {}", error.message);
            self.session.notify(Notice::new(Severity::Warning, title));
        }
        Ok(())
    }
}

/// How full the context of a session is.
pub(crate) fn context_use(agent: &Agent, session: &Session, overflow: bool) -> ContextUse {
    let model = session.model().and_then(|id| agent.model(&id));
    let (window, max_output) = model.map_or((None, None), |model| (model.context_window, model.max_output));
    ContextUse::new(session.context_used(), window, max_output, overflow)
}

/// `compact` → `after_compact`: the plugin's messages take the place of the session's.
pub(crate) async fn compact(
    agent: &Agent,
    session: &Session,
    hooks: &Hooks,
    trigger: CompactTrigger,
) -> Result<CompactReport, RunError> {
    if session.state(|state| state.calls_open) {
        return Err(RunError::new("tool calls wait for their results; compact when the turn is over"));
    }
    let overflow = trigger == CompactTrigger::Overflow;
    let plan = CompactPlan::new(trigger.clone(), context_use(agent, session, overflow), session.messages());
    let before = estimate(&plan.messages);
    let compaction = hooks.compact(agent, session, &plan).await?;
    let Some(compaction) = compaction else { return Err(RunError::new("no plugin compacts conversations")) };
    let after = estimate(&compaction.messages);
    let messages = session.replace_messages(&plan.messages, compaction.messages, before.saturating_sub(after));
    session.record(EventKind::Compacted { messages, summary: compaction.summary }).await?;
    session.advertise_usage();
    let report = CompactReport::new(trigger, before, after);
    hooks.after_compact(agent, session, &report).await?;
    Ok(report)
}

fn estimate(messages: &[Message]) -> u64 {
    messages.iter().map(Message::estimated_tokens).sum()
}
