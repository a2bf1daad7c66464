//! How deep hook calls stand inside each other, so that plugins that call hooks from hooks cannot do so for ever.

use std::{
    cell::RefCell,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use crate::{ErrorKind, HookError};

thread_local! {
    /// The hooks whose calls are being polled on this thread, outermost first.
    static CHAIN: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

/// The hook calls that the current code stands in, outermost first.
///
/// A task that a hook starts stands in none of them, unless it takes the chain along:
///
/// ```
/// # async fn work() {}
/// let chain = crow_hooks::Chain::current();
/// let task = chain.carry(work()); // hand this to the runtime instead of `work()`
/// # drop(task);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chain(Arc<[&'static str]>);

impl Chain {
    /// The chain here and now; empty outside of hooks.
    pub fn current() -> Self {
        CHAIN.with_borrow(|chain| Self(chain.as_slice().into()))
    }

    /// The hooks' names, outermost first.
    pub fn hooks(&self) -> &[&'static str] {
        &self.0
    }

    /// The same future, standing in this chain wherever it is polled.
    pub fn carry<F: Future>(self, future: F) -> Carried<F> {
        Carried { chain: self, future: Box::pin(future) }
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" → "))
    }
}

/// A future that stands in a [`Chain`].
pub struct Carried<F> {
    chain: Chain,
    future: Pin<Box<F>>,
}

impl<F> fmt::Debug for Carried<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carried").field("chain", &self.chain).finish_non_exhaustive()
    }
}

impl<F: Future> Future for Carried<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<F::Output> {
        let outside = CHAIN.replace(self.chain.0.to_vec());
        let _restored = Restore(outside);
        self.future.as_mut().poll(task)
    }
}

/// Puts a chain back, also when a poll panics.
struct Restore(Vec<&'static str>);

impl Drop for Restore {
    fn drop(&mut self) {
        CHAIN.set(std::mem::take(&mut self.0));
    }
}

/// While it lives, a call of the hook is being polled on this thread.
pub(crate) struct Inside(());

impl Drop for Inside {
    fn drop(&mut self) {
        CHAIN.with_borrow_mut(|chain| {
            chain.pop();
        });
    }
}

/// Enters a call of `hook`. Free without a limit.
#[inline]
pub(crate) fn enter(hook: &'static str, limit: Option<usize>) -> Result<Option<Inside>, HookError> {
    match limit {
        None => Ok(None),
        Some(limit) => enter_below(hook, limit).map(Some),
    }
}

fn enter_below(hook: &'static str, limit: usize) -> Result<Inside, HookError> {
    CHAIN.with_borrow_mut(|chain| {
        if chain.len() < limit {
            chain.push(hook);
            return Ok(Inside(()));
        }
        let text = format!("hooks call each other more than {limit} deep: {} → {hook}", chain.join(" → "));
        Err(HookError::of("host".into(), hook, ErrorKind::TooDeep, Some(text.into())))
    })
}
