//! Keeps a plugin's panic, and its slowness, from taking the host down.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use crate::{
    BoxFuture, ErrorKind, Hook, HookError, HookSpec, ImplInfo, ImplOutcome,
    answer::Given,
    call::{Cx, Env, failed, not_sync},
    list::{Act, Entry, Rare, Turn},
    monitor::Watch,
    next::Core,
    time,
    trace::Span,
};

/// Runs plugin code; a panic becomes an error that names the plugin.
#[inline]
pub(crate) fn caught<T>(info: &ImplInfo, run: impl FnOnce() -> T) -> Result<T, HookError> {
    // What the plugin left half-done behind a lock is its own affair: std's locks are poisoned for that reason.
    catch_unwind(AssertUnwindSafe(run)).map_err(|payload| panicked(info, payload))
}

#[cold]
pub(crate) fn panicked(info: &ImplInfo, payload: Box<dyn Any + Send>) -> HookError {
    HookError::panicked(info.plugin.clone(), info.hook, payload)
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

/// What becomes of a call by one impl's turn.
pub(crate) enum First<'a, T> {
    /// The next impl's turn comes.
    Next,
    /// It has its result.
    Finished,
    /// It has failed.
    Failed(HookError),
    /// The impl has to wait: its future, and who watches it.
    Waits(BoxFuture<'a, Given<T>>, Option<Box<Watch<'a>>>),
}

/// Calls an impl and polls what it gives for the first time: most are done then.
#[inline]
pub(crate) fn first<'a, H: Hook>(
    cx: &Cx<'a, H>,
    entry: &'a Entry<dyn Act<H>>,
    args: H::Args<'a>,
    task: &mut Context<'_>,
    out: &mut H::Collected,
) -> First<'a, H::Output> {
    if cx.is_watched() {
        return first_watched(cx, entry, args, task, out);
    }
    match act(entry, args, task, out) {
        Ok(Turn::Value | Turn::None) => First::Next,
        turn => over(cx, entry, turn, None),
    }
}

#[cold]
fn first_watched<'a, H: Hook>(
    cx: &Cx<'a, H>,
    entry: &'a Entry<dyn Act<H>>,
    args: H::Args<'a>,
    task: &mut Context<'_>,
    out: &mut H::Collected,
) -> First<'a, H::Output> {
    let watch = Watch::start(cx.env, cx.trail, &entry.info);
    over(cx, entry, act(entry, args, task, out), watch)
}

#[inline]
fn act<'a, H: Hook>(
    entry: &'a Entry<dyn Act<H>>,
    args: H::Args<'a>,
    task: &mut Context<'_>,
    out: &mut H::Collected,
) -> Result<Turn<'a, H::Output>, HookError> {
    // A future that is done at once is dropped in here as well.
    caught(&entry.info, || Span::of(&entry.info).run(|| entry.run.act(args, Some(task), out)))
}

/// The end of a turn, told to whoever watches; unless it has only begun.
pub(crate) fn over<'a, H: Hook>(
    cx: &Cx<'a, H>,
    entry: &'a Entry<dyn Act<H>>,
    turn: Result<Turn<'a, H::Output>, HookError>,
    watch: Option<Box<Watch<'a>>>,
) -> First<'a, H::Output> {
    let (outcome, then) = match turn {
        Ok(Turn::Value) => (ImplOutcome::Value, First::Next),
        Ok(Turn::Last) => (ImplOutcome::Value, First::Finished),
        Ok(Turn::None) => (ImplOutcome::None, First::Next),
        Ok(Turn::Rare(rare)) => match *rare {
            Rare::Waits(future) => return First::Waits(future, watch),
            Rare::Failed(source) => return ended(cx, failed(&entry.info, source), watch),
            Rare::NotSync => return ended(cx, not_sync(&entry.info), watch),
        },
        Err(error) => return ended(cx, error, watch),
    };
    if let Some(watch) = watch {
        watch.finish(outcome);
    }
    then
}

#[cold]
fn ended<'a, H: Hook>(cx: &Cx<'a, H>, error: HookError, watch: Option<Box<Watch<'a>>>) -> First<'a, H::Output> {
    if let Some(watch) = watch {
        watch.finish(ImplOutcome::Failed(&error));
    }
    cx.settle(error).map_or(First::Next, First::Failed)
}

/// An impl that is being awaited.
pub(crate) struct Running<'a, H: Hook> {
    cx: Cx<'a, H>,
    entry: &'a Entry<dyn Act<H>>,
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
        entry: &'a Entry<dyn Act<H>>,
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
pub struct Guarded<'s, H: Hook, F: ?Sized> {
    future: Pin<&'s mut F>,
    core: &'s Core<'s, H>,
    clock: Clock,
    span: Span,
}

/// Watches over a wrapper.
#[doc(hidden)]
pub struct Guard<'s, H: Hook> {
    pub(crate) core: &'s Core<'s, H>,
}

impl<H: Hook> std::fmt::Debug for Guard<'_, H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("info", &self.core.entry().info).finish_non_exhaustive()
    }
}

impl<H: Hook, F: ?Sized> std::fmt::Debug for Guarded<'_, H, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guarded").field("info", &self.core.entry().info).finish_non_exhaustive()
    }
}

impl<'s, H: Hook> Guard<'s, H> {
    #[inline]
    pub fn run<F: Future + ?Sized>(self, future: Pin<&'s mut F>) -> Guarded<'s, H, F> {
        let span = if Span::RECORDS { Span::of(&self.core.entry().info) } else { Span::none() };
        Guarded { future, core: self.core, clock: Clock::default(), span }
    }
}

impl<H: Hook, F: Future + ?Sized> Future for Guarded<'_, H, F> {
    type Output = Result<F::Output, HookError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { future, core, clock, span } = &mut *self;
        match catch_unwind(AssertUnwindSafe(|| span.run(|| future.as_mut().poll(task)))) {
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Ok(Poll::Pending) => match core.check(clock, task) {
                None => Poll::Pending,
                Some(late) => Poll::Ready(Err(late)),
            },
            Err(payload) => Poll::Ready(Err(panicked(&core.entry().info, payload))),
        }
    }
}

impl<H: Hook> Core<'_, H> {
    /// An error once the wrapper's own time is up.
    fn check(&self, clock: &mut Clock, task: &mut Context<'_>) -> Option<HookError> {
        if self.is_running() {
            clock.stop();
            return None;
        }
        clock.check(&self.entry().info, H::SPEC, self.cx.env, task)
    }
}
