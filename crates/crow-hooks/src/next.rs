//! What a wrapper gets: the arguments, and the way on.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
};

use crate::{
    BoxError, BoxFuture, ErrorKind, Hook, HookError, ImplOutcome, Outcome,
    call::{Called, Chain, Cx, call_sync, failed},
    guard::{Guard, caught},
    list::{Entry, Surround},
    monitor::Watch,
    trace::Span,
};

const IDLE: u8 = 0;
const RUNNING: u8 = 1;
const RAN: u8 = 2;
const ANSWERED: u8 = 3;

/// What a wrapper gives the engine: the result if it is done; or the future, polled once, if it waits; or neither, if it
/// would have to be awaited and there is no task to do that in.
pub(crate) type Wrapped<'a, H> = Result<Called<H>, Option<BoxFuture<'a, Called<H>>>>;

/// Where a wrapper stands: what is inside it, and how far it has gone.
#[doc(hidden)]
pub(crate) struct Core<'a, H: Hook> {
    pub(crate) cx: Cx<'a, H>,
    level: usize,
    state: AtomicU8,
    /// The inner result, where the contract asks for it.
    kept: Mutex<Option<H::Collected>>,
}

impl<H: Hook> std::fmt::Debug for Core<'_, H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("hook", &H::SPEC.name).finish_non_exhaustive()
    }
}

impl<'a, H: Hook> Core<'a, H> {
    /// The wrapper itself.
    pub(crate) fn entry(&self) -> &'a Entry<dyn Surround<H>> {
        &self.cx.list.wrappers[self.level]
    }

    fn is(&self, state: u8) -> bool {
        self.state.load(Ordering::Relaxed) == state
    }

    fn set(&self, state: u8) {
        self.state.store(state, Ordering::Relaxed);
    }

    /// Whether what the wrapper wraps is under way.
    pub(crate) fn is_running(&self) -> bool {
        self.is(RUNNING)
    }

    /// `false` if the wrapper has gone on before.
    fn go(&self) -> bool {
        let first = self.is(IDLE);
        if first {
            self.set(RUNNING);
        }
        first
    }

    #[cold]
    fn error(&self, kind: ErrorKind) -> HookError {
        let info = &self.entry().info;
        HookError::of(info.plugin.clone(), info.hook, kind, None)
    }

    fn finish(&self, result: Called<H>) -> Outcome<H> {
        self.set(RAN);
        match result {
            Ok(collected) => {
                if H::SPEC.isolate {
                    *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = H::keep(&collected);
                }
                Ok(collected)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// One wrapper's turn in a call: owns the arguments while the wrapper runs.
#[doc(hidden)]
pub struct Frame<'a, H: Hook> {
    core: Core<'a, H>,
    args: H::Args<'a>,
    watch: Option<Box<Watch<'a>>>,
}

impl<H: Hook> std::fmt::Debug for Frame<'_, H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frame").field("hook", &H::SPEC.name).finish_non_exhaustive()
    }
}

impl<'a, H: Hook> Frame<'a, H> {
    #[inline]
    pub(crate) fn new(cx: Cx<'a, H>, level: usize, args: H::Args<'a>) -> Self {
        let core = Core { cx, level, state: AtomicU8::new(IDLE), kept: Mutex::new(None) };
        let watch = if cx.is_watched() { Watch::start(cx.env, cx.trail, &core.entry().info) } else { None };
        Self { core, args, watch }
    }

    /// What the wrapper gets, and what watches over it.
    #[inline]
    pub fn enter(&mut self) -> (Next<'_, H>, Guard<'_, H>) {
        let core = &self.core;
        (Next { args: H::reborrow(&mut self.args), core }, Guard { core })
    }

    /// Ends an async wrapper. `None`: it is one of an `isolate` hook and failed before going on, so that what it wraps
    /// is still to be [run](Self::skip).
    #[inline]
    pub fn leave(&mut self, outcome: Result<Outcome<H>, HookError>) -> Option<Called<H>> {
        match outcome {
            Ok(Ok(collected)) if self.watch.is_none() && !self.core.is(IDLE) => Some(Ok(collected)),
            outcome => self.leave_watched(outcome),
        }
    }

    /// The same when it failed, or somebody watches.
    fn leave_watched(&mut self, outcome: Result<Outcome<H>, HookError>) -> Option<Called<H>> {
        let idle = self.core.is(IDLE);
        let result = match outcome {
            Ok(Ok(_)) if idle => Err(self.core.error(ErrorKind::WrapperSilent)),
            Ok(outcome) => outcome.map_err(|source| passed_on(&self.core.entry().info, source)),
            Err(error) => Err(error),
        };
        if let Some(watch) = self.watch.take() {
            watch.finish(result.as_ref().map_or_else(ImplOutcome::Failed, |_| ImplOutcome::Value));
        }
        match result {
            Err(error) if H::SPEC.isolate => {
                self.core.cx.env.report(&error);
                let kept = self.core.kept.get_mut().unwrap_or_else(PoisonError::into_inner);
                if idle { None } else { Some(Ok(kept.take().unwrap_or_default())) }
            }
            result => Some(result),
        }
    }

    /// Runs what the wrapper wraps without it.
    pub fn skip(self) -> BoxFuture<'a, Called<H>> {
        let Core { cx, level, .. } = self.core;
        let mut chain = Chain::new(self.args);
        Box::pin(poll_fn(move |task| chain.poll(&cx, level + 1, task)))
    }

    /// Runs a plain wrapper from beginning to end.
    pub(crate) fn around(mut self, wrapper: impl for<'s> FnOnce(SyncNext<'s, H>) -> Outcome<H>) -> Called<H> {
        let outcome = {
            let (core, args) = (&self.core, H::reborrow(&mut self.args));
            let info = &core.entry().info;
            caught(info, || Span::of(info).run(|| wrapper(SyncNext { args, core })))
        };
        match self.leave(outcome) {
            Some(result) => result,
            None => call_sync(&self.core.cx, self.core.level + 1, self.args),
        }
    }
}

/// A wrapper's error: its own, or the one it got from inside, which keeps the name of whoever failed.
#[cold]
fn passed_on(info: &crate::ImplInfo, source: BoxError) -> HookError {
    match source.downcast::<HookError>() {
        Ok(error) if error.hook() == info.hook => *error,
        Ok(error) => failed(info, error),
        Err(source) => failed(info, source),
    }
}

/// What an async wrapper gets: the call's arguments, and the way on.
///
/// ```
/// use crow_hooks::{hookspecs, hookimpls, Next, Outcome, PluginManager};
///
/// #[hookspecs(project = "doc")]
/// pub trait Greeter {
///     async fn greet(name: &str) -> String;
/// }
///
/// struct Loud;
/// #[hookimpls]
/// impl Greeter for Loud {
///     #[hookimpl(wrapper)]
///     async fn greet(&self, mut next: Next<'_, Greet>) -> Outcome<Greet> {
///         let greetings = next.run().await?;
///         Ok(greetings.into_iter().map(|text| text.to_uppercase()).collect())
///     }
/// }
/// ```
pub struct Next<'a, H: Hook> {
    /// The arguments of the call. After `run` they show what the impls made of them.
    pub args: H::Args<'a>,
    core: &'a Core<'a, H>,
}

impl<H: Hook> std::fmt::Debug for Next<'_, H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Next").field("hook", &H::SPEC.name).finish_non_exhaustive()
    }
}

impl<H: Hook> Next<'_, H> {
    /// Runs everything inside, with the arguments as they are in [`args`](Self::args).
    ///
    /// # Errors
    /// What an impl or an inner wrapper failed with; or that this was called before.
    pub fn run(&mut self) -> Run<'_, H> {
        self.with(|args| args)
    }

    /// Runs everything inside with other arguments.
    ///
    /// `change` gets the arguments for the length of the inner call and returns those to use, for instance
    /// `next.with(|args| GreetArgs { name: "you", ..args }).await`.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    #[inline]
    pub fn with<'s>(&'s mut self, change: impl FnOnce(H::Args<'s>) -> H::Args<'s>) -> Run<'s, H> {
        let first = self.core.go();
        Run { core: self.core, chain: Chain::new(change(H::reborrow(&mut self.args))), first }
    }

    /// Answers in place of everything inside, which does not run.
    ///
    /// # Errors
    /// None; the result is that of the wrapper, ready to be returned.
    pub fn answer(&mut self, value: H::Collected) -> Outcome<H> {
        self.core.set(ANSWERED);
        Ok(value)
    }
}

/// The call of everything inside a wrapper: await it.
#[must_use = "what the wrapper wraps does not run until this is awaited"]
pub struct Run<'s, H: Hook> {
    core: &'s Core<'s, H>,
    chain: Chain<'s, H>,
    /// It has not run before.
    first: bool,
}

impl<H: Hook> Unpin for Run<'_, H> {}

impl<H: Hook> std::fmt::Debug for Run<'_, H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("hook", &H::SPEC.name).finish_non_exhaustive()
    }
}

impl<H: Hook> Future for Run<'_, H> {
    type Output = Outcome<H>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { core, chain, first } = &mut *self;
        if !*first {
            return Poll::Ready(Err(core.error(ErrorKind::WrapperRanTwice).into()));
        }
        match chain.poll(&core.cx, core.level + 1, task) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(result) => Poll::Ready(core.finish(result)),
        }
    }
}

impl<H: Hook> Drop for Run<'_, H> {
    #[inline]
    fn drop(&mut self) {
        // Dropped half-way: the wrapper's own time goes on.
        if self.first && !self.chain.is_done() {
            self.core.set(RAN);
        }
    }
}

/// What a wrapper of a sync hook gets: like [`Next`], but nothing is awaited.
pub struct SyncNext<'a, H: Hook> {
    /// The arguments of the call. After `run` they show what the impls made of them.
    pub args: H::Args<'a>,
    core: &'a Core<'a, H>,
}

impl<H: Hook> std::fmt::Debug for SyncNext<'_, H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SyncNext").field("hook", &H::SPEC.name).finish_non_exhaustive()
    }
}

impl<H: Hook> SyncNext<'_, H> {
    /// Runs everything inside. See [`Next::run`].
    pub fn run(&mut self) -> Outcome<H> {
        self.with(|args| args)
    }

    /// Runs everything inside with other arguments. See [`Next::with`].
    pub fn with<'s>(&'s mut self, change: impl FnOnce(H::Args<'s>) -> H::Args<'s>) -> Outcome<H> {
        if !self.core.go() {
            return Err(self.core.error(ErrorKind::WrapperRanTwice).into());
        }
        let args = change(H::reborrow(&mut self.args));
        self.core.finish(call_sync(&self.core.cx, self.core.level + 1, args))
    }

    /// Answers in place of everything inside. See [`Next::answer`].
    pub fn answer(&mut self, value: H::Collected) -> Outcome<H> {
        self.core.set(ANSWERED);
        Ok(value)
    }
}
