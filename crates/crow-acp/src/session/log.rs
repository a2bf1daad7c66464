//! The session's log: every event gets its number here, and goes to `record_event`.

use super::Session;
use crate::event::{Event, EventKind};
use crate::state::now;

impl Session {
    /// Queues an event for the next occasion.
    pub(crate) fn record_later(&self, kind: EventKind) {
        self.state(|state| state.pending.push(kind));
    }

    /// A number for an event that is recorded later than it began (an answer that streams).
    pub(crate) fn reserve_seq(&self) -> u64 {
        self.state(|state| {
            state.last_seq += 1;
            state.last_seq
        })
    }

    /// Records what is pending, then `kind`, and returns its number.
    pub(crate) async fn record(&self, kind: EventKind) -> Result<u64, crow_hooks::HookError> {
        self.record_pending().await?;
        let seq = self.reserve_seq();
        self.record_at(seq, kind).await?;
        Ok(seq)
    }

    /// Records what synchronous calls left behind.
    pub(crate) async fn record_pending(&self) -> Result<(), crow_hooks::HookError> {
        for kind in self.state(|state| std::mem::take(&mut state.pending)) {
            let seq = self.reserve_seq();
            self.record_at(seq, kind).await?;
        }
        Ok(())
    }

    /// Records an event under a number that was reserved for it.
    pub(crate) async fn record_at(&self, seq: u64, kind: EventKind) -> Result<(), crow_hooks::HookError> {
        let Some(agent) = self.agent() else { return Ok(()) };
        let at = now();
        self.state(|state| state.updated_at = at);
        agent.hooks().record_event(&agent, self, &Event { seq, at, kind }).await
    }
}
