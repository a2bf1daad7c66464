//! What a wrapper gets: the arguments, and the way on.

use std::{
    pin::Pin,
    sync::atomic::{AtomicU8, Ordering},
    task::{Context, Poll},
};

use crate::{
    BoxError, BoxFuture, ErrorKind, Hook, HookError, ImplOutcome, Outcome,
    call::{Called, Chain, Cx, Wrappers, call_sync, failed},
    guard::{Guard, caught},
    list::{Entry, Wrap},
    monitor::Watch,
    trace::Span,
};

const IDLE: u8 = 0;
pub(crate) const RUNNING: u8 = 1;
const RAN: u8 = 2;
const ANSWERED: u8 = 3;

/// What a wrapper gives the engine: the result if it is done; or the future, polled once, if it waits; or neither, if it
/// would have to be awaited and there is no task to do that in.
pub(crate) type Wrapped<'a, H> = Result<Called<H>, Option<BoxFuture<'a, Called<H>>>>;

/// Where a wrapper stands: who it is, and what is inside it.
struct Place<'a, H: Hook> {
    cx: Cx<'a, H>,
    entry: &'a Entry<dyn Wrap<H>>,
    inner: Wrappers<'a, H>,
}

/// One wrapper's turn in a call: owns the arguments while the wrapper runs.
#[doc(hidden)]
pub struct Frame<'a, H: Hook> {
    place: Place<'a, H>,
    args: H::Args<'a>,
    state: AtomicU8,
    kept: Option<H::Collected>,
    watch: Option<Box<Watch<'a>>>,
}

impl<H: Hook> std::fmt::Debug for Frame<'_, H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frame").field("hook", &H::SPEC.name).finish_non_exhaustive()
    }
}

impl<'a, H: Hook> Frame<'a, H> {
    pub(crate) fn new(cx: Cx<'a, H>, entry: &'a Entry<dyn Wrap<H>>, inner: Wrappers<'a, H>, args: H::Args<'a>) -> Self {
        let watch = Watch::start(cx.env, cx.trail, &entry.info);
        Self { place: Place { cx, entry, inner }, args, state: AtomicU8::new(IDLE), kept: None, watch }
    }

    /// What the wrapper gets, and what watches over it.
    pub fn enter(&mut self) -> (Next<'_, H>, Guard<'_>) {
        let Place { cx, entry, .. } = &self.place;
        let guard = Guard::new(&entry.info, H::SPEC, cx.env, &self.state);
        let link = Link { place: &self.place, state: &self.state, kept: &mut self.kept };
        (Next { args: H::reborrow(&mut self.args), link }, guard)
    }

    /// Ends an async wrapper. `None`: it is one of an `isolate` hook and failed before going on, so that what it wraps
    /// is still to be [run](Self::skip).
    pub fn leave(&mut self, outcome: Result<Outcome<H>, HookError>) -> Option<Called<H>> {
        let idle = *self.state.get_mut() == IDLE;
        let info = &self.place.entry.info;
        let result = match outcome {
            Ok(Ok(_)) if idle => Err(HookError::of(info.plugin.clone(), info.hook, ErrorKind::WrapperSilent, None)),
            Ok(outcome) => outcome.map_err(|source| passed_on(info, source)),
            Err(error) => Err(error),
        };
        if let Some(watch) = self.watch.take() {
            watch.finish(result.as_ref().map_or_else(ImplOutcome::Failed, |_| ImplOutcome::Value));
        }
        match result {
            Err(error) if H::SPEC.isolate => {
                self.place.cx.env.report(&error);
                if idle { None } else { Some(Ok(self.kept.take().unwrap_or_default())) }
            }
            result => Some(result),
        }
    }

    /// Runs what the wrapper wraps without it.
    pub fn skip(self) -> BoxFuture<'a, Called<H>> {
        Box::pin(Chain::new(self.place.cx, self.place.inner, self.args))
    }

    /// Runs a plain wrapper from beginning to end.
    pub(crate) fn around(mut self, wrapper: impl for<'s> FnOnce(SyncNext<'s, H>) -> Outcome<H>) -> Called<H> {
        let info = &self.place.entry.info;
        let outcome = {
            let link = Link { place: &self.place, state: &self.state, kept: &mut self.kept };
            let args = H::reborrow(&mut self.args);
            caught(info, || Span::of(info).run(|| wrapper(SyncNext { args, link })))
        };
        match self.leave(outcome) {
            Some(result) => result,
            None => call_sync(self.place.cx, self.place.inner, self.args),
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

/// The way from a wrapper to what it wraps.
struct Link<'a, H: Hook> {
    place: &'a Place<'a, H>,
    state: &'a AtomicU8,
    kept: &'a mut Option<H::Collected>,
}

impl<H: Hook> Link<'_, H> {
    /// An error if the wrapper has gone on before.
    fn go(&self) -> Result<(), BoxError> {
        if self.state.load(Ordering::Relaxed) == IDLE {
            self.state.store(RUNNING, Ordering::Relaxed);
            return Ok(());
        }
        let info = &self.place.entry.info;
        Err(Box::new(HookError::of(info.plugin.clone(), info.hook, ErrorKind::WrapperRanTwice, None)))
    }

    fn answer(&self) {
        self.state.store(ANSWERED, Ordering::Relaxed);
    }
}

/// Remembers the inner result where the contract asks for it.
fn finish<H: Hook>(state: &AtomicU8, kept: &mut Option<H::Collected>, result: Called<H>) -> Outcome<H> {
    state.store(RAN, Ordering::Relaxed);
    if let Ok(collected) = &result {
        *kept = H::keep(collected);
    }
    result.map_err(Into::into)
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
    link: Link<'a, H>,
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
    pub fn with<'s>(&'s mut self, change: impl FnOnce(H::Args<'s>) -> H::Args<'s>) -> Run<'s, H> {
        let begun = self.link.go();
        let args = change(H::reborrow(&mut self.args));
        let way = begun.map(|()| Chain::new(self.link.place.cx, self.link.place.inner, args));
        Run { way: Some(way), state: self.link.state, kept: self.link.kept }
    }

    /// Answers in place of everything inside, which does not run.
    ///
    /// # Errors
    /// None; the result is that of the wrapper, ready to be returned.
    pub fn answer(&mut self, value: H::Collected) -> Outcome<H> {
        self.link.answer();
        Ok(value)
    }
}

/// The call of everything inside a wrapper: await it.
#[must_use = "what the wrapper wraps does not run until this is awaited"]
pub struct Run<'s, H: Hook> {
    way: Option<Result<Chain<'s, H>, BoxError>>,
    state: &'s AtomicU8,
    kept: &'s mut Option<H::Collected>,
}

impl<H: Hook> Unpin for Run<'_, H> {}

impl<H: Hook> std::fmt::Debug for Run<'_, H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("hook", &H::SPEC.name).finish_non_exhaustive()
    }
}

impl<H: Hook> Future for Run<'_, H> {
    type Output = Outcome<H>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let result = match &mut this.way {
            Some(Ok(chain)) => match Pin::new(chain).poll(task) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(result) => result,
            },
            Some(Err(_)) | None => {
                return match this.way.take() {
                    Some(Err(twice)) => Poll::Ready(Err(twice)),
                    _ => panic!("what a wrapper runs was polled after it had given its result"),
                };
            }
        };
        this.way = None;
        Poll::Ready(finish::<H>(this.state, this.kept, result))
    }
}

impl<H: Hook> Drop for Run<'_, H> {
    fn drop(&mut self) {
        // Dropped half-way: the wrapper's own time goes on.
        if matches!(self.way, Some(Ok(_))) {
            self.state.store(RAN, Ordering::Relaxed);
        }
    }
}

/// What a wrapper of a sync hook gets: like [`Next`], but nothing is awaited.
pub struct SyncNext<'a, H: Hook> {
    /// The arguments of the call. After `run` they show what the impls made of them.
    pub args: H::Args<'a>,
    link: Link<'a, H>,
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
        self.link.go()?;
        let args = change(H::reborrow(&mut self.args));
        let result = call_sync(self.link.place.cx, self.link.place.inner, args);
        finish::<H>(self.link.state, self.link.kept, result)
    }

    /// Answers in place of everything inside. See [`Next::answer`].
    pub fn answer(&mut self, value: H::Collected) -> Outcome<H> {
        self.link.answer();
        Ok(value)
    }
}
