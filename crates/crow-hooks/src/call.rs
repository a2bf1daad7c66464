//! The call of a hook: wrappers outermost, then the impls one after the other. This file is that loop and nothing else.
//!
//! A call is a small future that does nothing until it is polled. [Plain impls](crate::plain) run on the caller's stack;
//! only when an impl has to be awaited and others follow it is the rest of the loop boxed.
//!
//! Much here is shaped by what the processor does well, measured: values that were just written in parts and are then
//! copied as a whole wait for each other. So what is handed on is small, stays where it is, or is passed by reference.

use std::{
    future::poll_fn,
    ops::ControlFlow,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use crate::{
    BoxFuture, Collect, ErrorKind, Hook, HookError, ImplInfo, Timer, Trail, depth,
    guard::{First, Running, caught, first},
    list::{Act, Entry, HookList, Surround},
    monitor::{CallWatch, Installed},
    plain::{Stop, run_plain},
    trace::Span,
};

/// Where a host hears of something.
pub(crate) type Sink<T> = Arc<dyn Fn(&T) + Send + Sync>;

/// What a manager lends to every call.
#[derive(Clone, Default)]
pub(crate) struct Env {
    pub(crate) monitors: Vec<Installed>,
    pub(crate) timer: Option<Arc<dyn Timer>>,
    pub(crate) default_budget: Option<Duration>,
    pub(crate) deepest: Option<usize>,
    pub(crate) on_error: Option<Sink<HookError>>,
    pub(crate) on_deprecation: Option<Sink<crate::Deprecation>>,
}

impl Env {
    /// Whether each plain impl has to be looked at.
    #[inline]
    pub(crate) fn is_attentive(&self) -> bool {
        !self.monitors.is_empty() || self.timer.is_some()
    }

    /// Whether a monitor wants to know of whole calls.
    #[inline]
    pub(crate) fn watches_calls(&self) -> bool {
        self.monitors.iter().any(|monitor| monitor.calls)
    }

    /// Whether nobody wants to know of calls.
    #[inline]
    fn is_quiet(&self) -> bool {
        !Span::RECORDS && self.monitors.is_empty() && self.deepest.is_none()
    }

    /// Tells the host of an error that ends nothing.
    pub(crate) fn report(&self, error: &HookError) {
        if let Some(sink) = &self.on_error {
            sink(error);
        }
    }
}

/// Where a call stands: the impls, the manager's services, and who records.
#[derive(Clone, Copy)]
pub(crate) struct Cx<'a, H: Hook> {
    pub(crate) list: &'a HookList<H>,
    pub(crate) env: &'a Env,
    pub(crate) trail: Option<&'a Trail>,
}

impl<H: Hook> Cx<'_, H> {
    /// Whether somebody looks at each impl.
    #[inline]
    pub(crate) fn is_watched(&self) -> bool {
        self.trail.is_some() || !self.env.monitors.is_empty()
    }

    /// An impl's error: `None` if the call goes on all the same.
    #[cold]
    pub(crate) fn settle(&self, error: HookError) -> Option<HookError> {
        if H::SPEC.isolate {
            self.env.report(&error);
            return None;
        }
        Some(error)
    }
}

/// The result of a call.
pub(crate) type Called<H> = Result<<H as Hook>::Collected, HookError>;

/// A call under way, from some wrapper inwards.
pub(crate) struct Chain<'a, H: Hook> {
    /// Until something has run. (An enum of this and `rest` would be moved about as a whole.)
    args: Option<H::Args<'a>>,
    /// What is being awaited.
    rest: Option<BoxFuture<'a, Called<H>>>,
}

impl<'a, H: Hook> Chain<'a, H> {
    #[inline]
    pub(crate) fn new(args: H::Args<'a>) -> Self {
        Self { args: Some(args), rest: None }
    }

    /// Whether it has not been polled yet.
    #[inline]
    fn is_new(&self) -> bool {
        self.args.is_some()
    }

    /// Whether it has given its result.
    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.args.is_none() && self.rest.is_none()
    }

    /// Goes on. `level` counts the wrappers that have been entered; it is looked at once, in the beginning.
    #[inline]
    pub(crate) fn poll(&mut self, cx: &Cx<'a, H>, level: usize, task: &mut Context<'_>) -> Poll<Called<H>> {
        if let Some(args) = self.args.take() {
            return match begin(cx, level, args, task) {
                Ok(result) => Poll::Ready(result),
                Err(rest) => {
                    self.rest = Some(rest);
                    Poll::Pending
                }
            };
        }
        let Some(rest) = &mut self.rest else { panic!("a hook call was polled after it had given its result") };
        let poll = rest.as_mut().poll(task);
        if poll.is_ready() {
            self.rest = None;
        }
        poll
    }
}

/// The result of a call; or what has to wait, polled once.
type Begun<'a, H> = Result<Called<H>, BoxFuture<'a, Called<H>>>;

/// Enters the outermost wrapper, or runs impls.
#[inline]
fn begin<'a, H: Hook>(cx: &Cx<'a, H>, level: usize, args: H::Args<'a>, task: &mut Context<'_>) -> Begun<'a, H> {
    let list = cx.list;
    match (list.wrappers.get(level), list.impls.as_slice()) {
        (Some(outer), _) => enter(cx, outer, level, args, task),
        (None, [only]) if only.deferred => run_last(cx, only, args, H::Collected::default(), task),
        _ => run_all(cx, args, task),
    }
}

#[inline(never)]
fn enter<'a, H: Hook>(
    cx: &Cx<'a, H>,
    outer: &'a Entry<dyn Surround<H>>,
    level: usize,
    args: H::Args<'a>,
    task: &mut Context<'_>,
) -> Begun<'a, H> {
    match caught(&outer.info, || outer.run.surround(cx, level, args, Some(task))) {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(Some(rest))) => Err(rest),
        Ok(Err(None)) => Ok(Err(not_sync(&outer.info))),
        Err(panicked) => Ok(Err(panicked)),
    }
}

#[inline(never)]
fn run_all<'a, H: Hook>(cx: &Cx<'a, H>, mut args: H::Args<'a>, task: &mut Context<'_>) -> Begun<'a, H> {
    let mut out = H::Collected::default();
    let at = match run_plain(cx, 0, &mut args, &mut out) {
        Stop::Finished => return Ok(Ok(out)),
        Stop::Failed(error) => return Ok(Err(error)),
        Stop::Deferred(at) => at,
    };
    if let [last] = &cx.list.impls[at..] {
        return run_last(cx, last, args, out, task);
    }
    // The box first: made in place, the future is not moved.
    let boxed = Box::write(Box::new_uninit(), rest(*cx, at, args, out));
    let mut rest: BoxFuture<'a, Called<H>> = Box::into_pin(boxed);
    match rest.as_mut().poll(task) {
        Poll::Ready(result) => Ok(result),
        Poll::Pending => Err(rest),
    }
}

/// The last impl may keep the arguments: it needs no box around it unless it waits.
#[inline(never)]
fn run_last<'a, H: Hook>(
    cx: &Cx<'a, H>,
    entry: &'a Entry<dyn Act<H>>,
    args: H::Args<'a>,
    mut out: H::Collected,
    task: &mut Context<'_>,
) -> Begun<'a, H> {
    match first(cx, entry, args, task, &mut out) {
        First::Next | First::Finished => Ok(Ok(out)),
        First::Failed(error) => Ok(Err(error)),
        First::Waits(future, watch) => await_last(cx, Running::new(*cx, entry, future, watch), out, task),
    }
}

#[cold]
fn await_last<'a, H: Hook>(
    cx: &Cx<'a, H>,
    running: Running<'a, H>,
    out: H::Collected,
    task: &mut Context<'_>,
) -> Begun<'a, H> {
    let mut last: BoxFuture<'a, Called<H>> = Box::pin(last(*cx, running, out));
    match last.as_mut().poll(task) {
        Poll::Ready(result) => Ok(result),
        Poll::Pending => Err(last),
    }
}

/// The end of a call whose last impl waits.
async fn last<H: Hook>(cx: Cx<'_, H>, running: Running<'_, H>, mut out: H::Collected) -> Called<H> {
    match accept(&cx, running.await, &mut out) {
        ControlFlow::Break(Some(error)) => Err(error),
        _ => Ok(out),
    }
}

/// The loop from the first impl that has to be awaited.
#[allow(clippy::manual_async_fn)] // which would copy what it is given
fn rest<'a, H: Hook>(
    cx: Cx<'a, H>,
    mut at: usize,
    mut args: H::Args<'a>,
    mut out: H::Collected,
) -> impl Future<Output = Called<H>> + Send + 'a {
    async move {
        let impls = cx.list.impls.as_slice();
        loop {
            let waker = poll_fn(|task| Poll::Ready(task.waker().clone())).await;
            // As far as it goes without waiting; only then does anything have to outlive this poll.
            let (entry, future, watch) = {
                let mut task = Context::from_waker(&waker);
                loop {
                    let Some(entry) = impls.get(at) else { return Ok(out) };
                    if !entry.deferred {
                        match run_plain(&cx, at, &mut args, &mut out) {
                            Stop::Finished => return Ok(out),
                            Stop::Failed(error) => return Err(error),
                            Stop::Deferred(next) => at = next,
                        }
                        continue;
                    }
                    match first(&cx, entry, H::reborrow(&mut args), &mut task, &mut out) {
                        First::Next => at += 1,
                        First::Finished => return Ok(out),
                        First::Failed(error) => return Err(error),
                        First::Waits(future, watch) => break (entry, future, watch),
                    }
                }
            };
            drop(waker);
            match accept(&cx, Running::new(cx, entry, future, watch).await, &mut out) {
                ControlFlow::Continue(()) => at += 1,
                ControlFlow::Break(None) => return Ok(out),
                ControlFlow::Break(Some(error)) => return Err(error),
            }
        }
    }
}

/// The whole call of a sync hook, from some wrapper inwards.
pub(crate) fn call_sync<'a, H: Hook>(cx: &Cx<'a, H>, level: usize, mut args: H::Args<'a>) -> Called<H> {
    if let Some(outer) = cx.list.wrappers.get(level) {
        return match caught(&outer.info, || outer.run.surround(cx, level, args, None))? {
            Ok(result) => result,
            Err(_) => Err(not_sync(&outer.info)),
        };
    }
    let mut out = H::Collected::default();
    match run_plain(cx, 0, &mut args, &mut out) {
        Stop::Finished => Ok(out),
        Stop::Failed(error) => Err(error),
        Stop::Deferred(at) => Err(not_sync(&cx.list.impls[at].info)),
    }
}

/// Takes in what an impl that waited gave. `Break(None)`: the call has its result.
fn accept<H: Hook>(
    cx: &Cx<'_, H>,
    given: Result<Option<H::Output>, HookError>,
    out: &mut H::Collected,
) -> ControlFlow<Option<HookError>> {
    match given {
        Ok(None) => ControlFlow::Continue(()),
        Ok(Some(value)) => {
            if out.add(value) {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(None)
            }
        }
        Err(error) => match cx.settle(error) {
            None => ControlFlow::Continue(()),
            Some(error) => ControlFlow::Break(Some(error)),
        },
    }
}

/// An impl's own error. One that it got from a hook it called itself stays inside, as the source.
#[cold]
pub(crate) fn failed(info: &ImplInfo, source: crate::BoxError) -> HookError {
    HookError::of(info.plugin.clone(), info.hook, ErrorKind::Failed, Some(source))
}

#[cold]
pub(crate) fn not_sync(info: &ImplInfo) -> HookError {
    HookError::of(info.plugin.clone(), info.hook, ErrorKind::NotSync, None)
}

/// A call of an async hook: await it.
///
/// Nothing happens before the first poll. Dropping it drops the impl under way; nothing after it runs.
#[must_use = "a hook call does nothing until it is awaited"]
pub struct Call<'a, H: Hook> {
    cx: Cx<'a, H>,
    chain: Chain<'a, H>,
    /// From the first poll on.
    watch: Option<Box<CallWatch<'a>>>,
    span: Span,
}

/// Arguments are never pinned in place.
impl<H: Hook> Unpin for Call<'_, H> {}

impl<H: Hook> std::fmt::Debug for Call<'_, H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("hook", &H::SPEC.name).finish_non_exhaustive()
    }
}

impl<'a, H: Hook> Call<'a, H> {
    #[inline]
    pub(crate) fn new(list: &'a HookList<H>, env: &'a Env, args: H::Args<'a>) -> Self {
        Self { cx: Cx { list, env, trail: None }, chain: Chain::new(args), watch: None, span: Span::none() }
    }

    /// Records in `trail` which impls ran and how each ended.
    pub fn trail(mut self, trail: &'a Trail) -> Self {
        self.cx.trail = Some(trail);
        self
    }

    /// The call with each value beside the name of the plugin that gave it.
    ///
    /// Wrappers see and return values without names. If one changes how many there are, all are named after
    /// the outermost wrapper.
    pub async fn named(mut self) -> Result<<H::Collected as Collect<H::Output>>::Named, HookError> {
        let trail = Trail::new();
        let collected = match self.chain.args.take() {
            Some(mut args) => Call::new(self.cx.list, self.cx.env, H::reborrow(&mut args)).trail(&trail).await?,
            None => self.await?,
        };
        Ok(collected.named(&trail.givers(), trail.outermost().as_ref()))
    }
}

impl<H: Hook> Future for Call<'_, H> {
    type Output = Called<H>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if !this.cx.env.is_quiet() {
            return this.go(task);
        }
        if this.cx.list.is_empty() && this.chain.args.take().is_some() {
            return Poll::Ready(Ok(H::Collected::default()));
        }
        this.chain.poll(&this.cx, 0, task)
    }
}

impl<H: Hook> Call<'_, H> {
    /// With somebody who watches, or a limit.
    #[inline(never)]
    fn go(&mut self, task: &mut Context<'_>) -> Poll<Called<H>> {
        let Self { cx, chain, watch, span } = self;
        let env = cx.env;
        let _inside = match depth::enter(H::SPEC.name, env.deepest) {
            Ok(inside) => inside,
            Err(error) => {
                (chain.args, chain.rest) = (None, None);
                return Poll::Ready(Err(error));
            }
        };
        if chain.is_new() {
            *watch = env.watches_calls().then(|| CallWatch::start(env, H::SPEC));
            *span = Span::call(H::SPEC);
        }
        let poll = span.run(|| chain.poll(cx, 0, task));
        if let Poll::Ready(result) = &poll
            && let Some(watch) = watch.take()
        {
            watch.finish(result.as_ref().map(drop));
        }
        poll
    }
}

/// The call of a sync hook.
pub(crate) fn run_sync<'a, H: Hook>(
    list: &'a HookList<H>,
    env: &'a Env,
    trail: Option<&'a Trail>,
    args: H::Args<'a>,
) -> Called<H> {
    let _inside = depth::enter(H::SPEC.name, env.deepest)?;
    let cx = Cx { list, env, trail };
    let run = || Span::call(H::SPEC).run(|| call_sync(&cx, 0, args));
    if !env.watches_calls() {
        return run();
    }
    let watch = CallWatch::start(env, H::SPEC);
    let result = run();
    watch.finish(result.as_ref().map(drop));
    result
}
