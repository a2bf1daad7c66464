//! The call of a hook: wrappers outermost, then the impls one after the other. This file is that loop and nothing else.
//!
//! A call is a small future that does nothing until it is polled. Plain impls run on the caller's stack; only
//! when an impl has to be awaited and others follow it is the rest of the loop boxed.

use std::{
    future::poll_fn,
    mem,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use crate::{
    BoxFuture, Collect, ErrorKind, Hook, HookError, ImplInfo, ImplOutcome, Timer, Trail, depth,
    guard::{First, Running, caught, first},
    list::{Entry, HookList, Implement, Wrap},
    monitor::{CallWatch, Installed, Watch},
    next::Frame,
    time,
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
    /// Whether each impl has to be looked at.
    #[inline]
    fn is_attentive(&self) -> bool {
        !self.monitors.is_empty() || self.timer.is_some()
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

/// The wrappers that are still to be entered, outermost first.
pub(crate) type Wrappers<'a, H> = &'a [Entry<dyn Wrap<H>>];

/// The result of a call.
pub(crate) type Called<H> = Result<<H as Hook>::Collected, HookError>;

/// A call under way.
pub(crate) enum Chain<'a, H: Hook> {
    /// There is no impl.
    Empty,
    /// Nothing has run yet.
    Start(Cx<'a, H>, Wrappers<'a, H>, H::Args<'a>),
    /// Something is being awaited that others follow.
    Rest(BoxFuture<'a, Called<H>>),
    /// The result has been given.
    Done,
}

/// Arguments are never pinned in place.
impl<H: Hook> Unpin for Chain<'_, H> {}

impl<'a, H: Hook> Chain<'a, H> {
    #[inline]
    pub(crate) fn new(cx: Cx<'a, H>, wrappers: Wrappers<'a, H>, args: H::Args<'a>) -> Self {
        if wrappers.is_empty() && cx.list.impls.is_empty() { Self::Empty } else { Self::Start(cx, wrappers, args) }
    }
}

impl<H: Hook> Future for Chain<'_, H> {
    type Output = Called<H>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let done = match &mut *self {
            Self::Rest(rest) => rest.as_mut().poll(task),
            _ => match mem::replace(&mut *self, Self::Done) {
                Self::Start(cx, wrappers, args) => match begin(cx, wrappers, args, task) {
                    Ok(result) => Poll::Ready(result),
                    Err(rest) => {
                        *self = Self::Rest(rest);
                        return Poll::Pending;
                    }
                },
                Self::Empty => Poll::Ready(Ok(H::Collected::default())),
                Self::Rest(_) | Self::Done => panic!("a hook call was polled after it had given its result"),
            },
        };
        if done.is_ready() {
            *self = Self::Done;
        }
        done
    }
}

/// Enters the outermost wrapper, or runs impls. What has to wait is given back, polled once.
fn begin<'a, H: Hook>(
    cx: Cx<'a, H>,
    wrappers: Wrappers<'a, H>,
    mut args: H::Args<'a>,
    task: &mut Context<'_>,
) -> Result<Called<H>, BoxFuture<'a, Called<H>>> {
    if let Some((outer, inner)) = wrappers.split_first() {
        return match caught(&outer.info, || outer.run.wrap(Frame::new(cx, outer, inner, args), Some(task))) {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(Some(rest))) => Err(rest),
            Ok(Err(None)) => Ok(Err(not_sync(&outer.info))),
            Err(panicked) => Ok(Err(panicked)),
        };
    }
    let mut out = H::Collected::default();
    let at = match run_plain(cx, 0, &mut args, &mut out) {
        Stop::Finished => return Ok(Ok(out)),
        Stop::Failed(error) => return Ok(Err(error)),
        Stop::Deferred(at) => at,
    };
    if at + 1 < cx.list.impls.len() {
        let mut rest: BoxFuture<'a, Called<H>> = Box::pin(rest(cx, at, args, out));
        return match rest.as_mut().poll(task) {
            Poll::Ready(result) => Ok(result),
            Poll::Pending => Err(rest),
        };
    }
    // The last impl may keep the arguments: it needs no box around it unless it waits.
    let entry = &cx.list.impls[at];
    match first(cx, entry, args, task) {
        First::Given(given) => Ok(match accept::<H>(cx.env, given, &mut out) {
            ControlFlow::Break(Some(error)) => Err(error),
            _ => Ok(out),
        }),
        First::Waits(future, watch) => {
            let mut last: BoxFuture<'a, Called<H>> = Box::pin(last(cx, Running::new(cx, entry, future, watch), out));
            match last.as_mut().poll(task) {
                Poll::Ready(result) => Ok(result),
                Poll::Pending => Err(last),
            }
        }
    }
}

/// The end of a call whose last impl waits.
async fn last<H: Hook>(cx: Cx<'_, H>, running: Running<'_, H>, mut out: H::Collected) -> Called<H> {
    match accept::<H>(cx.env, running.await, &mut out) {
        ControlFlow::Break(Some(error)) => Err(error),
        _ => Ok(out),
    }
}

/// The loop from the first impl that has to be awaited.
async fn rest<'a, H: Hook>(cx: Cx<'a, H>, mut at: usize, mut args: H::Args<'a>, mut out: H::Collected) -> Called<H> {
    while let Some(entry) = cx.list.impls.get(at) {
        if !entry.deferred {
            match run_plain(cx, at, &mut args, &mut out) {
                Stop::Finished => return Ok(out),
                Stop::Failed(error) => return Err(error),
                Stop::Deferred(next) => at = next,
            }
            continue;
        }
        let mut once = Some(H::reborrow(&mut args));
        let begun = poll_fn(|task| match once.take() {
            Some(args) => Poll::Ready(first(cx, entry, args, task)),
            None => Poll::Pending,
        });
        let given = match begun.await {
            First::Given(given) => given,
            First::Waits(future, watch) => Running::new(cx, entry, future, watch).await,
        };
        match accept::<H>(cx.env, given, &mut out) {
            ControlFlow::Continue(()) => at += 1,
            ControlFlow::Break(None) => return Ok(out),
            ControlFlow::Break(Some(error)) => return Err(error),
        }
    }
    Ok(out)
}

/// The whole call of a sync hook.
pub(crate) fn call_sync<'a, H: Hook>(cx: Cx<'a, H>, wrappers: Wrappers<'a, H>, mut args: H::Args<'a>) -> Called<H> {
    if let Some((outer, inner)) = wrappers.split_first() {
        return match caught(&outer.info, || outer.run.wrap(Frame::new(cx, outer, inner, args), None))? {
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

/// Why the loop over plain impls stopped.
enum Stop {
    /// All ran, or one gave the first result.
    Finished,
    /// One failed.
    Failed(HookError),
    /// The one at this position has to be awaited.
    Deferred(usize),
}

/// Runs impls on the spot, from position `at` on.
fn run_plain<H: Hook>(cx: Cx<'_, H>, mut at: usize, args: &mut H::Args<'_>, out: &mut H::Collected) -> Stop {
    if cx.trail.is_some() || cx.env.is_attentive() {
        return run_attentively(cx, at, args, out);
    }
    loop {
        // One guard for all of them: `at` tells who panicked.
        match catch_unwind(AssertUnwindSafe(|| run_quickly(cx, &mut at, args, out))) {
            Ok(stop) => return stop,
            Err(payload) => {
                let info = &cx.list.impls[at].info;
                let panicked = HookError::panicked(info.plugin.clone(), info.hook, payload);
                match accept::<H>(cx.env, Err(panicked), out) {
                    ControlFlow::Break(Some(error)) => return Stop::Failed(error),
                    _ => at += 1,
                }
            }
        }
    }
}

/// The loop itself. `at` is the impl that is running.
#[inline]
fn run_quickly<H: Hook>(cx: Cx<'_, H>, at: &mut usize, args: &mut H::Args<'_>, out: &mut H::Collected) -> Stop {
    while let Some(entry) = cx.list.impls.get(*at) {
        if entry.deferred {
            return Stop::Deferred(*at);
        }
        let given = match Span::of(&entry.info).run(|| entry.run.call(H::reborrow(args), None)) {
            Ok(given) => given.map_err(|source| failed(&entry.info, source)),
            Err(_) => Err(not_sync(&entry.info)),
        };
        match accept::<H>(cx.env, given, out) {
            ControlFlow::Continue(()) => *at += 1,
            ControlFlow::Break(None) => return Stop::Finished,
            ControlFlow::Break(Some(error)) => return Stop::Failed(error),
        }
    }
    Stop::Finished
}

/// The same when somebody watches, or a clock runs: impl by impl.
#[cold]
fn run_attentively<H: Hook>(cx: Cx<'_, H>, from: usize, args: &mut H::Args<'_>, out: &mut H::Collected) -> Stop {
    for (at, entry) in cx.list.impls.iter().enumerate().skip(from) {
        if entry.deferred {
            return Stop::Deferred(at);
        }
        let watch = Watch::start(cx.env, cx.trail, &entry.info);
        let given = call_timed(cx, entry, H::reborrow(args));
        if let Some(watch) = watch {
            watch.finish(ImplOutcome::of(&given));
        }
        match accept::<H>(cx.env, given, out) {
            ControlFlow::Continue(()) => {}
            ControlFlow::Break(None) => return Stop::Finished,
            ControlFlow::Break(Some(error)) => return Stop::Failed(error),
        }
    }
    Stop::Finished
}

/// Calls a plain impl by the clock: it cannot be interrupted, but it is reported.
fn call_timed<'s, H: Hook>(
    cx: Cx<'s, H>,
    entry: &'s Entry<dyn Implement<H>>,
    args: H::Args<'s>,
) -> Result<Option<H::Output>, HookError> {
    let limit = cx.env.timer.as_ref().and_then(|_| time::limit(&entry.info, H::SPEC, cx.env.default_budget));
    let since = limit.map(|_| Instant::now());
    let answer = caught(&entry.info, || Span::of(&entry.info).run(|| entry.run.call(args, None)));
    if let (Some(limit), Some(took)) = (limit, since.map(|since| since.elapsed()))
        && took > limit
    {
        let info = &entry.info;
        cx.env.report(&HookError::of(info.plugin.clone(), info.hook, ErrorKind::Blocked(took), None));
    }
    match answer? {
        Ok(given) => given.map_err(|source| failed(&entry.info, source)),
        Err(_) => Err(not_sync(&entry.info)),
    }
}

/// Takes in what an impl gave. `Break(None)`: the call has its result.
#[inline]
fn accept<H: Hook>(
    env: &Env,
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
        Err(error) if H::SPEC.isolate => {
            env.report(&error);
            ControlFlow::Continue(())
        }
        Err(error) => ControlFlow::Break(Some(error)),
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
    chain: Chain<'a, H>,
    env: &'a Env,
    begun: Option<Begin<'a>>,
}

/// What is there from the first poll of a call on.
struct Begin<'a> {
    watch: Option<Box<CallWatch<'a>>>,
    span: Span,
}

impl<H: Hook> Unpin for Call<'_, H> {}

impl<H: Hook> std::fmt::Debug for Call<'_, H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("hook", &H::SPEC.name).finish_non_exhaustive()
    }
}

impl<'a, H: Hook> Call<'a, H> {
    #[inline]
    pub(crate) fn new(list: &'a HookList<H>, env: &'a Env, args: H::Args<'a>) -> Self {
        Self { chain: Chain::new(Cx { list, env, trail: None }, &list.wrappers, args), env, begun: None }
    }

    /// Records in `trail` which impls ran and how each ended.
    pub fn trail(mut self, trail: &'a Trail) -> Self {
        if let Chain::Start(cx, ..) = &mut self.chain {
            cx.trail = Some(trail);
        }
        self
    }

    /// The call with each value beside the name of the plugin that gave it.
    ///
    /// Wrappers see and return values without names. If one changes how many there are, all are named after
    /// the outermost wrapper.
    pub async fn named(mut self) -> Result<<H::Collected as Collect<H::Output>>::Named, HookError> {
        let trail = Trail::new();
        let collected = match mem::replace(&mut self.chain, Chain::Done) {
            Chain::Start(cx, wrappers, mut args) => {
                let cx = Cx { list: cx.list, env: cx.env, trail: Some(&trail) };
                let chain = Chain::Start(cx, wrappers, H::reborrow(&mut args));
                Call { chain, env: self.env, begun: None }.await?
            }
            chain => {
                self.chain = chain;
                self.await?
            }
        };
        Ok(collected.named(&trail.givers(), trail.outermost().as_ref()))
    }
}

impl<H: Hook> Future for Call<'_, H> {
    type Output = Called<H>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        if matches!(self.chain, Chain::Empty) && self.env.monitors.is_empty() {
            self.chain = Chain::Done;
            return Poll::Ready(Ok(H::Collected::default()));
        }
        self.go(task)
    }
}

impl<H: Hook> Call<'_, H> {
    fn go(&mut self, task: &mut Context<'_>) -> Poll<Called<H>> {
        let _inside = match depth::enter(H::SPEC.name, self.env.deepest) {
            Ok(inside) => inside,
            Err(error) => {
                self.chain = Chain::Done;
                return Poll::Ready(Err(error));
            }
        };
        let env = self.env;
        let begun = self.begun.get_or_insert_with(|| Begin {
            watch: (!env.monitors.is_empty()).then(|| CallWatch::start(env, H::SPEC)),
            span: Span::call(H::SPEC),
        });
        let poll = begun.span.run(|| Pin::new(&mut self.chain).poll(task));
        if let Poll::Ready(result) = &poll
            && let Some(watch) = begun.watch.take()
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
    let run = || Span::call(H::SPEC).run(|| call_sync(cx, &list.wrappers, args));
    if env.monitors.is_empty() {
        return run();
    }
    let watch = CallWatch::start(env, H::SPEC);
    let result = run();
    watch.finish(result.as_ref().map(drop));
    result
}
