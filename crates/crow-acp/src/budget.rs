//! The clock that limits how long an impl may take. Time in which the impl waits for the user or for a model that it
//! asked itself does not count.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::task;
use tokio::time::Instant;

use crate::state::Shared;
use crate::tool::BoxFuture;

/// What an impl may take unless its hook says otherwise.
pub(crate) const DEFAULT: Duration = Duration::from_secs(10);

/// The timers under way, by the task whose impls they limit.
static TIMERS: LazyLock<Shared<HashMap<task::Id, Vec<Arc<Timing>>>>> = LazyLock::new(Shared::default);

/// The engine's timer, on tokio's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock;

impl crow_hooks::Timer for Clock {
    fn wait(&self, budget: Duration) -> BoxFuture<'static, ()> {
        let timing = Arc::new(Timing { paused: Shared::default() });
        let registered = Registered::new(timing.clone());
        Box::pin(async move {
            let _registered = registered;
            let mut deadline = Instant::now() + budget;
            loop {
                tokio::time::sleep_until(deadline).await;
                match timing.take_paused() {
                    Duration::ZERO => return,
                    paused => deadline = Instant::now() + paused,
                }
            }
        })
    }
}

/// One timer.
#[derive(Debug)]
struct Timing {
    paused: Shared<Paused>,
}

#[derive(Debug, Default)]
struct Paused {
    /// Pauses under way, and since when the first of them.
    depth: u32,
    since: Option<Instant>,
    /// Pauses that are over and not yet given back to the impl.
    total: Duration,
}

impl Timing {
    /// The time in pauses since the last look, one that is under way included.
    fn take_paused(&self) -> Duration {
        self.paused.with(|paused| {
            let now = Instant::now();
            let under_way = paused.since.replace(now).map_or(Duration::ZERO, |since| now - since);
            if paused.depth == 0 {
                paused.since = None;
                return std::mem::take(&mut paused.total);
            }
            // At least a moment, so that a pause that has just begun is not taken for none.
            std::mem::take(&mut paused.total) + under_way.max(Duration::from_millis(1))
        })
    }
}

/// Keeps a timer findable for as long as it runs.
struct Registered {
    task: Option<task::Id>,
    timing: Arc<Timing>,
}

impl Registered {
    fn new(timing: Arc<Timing>) -> Self {
        let task = task::try_id();
        if let Some(task) = task {
            TIMERS.with(|timers| timers.entry(task).or_default().push(timing.clone()));
        }
        Self { task, timing }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let Some(task) = self.task else { return };
        TIMERS.with(|timers| {
            if let Some(of_task) = timers.get_mut(&task) {
                of_task.retain(|timing| !Arc::ptr_eq(timing, &self.timing));
                if of_task.is_empty() {
                    timers.remove(&task);
                }
            }
        });
    }
}

/// While it lives, the clocks of one task's impls stand still.
#[derive(Debug)]
#[must_use = "the clocks go on when it is dropped"]
pub struct Pause(Vec<Arc<Timing>>);

impl Pause {
    pub(crate) fn begin() -> Self {
        Self::of(task::try_id())
    }

    /// Stops the clocks of the impls that the task `task` runs: for plugins whose code waits on another task than the one
    /// that called them.
    pub fn of(task: Option<task::Id>) -> Self {
        let timers = task.and_then(|task| TIMERS.with(|timers| timers.get(&task).cloned()));
        let timers = timers.unwrap_or_default();
        for timing in &timers {
            timing.paused.with(|paused| {
                paused.depth += 1;
                paused.since.get_or_insert_with(Instant::now);
            });
        }
        Self(timers)
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        for timing in &self.0 {
            timing.paused.with(|paused| {
                paused.depth -= 1;
                if paused.depth == 0
                    && let Some(since) = paused.since.take()
                {
                    paused.total += since.elapsed();
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crow_hooks::Timer;

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_given_back() {
        tokio::spawn(async {
            let start = Instant::now();
            let wait = Clock.wait(Duration::from_secs(10));
            tokio::pin!(wait);
            assert!(tokio::time::timeout(Duration::from_secs(4), &mut wait).await.is_err());
            let pause = Pause::begin();
            assert!(tokio::time::timeout(Duration::from_mins(1), &mut wait).await.is_err());
            drop(pause);
            wait.await;
            let took = start.elapsed();
            assert!(took >= Duration::from_secs(69) && took < Duration::from_secs(72), "{took:?}");
        })
        .await
        .expect("the task does not panic");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_pause_it_is_an_alarm_clock_that_leaves_nothing_behind() {
        tokio::spawn(async {
            let start = Instant::now();
            Clock.wait(Duration::from_secs(10)).await;
            assert_eq!(start.elapsed().as_secs(), 10);
            assert!(!TIMERS.with(|timers| timers.contains_key(&task::id())));
        })
        .await
        .expect("the task does not panic");
    }
}
