//! Watching calls: monitors, which the host installs, and trails, which one call leaves.

// A call that nobody watches carries a pointer that is null, not the room for a watch.
#![allow(clippy::unnecessary_box_returns, clippy::boxed_local)]

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{HookError, HookSpec, ImplInfo, PluginName, call::Env};

/// Watches every call of a manager's hooks. Each method does nothing unless overridden.
///
/// A monitor that panics is the host's own defect; nothing catches it.
pub trait Monitor: Send + Sync {
    /// A call begins.
    fn before_call(&self, _hook: &'static HookSpec) {}
    /// A call is over; `None` means that it was dropped before its end.
    fn after_call(&self, _hook: &'static HookSpec, _outcome: Option<Result<(), &HookError>>, _took: Duration) {}
    /// An impl or wrapper begins.
    fn impl_started(&self, _which: &ImplInfo) {}
    /// An impl or wrapper is over. A wrapper's time includes what it wraps.
    fn impl_finished(&self, _which: &ImplInfo, _outcome: ImplOutcome<'_>, _took: Duration) {}
    /// Whether `before_call` and `after_call` matter to it; asked when it is added. If they matter to no monitor, calls
    /// that nobody implements are as cheap as without one.
    fn watches_calls(&self) -> bool {
        true
    }
}

/// How an impl ended.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum ImplOutcome<'a> {
    /// It gave a value. (A hook without output: it ended well.)
    Value,
    /// It gave no value.
    None,
    /// It failed; the error tells whether by an error, a panic or the clock.
    Failed(&'a HookError),
    /// The call was dropped while it ran.
    Cancelled,
}

impl<'a> ImplOutcome<'a> {
    pub(crate) fn of<T>(given: &'a Result<Option<T>, HookError>) -> Self {
        match given {
            Ok(Some(_)) => Self::Value,
            Ok(None) => Self::None,
            Err(error) => Self::Failed(error),
        }
    }
}

/// Records which impls ran in one call: `hooks.after_turn(..).trail(&trail).await`.
///
/// Costs nothing for calls that are made without one.
#[derive(Debug, Default)]
pub struct Trail(Mutex<Vec<Step>>);

/// One impl or wrapper that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// Whose it was.
    pub plugin: PluginName,
    /// Whether it was a wrapper. A wrapper's step comes after the steps inside it.
    pub wrapper: bool,
    /// How it ended.
    pub ended: Ended,
}

/// How a [`Step`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// With a value.
    Value,
    /// Without one.
    None,
    /// With an error, which either ended the call or went to the error sink.
    Failed,
    /// The call was dropped meanwhile.
    Cancelled,
}

impl Trail {
    /// An empty trail.
    pub fn new() -> Self {
        Self::default()
    }

    /// What ran so far, in the order in which it ended.
    pub fn steps(&self) -> Vec<Step> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The plugins whose impls ran, wrappers left out.
    pub fn plugins(&self) -> Vec<PluginName> {
        self.steps().into_iter().filter(|step| !step.wrapper).map(|step| step.plugin).collect()
    }

    /// The plugins whose impls gave a value.
    pub(crate) fn givers(&self) -> Vec<PluginName> {
        let gave = |step: &Step| !step.wrapper && step.ended == Ended::Value;
        self.steps().into_iter().filter(gave).map(|step| step.plugin).collect()
    }

    /// The wrapper that ended last.
    pub(crate) fn outermost(&self) -> Option<PluginName> {
        self.steps().into_iter().rev().find(|step| step.wrapper).map(|step| step.plugin)
    }

    fn add(&self, which: &ImplInfo, ended: Ended) {
        let step = Step { plugin: which.plugin.clone(), wrapper: which.wrapper, ended };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(step);
    }
}

/// An impl under watch; dropped unfinished, it was cancelled.
pub(crate) struct Watch<'a> {
    env: &'a Env,
    trail: Option<&'a Trail>,
    which: &'a ImplInfo,
    since: Instant,
    open: bool,
}

impl<'a> Watch<'a> {
    /// `None` when nobody watches, which is the usual case.
    #[inline]
    pub(crate) fn start(env: &'a Env, trail: Option<&'a Trail>, which: &'a ImplInfo) -> Option<Box<Self>> {
        if trail.is_none() && env.monitors.is_empty() { None } else { Some(Self::begin(env, trail, which)) }
    }

    #[cold]
    fn begin(env: &'a Env, trail: Option<&'a Trail>, which: &'a ImplInfo) -> Box<Self> {
        for monitor in &env.monitors {
            monitor.watch.impl_started(which);
        }
        Box::new(Self { env, trail, which, since: Instant::now(), open: true })
    }

    #[cold]
    pub(crate) fn finish(mut self: Box<Self>, outcome: ImplOutcome<'_>) {
        self.tell(outcome);
    }

    fn tell(&mut self, outcome: ImplOutcome<'_>) {
        self.open = false;
        let took = self.since.elapsed();
        for monitor in self.env.monitors.iter().rev() {
            monitor.watch.impl_finished(self.which, outcome, took);
        }
        if let Some(trail) = self.trail {
            trail.add(
                self.which,
                match outcome {
                    ImplOutcome::Value => Ended::Value,
                    ImplOutcome::None => Ended::None,
                    ImplOutcome::Failed(_) => Ended::Failed,
                    ImplOutcome::Cancelled => Ended::Cancelled,
                },
            );
        }
    }
}

impl Drop for Watch<'_> {
    #[cold]
    fn drop(&mut self) {
        if self.open {
            self.tell(ImplOutcome::Cancelled);
        }
    }
}

/// A whole call under watch; dropped unfinished, it was cancelled.
pub(crate) struct CallWatch<'a> {
    env: &'a Env,
    hook: &'static HookSpec,
    since: Instant,
    open: bool,
}

impl<'a> CallWatch<'a> {
    #[cold]
    pub(crate) fn start(env: &'a Env, hook: &'static HookSpec) -> Box<Self> {
        for monitor in &env.monitors {
            monitor.watch.before_call(hook);
        }
        Box::new(Self { env, hook, since: Instant::now(), open: true })
    }

    pub(crate) fn finish(mut self: Box<Self>, outcome: Result<(), &HookError>) {
        self.tell(Some(outcome));
    }

    fn tell(&mut self, outcome: Option<Result<(), &HookError>>) {
        self.open = false;
        let took = self.since.elapsed();
        for monitor in self.env.monitors.iter().rev() {
            monitor.watch.after_call(self.hook, outcome, took);
        }
    }
}

impl Drop for CallWatch<'_> {
    #[cold]
    fn drop(&mut self) {
        if self.open {
            self.tell(None);
        }
    }
}

/// An installed monitor.
#[derive(Clone)]
pub(crate) struct Installed {
    pub(crate) id: u64,
    pub(crate) calls: bool,
    pub(crate) watch: Arc<dyn Monitor>,
}

impl fmt::Debug for Installed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Monitor({})", self.id)
    }
}
