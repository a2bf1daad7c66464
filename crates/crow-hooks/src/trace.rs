//! Spans of the `tracing` crate around calls and impls; nothing at all without the feature.

#[cfg(feature = "tracing")]
mod spans {
    use crate::{HookSpec, ImplInfo};

    /// A span, entered whenever what it is of runs.
    pub(crate) struct Span(tracing::Span);

    impl Span {
        pub(crate) const RECORDS: bool = true;

        pub(crate) fn none() -> Self {
            Self(tracing::Span::none())
        }

        pub(crate) fn call(hook: &'static HookSpec) -> Self {
            Self(tracing::debug_span!(target: "crow_hooks", "hook", name = hook.name))
        }

        pub(crate) fn of(which: &ImplInfo) -> Self {
            Self(tracing::debug_span!(
                target: "crow_hooks",
                "hookimpl",
                plugin = &*which.plugin,
                hook = which.hook,
                wrapper = which.wrapper,
            ))
        }

        pub(crate) fn run<T>(&self, inside: impl FnOnce() -> T) -> T {
            self.0.in_scope(inside)
        }
    }
}

#[cfg(not(feature = "tracing"))]
mod spans {
    use crate::{HookSpec, ImplInfo};

    pub(crate) struct Span;

    impl Span {
        /// Whether there is anything to record in.
        pub(crate) const RECORDS: bool = false;

        #[inline]
        pub(crate) fn none() -> Self {
            Self
        }

        #[inline]
        pub(crate) fn call(_: &'static HookSpec) -> Self {
            Self
        }

        #[inline]
        pub(crate) fn of(_: &ImplInfo) -> Self {
            Self
        }

        #[inline]
        pub(crate) fn run<T>(&self, inside: impl FnOnce() -> T) -> T {
            // `self` is what the other one needs.
            let Self = self;
            inside()
        }
    }
}

pub(crate) use spans::Span;
