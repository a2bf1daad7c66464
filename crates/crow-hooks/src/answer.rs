//! What an impl and a wrapper may return.

use std::{
    error::Error,
    pin::Pin,
    task::{Context, Poll},
};

use crate::Hook;

/// Any error, as plugins give it.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a wrapper sees and returns: the result of everything inside it.
pub type Outcome<H> = Result<<H as Hook>::Collected, BoxError>;

/// The value of one impl: `None` is left out of the results.
pub type Given<T> = Result<Option<T>, BoxError>;

/// What calling an impl gives: its value if it is done; or the future, polled once, if it waits; or neither, if it would
/// have to be awaited and there is no task to do that in.
pub(crate) type Answer<'a, T> = Result<Given<T>, Option<BoxFuture<'a, Given<T>>>>;

/// Polls a future for the first time. It is given back if it has to wait.
pub(crate) fn polled<'a, T>(
    mut future: BoxFuture<'a, T>,
    task: &mut Context<'_>,
) -> Result<T, Option<BoxFuture<'a, T>>> {
    match future.as_mut().poll(task) {
        Poll::Ready(value) => Ok(value),
        Poll::Pending => Err(Some(future)),
    }
}

/// The return types an impl may have: `T`, `Option<T>`, `Result<T, E>` and `Result<Option<T>, E>`,
/// where `T` is the hook's output and `E` any error.
#[diagnostic::on_unimplemented(
    message = "this hookimpl returns `{Self}`, but the hook's output is `{T}`",
    label = "return `{T}`, `Option<{T}>`, `Result<{T}, E>` or `Result<Option<{T}>, E>`",
    note = "`E` is any error that converts into `Box<dyn Error + Send + Sync>`"
)]
pub trait IntoAnswer<T> {
    /// The value in the engine's form.
    fn into_answer(self) -> Given<T>;
}

impl<T> IntoAnswer<T> for T {
    fn into_answer(self) -> Given<T> {
        Ok(Some(self))
    }
}

impl<T> IntoAnswer<T> for Option<T> {
    fn into_answer(self) -> Given<T> {
        Ok(self)
    }
}

impl<T, E: Into<BoxError>> IntoAnswer<T> for Result<T, E> {
    fn into_answer(self) -> Given<T> {
        self.map(Some).map_err(Into::into)
    }
}

impl<T, E: Into<BoxError>> IntoAnswer<T> for Result<Option<T>, E> {
    fn into_answer(self) -> Given<T> {
        self.map_err(Into::into)
    }
}

/// The return types a wrapper may have: `Outcome<Hook>`, or a `Result` of the call's value with any error.
#[diagnostic::on_unimplemented(
    message = "this wrapper returns `{Self}`, but a call of the hook gives `{C}`",
    label = "return `Outcome<..>` of the hook, that is `Result<{C}, BoxError>`"
)]
pub trait IntoOutcome<C> {
    /// The outcome in the engine's form.
    fn into_outcome(self) -> Result<C, BoxError>;
}

impl<C, E: Into<BoxError>> IntoOutcome<C> for Result<C, E> {
    fn into_outcome(self) -> Result<C, BoxError> {
        self.map_err(Into::into)
    }
}

/// Handed to generated code so that it can convert without naming this crate.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct To<H>(pub(crate) std::marker::PhantomData<fn() -> H>);

#[allow(clippy::unused_self)] // generated code has the value and no path to the type
impl<H: Hook> To<H> {
    #[doc(hidden)]
    pub fn answer(self, value: impl IntoAnswer<H::Output>) -> Given<H::Output> {
        value.into_answer()
    }

    #[doc(hidden)]
    pub fn outcome(self, value: impl IntoOutcome<H::Collected>) -> Outcome<H> {
        value.into_outcome()
    }
}
