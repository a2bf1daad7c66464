//! The call of a hook: wrappers outermost, then the impls one after the other. This file is that loop and nothing else.
//!
//! A call is a small future that does nothing until it is polled. Plain impls run on the caller's stack; only
//! when an impl has to be awaited and others follow it is the rest of the loop boxed.

use std::{
    mem,
    ops::ControlFlow,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use crate::{
    BoxFuture, Collect, ErrorKind, Hook, HookError, ImplInfo, ImplOutcome, Timer, Trail,
    answer::Answer,
    depth,
    guard::{Running, caught},
    list::{Entry, HookList, Implement, Wrap},
    monitor::{CallWatch, Installed, Watch},
    next::{Frame, Wrapped},
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
    /// The last impl is being awaited.
    Last(Last<'a, H>),
    /// Something is being awaited that others follow.
    Rest(BoxFuture<'a, Called<H>>),
    /// The result is known.
    Ready(Called<H>),
    /// The result has been given.
    Done,
}

/// The last impl and what was collected before it.
pub(crate) struct Last<'a, H: Hook> {
    cx: Cx<'a, H>,
    entry: &'a Entry<dyn Implement<H>>,
    running: Running<'a, H::Output>,
    watch: Option<Watch<'a>>,
    out: H::Collected,
}

/// Arguments are never pinned in place.
impl<H: Hook> Unpin for Chain<'_, H> {}

impl<'a, H: Hook> Chain<'a, H> {
    pub(crate) fn new(cx: Cx<'a, H>, wrappers: Wrappers<'a, H>, args: H::Args<'a>) -> Self {
        if wrappers.is_empty() && cx.list.impls.is_empty() { Self::Empty } else { Self::Start(cx, wrappers, args) }
    }
}

impl<H: Hook> Future for Chain<'_, H> {
    type Output = Called<H>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let done = match &mut *self {
                Self::Rest(rest) => rest.as_mut().poll(task),
                Self::Last(last) => match Pin::new(&mut last.running).poll(task) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(given) => {
                        let Self::Last(mut last) = mem::replace(&mut *self, Self::Done) else { continue };
                        let flow = accept(last.cx, last.entry, last.watch, given, &mut last.out);
                        return Poll::Ready(match flow {
                            ControlFlow::Break(Some(error)) => Err(error),
                            _ => Ok(last.out),
                        });
                    }
                },
                _ => match mem::replace(&mut *self, Self::Done) {
                    Self::Start(cx, wrappers, args) => {
                        *self = begin(cx, wrappers, args);
                        continue;
                    }
                    Self::Empty => return Poll::Ready(Ok(H::Collected::default())),
                    Self::Ready(result) => return Poll::Ready(result),
                    _ => panic!("a hook call was polled after it had given its result"),
                },
            };
            if done.is_ready() {
                *self = Self::Done;
            }
            return done;
        }
    }
}

/// Enters the outermost wrapper, or runs impls until one has to be awaited.
fn begin<'a, H: Hook>(cx: Cx<'a, H>, wrappers: Wrappers<'a, H>, mut args: H::Args<'a>) -> Chain<'a, H> {
    if let Some((outer, inner)) = wrappers.split_first() {
        return match caught(&outer.info, || outer.run.wrap(Frame::new(cx, outer, inner, args))) {
            Ok(Wrapped::Later(rest)) => Chain::Rest(rest),
            Ok(Wrapped::Ready(result)) => Chain::Ready(result),
            Err(panicked) => Chain::Ready(Err(panicked)),
        };
    }
    let mut out = H::Collected::default();
    match run_plain(cx, 0, &mut args, &mut out) {
        Stop::Finished => Chain::Ready(Ok(out)),
        Stop::Failed(error) => Chain::Ready(Err(error)),
        Stop::Deferred(at) if at + 1 < cx.list.impls.len() => Chain::Rest(Box::pin(rest(cx, at, args, out))),
        Stop::Deferred(at) => {
            let entry = &cx.list.impls[at];
            let watch = Watch::start(cx.env, cx.trail, &entry.info);
            let running = start(cx, entry, args);
            Chain::Last(Last { cx, entry, running, watch, out })
        }
    }
}

/// The loop from the first impl that has to be awaited.
async fn rest<'a, H: Hook>(cx: Cx<'a, H>, mut at: usize, mut args: H::Args<'a>, mut out: H::Collected) -> Called<H> {
    loop {
        let entry = &cx.list.impls[at];
        let watch = Watch::start(cx.env, cx.trail, &entry.info);
        let given = start(cx, entry, H::reborrow(&mut args)).await;
        match accept(cx, entry, watch, given, &mut out) {
            ControlFlow::Continue(()) => {}
            ControlFlow::Break(None) => return Ok(out),
            ControlFlow::Break(Some(error)) => return Err(error),
        }
        match run_plain(cx, at + 1, &mut args, &mut out) {
            Stop::Finished => return Ok(out),
            Stop::Failed(error) => return Err(error),
            Stop::Deferred(next) => at = next,
        }
    }
}

/// The whole call of a sync hook.
pub(crate) fn call_sync<'a, H: Hook>(cx: Cx<'a, H>, wrappers: Wrappers<'a, H>, mut args: H::Args<'a>) -> Called<H> {
    if let Some((outer, inner)) = wrappers.split_first() {
        return match caught(&outer.info, || outer.run.wrap(Frame::new(cx, outer, inner, args)))? {
            Wrapped::Ready(result) => result,
            Wrapped::Later(_) => Err(not_sync(&outer.info)),
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

/// Runs impls on the spot, from position `from` on.
fn run_plain<H: Hook>(cx: Cx<'_, H>, from: usize, args: &mut H::Args<'_>, out: &mut H::Collected) -> Stop {
    for (at, entry) in cx.list.impls.iter().enumerate().skip(from) {
        if entry.deferred {
            return Stop::Deferred(at);
        }
        let watch = Watch::start(cx.env, cx.trail, &entry.info);
        let given = call_plain(cx, entry, H::reborrow(args));
        match accept(cx, entry, watch, given, out) {
            ControlFlow::Continue(()) => {}
            ControlFlow::Break(None) => return Stop::Finished,
            ControlFlow::Break(Some(error)) => return Stop::Failed(error),
        }
    }
    Stop::Finished
}

fn call_plain<'s, H: Hook>(
    cx: Cx<'s, H>,
    entry: &'s Entry<dyn Implement<H>>,
    args: H::Args<'s>,
) -> Result<Option<H::Output>, HookError> {
    if cx.env.timer.is_some() {
        return call_timed(cx, entry, args);
    }
    match caught(&entry.info, || Span::of(&entry.info).run(|| entry.run.call(args)))? {
        Answer::Ready(given) => given.map_err(|source| failed(&entry.info, source)),
        Answer::Later(_) => Err(not_sync(&entry.info)),
    }
}

/// The same under a clock: a plain function cannot be interrupted, but it is reported.
#[cold]
fn call_timed<'s, H: Hook>(
    cx: Cx<'s, H>,
    entry: &'s Entry<dyn Implement<H>>,
    args: H::Args<'s>,
) -> Result<Option<H::Output>, HookError> {
    let limit = time::limit(&entry.info, H::SPEC, cx.env.default_budget);
    let since = limit.map(|_| Instant::now());
    let answer = caught(&entry.info, || Span::of(&entry.info).run(|| entry.run.call(args)));
    if let (Some(limit), Some(took)) = (limit, since.map(|since| since.elapsed()))
        && took > limit
    {
        let info = &entry.info;
        cx.env.report(&HookError::of(info.plugin.clone(), info.hook, ErrorKind::Blocked(took), None));
    }
    match answer? {
        Answer::Ready(given) => given.map_err(|source| failed(&entry.info, source)),
        Answer::Later(_) => Err(not_sync(&entry.info)),
    }
}

/// Calls an impl that may have to be awaited.
fn start<'s, H: Hook>(cx: Cx<'s, H>, entry: &'s Entry<dyn Implement<H>>, args: H::Args<'s>) -> Running<'s, H::Output> {
    match caught(&entry.info, || entry.run.call(args)) {
        Ok(Answer::Later(future)) => Running::new(future, &entry.info, H::SPEC, cx.env),
        Ok(Answer::Ready(given)) => Running::ready(given, &entry.info, H::SPEC, cx.env),
        Err(error) => Running::failed(error, &entry.info, H::SPEC, cx.env),
    }
}

/// Takes in what an impl gave. `Break(None)`: the call has its result.
#[inline]
fn accept<H: Hook>(
    cx: Cx<'_, H>,
    entry: &Entry<dyn Implement<H>>,
    watch: Option<Watch<'_>>,
    given: Result<Option<H::Output>, HookError>,
    out: &mut H::Collected,
) -> ControlFlow<Option<HookError>> {
    debug_assert_eq!(entry.info.hook, H::SPEC.name, "an impl is in the list of its own hook");
    if let Some(watch) = watch {
        watch.finish(match &given {
            Ok(Some(_)) => ImplOutcome::Value,
            Ok(None) => ImplOutcome::None,
            Err(error) => ImplOutcome::Failed(error),
        });
    }
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
            cx.env.report(&error);
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
    watched: Watched<'a>,
    span: Option<Span>,
    deepest: Option<usize>,
}

enum Watched<'a> {
    No,
    From(&'a Env),
    Begun(CallWatch<'a>),
}

impl<H: Hook> Unpin for Call<'_, H> {}

impl<H: Hook> std::fmt::Debug for Call<'_, H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("hook", &H::SPEC.name).finish_non_exhaustive()
    }
}

impl<'a, H: Hook> Call<'a, H> {
    pub(crate) fn new(list: &'a HookList<H>, env: &'a Env, args: H::Args<'a>) -> Self {
        let watched = if env.monitors.is_empty() { Watched::No } else { Watched::From(env) };
        Self {
            chain: Chain::new(Cx { list, env, trail: None }, &list.wrappers, args),
            watched,
            span: None,
            deepest: env.deepest,
        }
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
                let watched = match self.watched {
                    Watched::From(env) => Watched::From(env),
                    _ => Watched::No,
                };
                Call { chain, watched, span: None, deepest: self.deepest }.await?
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

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        if matches!((&self.chain, &self.watched), (Chain::Empty, Watched::No)) {
            return Pin::new(&mut self.chain).poll(task);
        }
        let _inside = match depth::enter(H::SPEC.name, self.deepest) {
            Ok(inside) => inside,
            Err(error) => {
                self.chain = Chain::Done;
                return Poll::Ready(Err(error));
            }
        };
        if let Watched::From(env) = self.watched {
            self.watched = Watched::Begun(CallWatch::start(env, H::SPEC));
        }
        let this = &mut *self;
        let span = this.span.get_or_insert_with(|| Span::call(H::SPEC));
        let poll = span.run(|| Pin::new(&mut this.chain).poll(task));
        if let Poll::Ready(result) = &poll
            && let Watched::Begun(watch) = mem::replace(&mut self.watched, Watched::No)
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
