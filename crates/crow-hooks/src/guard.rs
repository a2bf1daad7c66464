//! Keeps a plugin's panic, and its slowness, from taking the host down.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::atomic::{AtomicU8, Ordering},
    task::{Context, Poll},
    time::Duration,
};

use crate::{
    BoxFuture, ErrorKind, Hook, HookError, HookSpec, ImplInfo, ImplOutcome,
    answer::Given,
    call::{Cx, Env, failed, not_sync},
    list::{Entry, Implement},
    monitor::Watch,
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
#[derive(Default)]
struct Clock(Option<Box<Alarm>>);

struct Alarm {
    limit: Duration,
    rings: BoxFuture<'static, ()>,
}

impl Clock {
    /// An error once the time is up.
    fn check(
        &mut self,
        info: &ImplInfo,
        spec: &'static HookSpec,
        env: &Env,
        task: &mut Context<'_>,
    ) -> Option<HookError> {
        if self.0.is_none() {
            let timer = env.timer.as_ref()?;
            let limit = time::limit(info, spec, env.default_budget)?;
            self.0 = Some(Box::new(Alarm { limit, rings: timer.wait(limit) }));
        }
        let alarm = self.0.as_mut()?;
        match alarm.rings.as_mut().poll(task) {
            Poll::Pending => None,
            Poll::Ready(()) => {
                Some(HookError::of(info.plugin.clone(), info.hook, ErrorKind::TimedOut(alarm.limit), None))
            }
        }
    }

    fn stop(&mut self) {
        self.0 = None;
    }
}

/// What the first poll of an impl gives.
pub(crate) enum First<'a, T> {
    /// Its value: most are done then.
    Given(Result<Option<T>, HookError>),
    /// It has to wait: its future, and who watches it.
    Waits(BoxFuture<'a, Given<T>>, Option<Box<Watch<'a>>>),
}

/// Calls an impl and polls what it gives for the first time.
#[inline]
pub(crate) fn first<'a, H: Hook>(
    cx: Cx<'a, H>,
    entry: &'a Entry<dyn Implement<H>>,
    args: H::Args<'a>,
    task: &mut Context<'_>,
) -> First<'a, H::Output> {
    let watch = Watch::start(cx.env, cx.trail, &entry.info);
    let span = Span::of(&entry.info);
    // A future that is done at once is dropped in here as well.
    let called = catch_unwind(AssertUnwindSafe(|| span.run(|| entry.run.call(args, Some(task)))));
    let given = match called {
        Ok(Ok(given)) => given.map_err(|source| failed(&entry.info, source)),
        Ok(Err(Some(future))) => return First::Waits(future, watch),
        Ok(Err(None)) => Err(not_sync(&entry.info)),
        Err(payload) => Err(HookError::panicked(entry.info.plugin.clone(), entry.info.hook, payload)),
    };
    if let Some(watch) = watch {
        watch.finish(ImplOutcome::of(&given));
    }
    First::Given(given)
}

/// An impl that is being awaited.
pub(crate) struct Running<'a, H: Hook> {
    cx: Cx<'a, H>,
    entry: &'a Entry<dyn Implement<H>>,
    future: Option<BoxFuture<'a, Given<H::Output>>>,
    clock: Clock,
    watch: Option<Box<Watch<'a>>>,
    span: Span,
    /// It has been polled once: that poll is not to be repeated before the clock is set.
    fresh: bool,
}

impl<H: Hook> Unpin for Running<'_, H> {}

impl<'a, H: Hook> Running<'a, H> {
    /// An impl that had to wait at its first poll.
    pub(crate) fn new(
        cx: Cx<'a, H>,
        entry: &'a Entry<dyn Implement<H>>,
        future: BoxFuture<'a, Given<H::Output>>,
        watch: Option<Box<Watch<'a>>>,
    ) -> Self {
        let (clock, span) = (Clock::default(), Span::of(&entry.info));
        Self { cx, entry, future: Some(future), clock, watch, span, fresh: true }
    }

    fn check(&mut self, task: &mut Context<'_>) -> Option<HookError> {
        self.clock.check(&self.entry.info, H::SPEC, self.cx.env, task)
    }

    /// Drops the future now, so that a panic in its destructor is an error like any other, and tells who watches.
    fn end(&mut self, given: Result<Option<H::Output>, HookError>) -> Result<Option<H::Output>, HookError> {
        let future = self.future.take();
        let given = match caught(&self.entry.info, || drop(future)) {
            Err(panicked) if given.is_ok() => Err(panicked),
            _ => given,
        };
        if let Some(watch) = self.watch.take() {
            watch.finish(ImplOutcome::of(&given));
        }
        given
    }
}

impl<H: Hook> Future for Running<'_, H> {
    type Output = Result<Option<H::Output>, HookError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(future) = &mut this.future else { panic!("an impl was polled after it had given its value") };
        let polled = if std::mem::take(&mut this.fresh) {
            Ok(Poll::Pending)
        } else {
            caught(&this.entry.info, || this.span.run(|| future.as_mut().poll(task)))
        };
        let given = match polled {
            Ok(Poll::Ready(given)) => given.map_err(|source| failed(&this.entry.info, source)),
            Err(panicked) => Err(panicked),
            Ok(Poll::Pending) => match this.check(task) {
                None => return Poll::Pending,
                Some(late) => Err(late),
            },
        };
        Poll::Ready(this.end(given))
    }
}

impl<H: Hook> Drop for Running<'_, H> {
    fn drop(&mut self) {
        if let Some(future) = self.future.take()
            && let Err(panicked) = caught(&self.entry.info, || drop(future))
        {
            self.cx.env.report(&panicked);
        }
    }
}

/// A wrapper's future. Its clock stands still while what it wraps is running.
#[doc(hidden)]
pub struct Guarded<'s, F: ?Sized> {
    pub(crate) future: Pin<&'s mut F>,
    pub(crate) guard: Guard<'s>,
}

/// Watches over a wrapper.
#[doc(hidden)]
pub struct Guard<'s> {
    info: &'s ImplInfo,
    spec: &'static HookSpec,
    env: &'s Env,
    state: &'s AtomicU8,
    clock: Clock,
    span: Span,
}

impl std::fmt::Debug for Guard<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("info", &self.info).finish_non_exhaustive()
    }
}

impl<F: ?Sized> std::fmt::Debug for Guarded<'_, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guarded").field("guard", &self.guard).finish_non_exhaustive()
    }
}

impl<'s> Guard<'s> {
    pub(crate) fn new(info: &'s ImplInfo, spec: &'static HookSpec, env: &'s Env, state: &'s AtomicU8) -> Self {
        Self { info, spec, env, state, clock: Clock::default(), span: Span::of(info) }
    }

    pub fn run<F: Future + ?Sized>(self, future: Pin<&'s mut F>) -> Guarded<'s, F> {
        Guarded { future, guard: self }
    }
}

impl<F: Future + ?Sized> Future for Guarded<'_, F> {
    type Output = Result<F::Output, HookError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { future, guard } = &mut *self;
        match caught(guard.info, || guard.span.run(|| future.as_mut().poll(task))) {
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Err(panicked) => Poll::Ready(Err(panicked)),
            Ok(Poll::Pending) if guard.state.load(Ordering::Relaxed) == RUNNING => {
                guard.clock.stop();
                Poll::Pending
            }
            Ok(Poll::Pending) => match guard.clock.check(guard.info, guard.spec, guard.env, task) {
                None => Poll::Pending,
                Some(late) => Poll::Ready(Err(late)),
            },
        }
    }
}
