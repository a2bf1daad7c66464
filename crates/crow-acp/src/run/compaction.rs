//! Making a conversation shorter for the model. The log keeps all of it.

use super::{Ended, Run};
use crate::agent::Agent;
use crate::answers::{CompactPlan, CompactReport, CompactTrigger, ContextUse, RunError};
use crate::event::EventKind;
use crate::hooks::Hooks;
use crate::message::Message;
use crate::session::Session;
use crate::update::{CompactionState, CompactionUpdate, Update};

impl Run {
    pub(crate) fn asked_to_compact() -> CompactTrigger {
        CompactTrigger::Asked { focus: None }
    }

    pub(crate) fn context_use(&self, overflow: bool) -> ContextUse {
        context_use(&self.agent, &self.session, overflow)
    }

    /// `compact` → `after_compact`. A veto or a failure is told, and the run goes on with what it has.
    pub(crate) async fn compact(&mut self, trigger: CompactTrigger) -> Result<(), Ended> {
        self.interruptible(compact(&self.agent, &self.session, &self.hooks, trigger)).await.map(drop)
    }
}

/// How full the context of a session is.
pub(crate) fn context_use(agent: &Agent, session: &Session, overflow: bool) -> ContextUse {
    let model = session.model().and_then(|id| agent.model(&id));
    let (window, max_output) = model.map_or((None, None), |model| (model.context_window, model.max_output));
    ContextUse::new(session.context_used(), window, max_output, overflow)
}

/// `compact` → `after_compact`: the plugin's messages take the place of the session's. The client is told how it goes.
pub(crate) async fn compact(
    agent: &Agent,
    session: &Session,
    hooks: &Hooks,
    trigger: CompactTrigger,
) -> Result<CompactReport, RunError> {
    let mut shown = Shown::begin(session);
    let done = replace(agent, session, hooks, trigger, &shown.id).await;
    match &done {
        Ok((report, summary)) => {
            let state = CompactionState::Completed { summary: summary.clone() };
            shown.end(state, Some((report.before, report.after)));
        }
        Err(error) => shown.end(CompactionState::Failed { reason: error.message.clone() }, None),
    }
    let (report, _) = done?;
    session.advertise_usage();
    hooks.after_compact(agent, session, &report).await?;
    Ok(report)
}

async fn replace(
    agent: &Agent,
    session: &Session,
    hooks: &Hooks,
    trigger: CompactTrigger,
    id: &str,
) -> Result<(CompactReport, String), RunError> {
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
    let summary = compaction.summary;
    session.record(EventKind::Compacted { messages, summary: summary.clone(), id: Some(id.to_owned()) }).await?;
    Ok((CompactReport::new(trigger, before, after), summary))
}

/// A compaction as the client sees it: however it ends, dropped in the middle included, the client is told.
struct Shown<'a> {
    session: &'a Session,
    id: String,
    over: bool,
}

impl<'a> Shown<'a> {
    fn begin(session: &'a Session) -> Self {
        let id = uuid::Uuid::now_v7().to_string();
        session.update(Update::Compaction(CompactionUpdate::new(&*id, CompactionState::InProgress)));
        Self { session, id, over: false }
    }

    fn end(&mut self, state: CompactionState, tokens: Option<(u64, u64)>) {
        self.over = true;
        let mut update = CompactionUpdate::new(&*self.id, state);
        update.tokens = tokens;
        self.session.update(Update::Compaction(update));
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.end(CompactionState::Cancelled, None);
        }
    }
}

fn estimate(messages: &[Message]) -> u64 {
    messages.iter().map(Message::estimated_tokens).sum()
}
