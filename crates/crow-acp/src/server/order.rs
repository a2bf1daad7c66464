//! Requests about one session start in the order in which they came; prompts also answer in that order. Requests about
//! different sessions never wait for each other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// The queues of all sessions that requests are under way for.
#[derive(Debug, Clone, Default)]
pub(super) struct Lanes(Arc<Mutex<HashMap<String, Lane>>>);

#[derive(Debug, Default)]
struct Lane {
    requests: Queue,
    prompts: Queue,
    /// Cancels every prompt that came before `session/cancel`, also those that have not begun.
    cancel: CancellationToken,
    /// How many requests are in it; the last one to leave takes the lane away.
    inside: usize,
}

/// A request's place in its session's lane; leaving is dropping it.
#[derive(Debug)]
pub(super) struct Place {
    lanes: Lanes,
    session_id: String,
    requests: Turn,
    prompts: Option<Turn>,
    cancel: CancellationToken,
}

impl Lanes {
    /// Takes a place behind those that came before; among the prompts, too, for requests that run after the prompts
    /// before them and ahead of those behind.
    pub(super) fn enter(&self, session_id: &str, among_prompts: bool) -> Place {
        let mut lanes = self.lock();
        let lane = lanes.entry(session_id.to_owned()).or_default();
        lane.inside += 1;
        Place {
            lanes: self.clone(),
            session_id: session_id.to_owned(),
            requests: lane.requests.join(),
            prompts: among_prompts.then(|| lane.prompts.join()),
            cancel: lane.cancel.child_token(),
        }
    }

    /// Cancels the prompts that have come so far.
    pub(super) fn cancel(&self, session_id: &str) {
        let cancelled = self.lock().get_mut(session_id).map(|lane| std::mem::take(&mut lane.cancel));
        if let Some(cancelled) = cancelled {
            cancelled.cancel();
        }
    }

    /// Cancels all prompts of all sessions.
    pub(super) fn cancel_all(&self) {
        let cancelled: Vec<CancellationToken> =
            self.lock().values_mut().map(|lane| std::mem::take(&mut lane.cancel)).collect();
        cancelled.iter().for_each(CancellationToken::cancel);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Lane>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits until the requests before have started.
    pub(super) async fn comes(&mut self) {
        self.requests.comes().await;
    }

    /// Lets the requests behind start.
    pub(super) fn started(&mut self) {
        self.requests.pass();
    }

    /// Waits until the prompts before are answered.
    pub(super) async fn prompts_answered(&mut self) {
        if let Some(turn) = &mut self.prompts {
            turn.comes().await;
        }
    }

    /// Cancelled by `session/cancel`.
    pub(super) fn cancellation(&self) -> &CancellationToken {
        &self.cancel
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lanes = self.lanes.lock();
        if let Some(lane) = lanes.get_mut(&self.session_id) {
            lane.inside -= 1;
            if lane.inside == 0 {
                lanes.remove(&self.session_id);
            }
        }
    }
}

/// A queue whose members know only the one before them.
#[derive(Debug, Default)]
struct Queue {
    last: Option<oneshot::Receiver<()>>,
}

/// A place in a [`Queue`]. Dropping it lets the next one go.
#[derive(Debug)]
struct Turn {
    before: Option<oneshot::Receiver<()>>,
    after: Option<oneshot::Sender<()>>,
}

impl Queue {
    fn join(&mut self) -> Turn {
        let (after, next) = oneshot::channel();
        Turn { before: self.last.replace(next), after: Some(after) }
    }
}

impl Turn {
    async fn comes(&mut self) {
        if let Some(before) = &mut self.before {
            // An error means that the one before was dropped, which is as good.
            let _ = before.await;
            self.before = None;
        }
    }

    fn pass(&mut self) {
        self.after = None;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn waits(future: impl Future<Output = ()>) -> bool {
        tokio::time::timeout(Duration::from_millis(20), future).await.is_err()
    }

    #[tokio::test]
    async fn requests_of_a_session_start_in_order() {
        let lanes = Lanes::default();
        let (mut first, mut second) = (lanes.enter("a", false), lanes.enter("a", false));
        let mut other = lanes.enter("b", false);
        other.comes().await;
        assert!(waits(second.comes()).await);
        first.comes().await;
        first.started();
        second.comes().await;
    }

    #[tokio::test]
    async fn a_prompt_waits_for_the_answer_of_the_one_before_and_others_do_not() {
        let lanes = Lanes::default();
        let (mut first, mut second) = (lanes.enter("a", true), lanes.enter("a", true));
        let mut mode = lanes.enter("a", false);
        first.comes().await;
        first.prompts_answered().await;
        first.started();
        second.comes().await;
        second.started();
        mode.comes().await;
        assert!(waits(second.prompts_answered()).await);
        drop(first);
        second.prompts_answered().await;
    }

    #[tokio::test]
    async fn a_cancel_reaches_the_prompts_before_it_and_no_later_ones() {
        let lanes = Lanes::default();
        let (first, second) = (lanes.enter("a", true), lanes.enter("a", true));
        lanes.cancel("a");
        let third = lanes.enter("a", true);
        assert!(first.cancellation().is_cancelled() && second.cancellation().is_cancelled());
        assert!(!third.cancellation().is_cancelled());
        lanes.cancel("b");
        drop((first, second, third));
        assert!(lanes.lock().is_empty());
    }
}
