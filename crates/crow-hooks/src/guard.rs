//! Keeps a plugin's panic, and its slowness, from taking the host down.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::atomic::{AtomicU8, Ordering},
    task::{Context, Poll},
    time::Duration,
};

use crate::{
    BoxFuture, ErrorKind, HookError, HookSpec, ImplInfo,
    answer::Given,
    call::{Env, failed},
    next::RUNNING,
    time,
    trace::Span,
};

/// Runs plugin code; a panic becomes an error that names the plugin.
#[inline]
pub(crate) fn caught<T>(info: &ImplInfo, run: impl FnOnce() -> T) -> Result<T, HookError> {
    // What the plugin left half-done behind a lock is its own affair: std's locks are poisoned for that reason.
    catch_unwind(AssertUnwindSafe(run)).map_err(|payload| HookError::panicked(info.plugin.clone(), info.hook, payload))
}

/// The clock of one impl. It is set once the impl has to wait.
pub(crate) struct Clock<'a> {
    info: &'a ImplInfo,
    spec: &'static HookSpec,
    env: &'a Env,
    alarm: Option<(Duration, BoxFuture<'static, ()>)>,
}

impl<'a> Clock<'a> {
    pub(crate) fn new(info: &'a ImplInfo, spec: &'static HookSpec, env: &'a Env) -> Self {
        Self { info, spec, env, alarm: None }
    }

    /// An error once the time is up.
    fn check(&mut self, task: &mut Context<'_>) -> Option<HookError> {
        if self.alarm.is_none() {
            let timer = self.env.timer.as_ref()?;
            let limit = time::limit(self.info, self.spec, self.env.default_budget)?;
            self.alarm = Some((limit, timer.wait(limit)));
        }
        let (limit, alarm) = self.alarm.as_mut()?;
        let limit = *limit;
        match alarm.as_mut().poll(task) {
            Poll::Pending => None,
            Poll::Ready(()) => {
                let kind = ErrorKind::TimedOut(limit);
                Some(HookError::of(self.info.plugin.clone(), self.info.hook, kind, None))
            }
        }
    }
}

/// An impl's future, guarded.
pub(crate) struct Running<'a, T> {
    now: Now<'a, T>,
    clock: Clock<'a>,
    span: Span,
}

enum Now<'a, T> {
    Future(BoxFuture<'a, Given<T>>),
    Known(Option<Result<Option<T>, HookError>>),
}

impl<T> Unpin for Running<'_, T> {}

impl<'a, T> Running<'a, T> {
    pub(crate) fn new(
        future: BoxFuture<'a, Given<T>>,
        info: &'a ImplInfo,
        spec: &'static HookSpec,
        env: &'a Env,
    ) -> Self {
        Self { now: Now::Future(future), clock: Clock::new(info, spec, env), span: Span::of(info) }
    }

    pub(crate) fn ready(given: Given<T>, info: &'a ImplInfo, spec: &'static HookSpec, env: &'a Env) -> Self {
        let known = given.map_err(|source| failed(info, source));
        Self { now: Now::Known(Some(known)), clock: Clock::new(info, spec, env), span: Span::of(info) }
    }

    pub(crate) fn failed(error: HookError, info: &'a ImplInfo, spec: &'static HookSpec, env: &'a Env) -> Self {
        Self { now: Now::Known(Some(Err(error))), clock: Clock::new(info, spec, env), span: Span::of(info) }
    }

    /// Drops the future now, so that a panic in its destructor is an error like any other.
    fn close(&mut self) -> Result<(), HookError> {
        let now = std::mem::replace(&mut self.now, Now::Known(None));
        caught(self.clock.info, || drop(now))
    }
}

impl<T> Future for Running<'_, T> {
    type Output = Result<Option<T>, HookError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let result = match &mut this.now {
            Now::Known(known) => match known.take() {
                Some(known) => return Poll::Ready(known),
                None => panic!("an impl was polled after it had given its value"),
            },
            Now::Future(future) => match caught(this.clock.info, || this.span.run(|| future.as_mut().poll(task))) {
                Ok(Poll::Ready(given)) => given.map_err(|source| failed(this.clock.info, source)),
                Ok(Poll::Pending) => match this.clock.check(task) {
                    None => return Poll::Pending,
                    Some(late) => Err(late),
                },
                Err(panicked) => Err(panicked),
            },
        };
        Poll::Ready(match this.close() {
            Err(panicked) if result.is_ok() => Err(panicked),
            _ => result,
        })
    }
}

impl<T> Drop for Running<'_, T> {
    fn drop(&mut self) {
        if matches!(self.now, Now::Future(_))
            && let Err(panicked) = self.close()
        {
            self.clock.env.report(&panicked);
        }
    }
}

/// Awaits a wrapper's future; its clock stands still while what it wraps is running.
pub(crate) async fn guarded<F: Future>(
    future: F,
    mut clock: Clock<'_>,
    state: &AtomicU8,
) -> Result<F::Output, HookError> {
    let mut future = pin!(future);
    let span = Span::of(clock.info);
    std::future::poll_fn(|task| match caught(clock.info, || span.run(|| future.as_mut().poll(task))) {
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Err(panicked) => Poll::Ready(Err(panicked)),
        Ok(Poll::Pending) if state.load(Ordering::Relaxed) == RUNNING => {
            clock.alarm = None;
            Poll::Pending
        }
        Ok(Poll::Pending) => match clock.check(task) {
            None => Poll::Pending,
            Some(late) => Poll::Ready(Err(late)),
        },
    })
    .await
}
