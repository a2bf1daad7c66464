//! `--trace-hooks`: every hook as it fires, who ran in it, and how long it took.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crow_acp::crow_hooks::{Budget, HookError, HookSpec, ImplInfo, ImplOutcome, Monitor};
use serde_json::{Value, json};

/// One thing that a trace tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fired {
    /// A hook that may take long begins: the hooks told until its end happen inside it.
    Begun { hook: &'static str, depth: usize },
    /// A hook is over.
    Over {
        hook: &'static str,
        depth: usize,
        /// How many calls of it in a row this stands for.
        times: usize,
        /// The plugins whose impls ran, in the order in which they ended, each with what went wrong.
        ran: Vec<(String, Option<String>)>,
        took: Duration,
    },
}

impl Fired {
    /// For people.
    pub(crate) fn line(&self) -> String {
        match self {
            Self::Begun { hook, depth } => format!("{}{hook} …", "  ".repeat(*depth)),
            Self::Over { hook, depth, times, ran, took } => {
                let name = format!("{}{hook}", "  ".repeat(*depth));
                let times = if *times > 1 { format!(" ×{times}") } else { String::new() };
                let names: Vec<String> = ran
                    .iter()
                    .map(|(plugin, error)| error.as_ref().map_or_else(|| plugin.clone(), |error| format!("{plugin} failed ({error})")))
                    .collect();
                let names = if names.is_empty() { "–".to_owned() } else { names.join(", ") };
                format!("{:<26}{names}  {}", name + &times, micros(*took))
            }
        }
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        match self {
            Self::Begun { hook, depth } => json!({ "type": "hook", "hook": hook, "phase": "begun", "depth": depth }),
            Self::Over { hook, depth, times, ran, took } => {
                let ran: Vec<Value> = ran.iter().map(|(plugin, error)| json!({ "plugin": plugin, "error": error })).collect();
                let took = took.as_micros() as u64;
                json!({ "type": "hook", "hook": hook, "phase": "over", "depth": depth, "times": times, "ran": ran, "micros": took })
            }
        }
    }
}

/// Where a trace goes.
pub(crate) type Tell = Box<dyn Fn(Fired) + Send + Sync>;

/// Watches all calls and tells of each.
pub(crate) struct Trace {
    tell: Tell,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Hooks under way that were told as begun.
    depth: usize,
    /// What ran so far in the calls under way, by hook. Calls of one hook at the same time share an entry: the names are
    /// right, only whose call they belong to may be mixed up.
    ran: HashMap<&'static str, Vec<(String, Option<String>)>>,
    /// The calls of a plain function that wait to be told together.
    repeated: Option<Fired>,
}

impl Trace {
    /// A trace that goes to `tell`.
    pub(crate) fn new(tell: impl Fn(Fired) + Send + Sync + 'static) -> Self {
        Self { tell: Box::new(tell), state: Mutex::default() }
    }

    /// Tells what is still held back.
    pub(crate) fn flush(&self) {
        let held = self.state.lock().unwrap_or_else(PoisonError::into_inner).repeated.take();
        held.into_iter().for_each(&self.tell);
    }
}

impl Monitor for Trace {
    fn before_call(&self, hook: &'static HookSpec) {
        if hook.budget != Some(Budget::Unbounded) {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.repeated.take().into_iter().for_each(&self.tell);
        (self.tell)(Fired::Begun { hook: hook.name, depth: state.depth });
        state.depth += 1;
    }

    fn after_call(&self, hook: &'static HookSpec, outcome: Option<Result<(), &HookError>>, took: Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if hook.budget == Some(Budget::Unbounded) {
            state.depth = state.depth.saturating_sub(1);
        }
        let mut ran = state.ran.remove(hook.name).unwrap_or_default();
        if outcome.is_none() {
            ran.push(("dropped".to_owned(), None));
        }
        let depth = state.depth;
        if let Some(Fired::Over { hook: last, times, took: sum, ran: before, .. }) = &mut state.repeated
            && *last == hook.name
            && *before == ran
        {
            *times += 1;
            *sum += took;
            return;
        }
        state.repeated.take().into_iter().for_each(&self.tell);
        let fired = Fired::Over { hook: hook.name, depth, times: 1, ran, took };
        // Plain functions are called for every fragment of a stream.
        if hook.sync { state.repeated = Some(fired) } else { (self.tell)(fired) }
    }

    fn impl_finished(&self, which: &ImplInfo, outcome: ImplOutcome<'_>, _: Duration) {
        let error = match outcome {
            ImplOutcome::Failed(error) => Some(error.reason()),
            ImplOutcome::Cancelled => Some("cancelled".to_owned()),
            _ => None,
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.ran.entry(which.hook).or_default().push((which.plugin.to_string(), error));
    }
}

fn micros(time: Duration) -> String {
    match time.as_micros() {
        micros @ 0..1_000 => format!("{micros} µs"),
        micros => format!("{:.1} ms", micros as f64 / 1e3),
    }
}
