//! Time limits of impls, by the host's own clock.

use std::time::Duration;

use crate::{BoxFuture, Budget, HookSpec, ImplInfo};

/// Tells when a time is up. The engine has no runtime, so the host provides it.
///
/// The future decides alone: a host that does not count the time a user takes to answer a question
/// gives a future that stands still meanwhile. It is made in the task that runs the impl, and only
/// once the impl has had to wait: an impl that is done at once costs no timer.
pub trait Timer: Send + Sync {
    /// A future that is ready when `budget` is used up, counting from now.
    fn wait(&self, budget: Duration) -> BoxFuture<'static, ()>;
}

/// The limit that holds for an impl: its plugin's, else its hook's, else the manager's.
pub(crate) fn limit(info: &ImplInfo, spec: &HookSpec, default: Option<Duration>) -> Option<Duration> {
    match info.budget.or(spec.budget) {
        Some(Budget::Limited(time)) => Some(time),
        Some(Budget::Unbounded) => None,
        None => default,
    }
}
