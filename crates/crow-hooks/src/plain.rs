//! Impls that are plain functions: they run on the caller's stack, one after the other.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use crate::{
    ErrorKind, Hook, HookError, ImplInfo,
    call::{Cx, failed, not_sync},
    guard::{First, caught, over, panicked},
    list::{Act, Entry, Rare, Turn},
    monitor::Watch,
    time,
    trace::Span,
};

/// Why the loop over plain impls stopped.
pub(crate) enum Stop {
    /// All ran, or one gave the first result.
    Finished,
    /// One failed.
    Failed(HookError),
    /// The one at this position has to be awaited.
    Deferred(usize),
}

/// Runs impls on the spot, from position `at` on.
pub(crate) fn run_plain<H: Hook>(
    cx: &Cx<'_, H>,
    mut at: usize,
    args: &mut H::Args<'_>,
    out: &mut H::Collected,
) -> Stop {
    if cx.trail.is_some() || cx.env.is_attentive() {
        return run_attentively(cx, at, args, out);
    }
    loop {
        // One guard for all of them: `at` tells who panicked.
        match catch_unwind(AssertUnwindSafe(|| run_quickly(cx, &mut at, args, out))) {
            Ok(stop) => return stop,
            Err(payload) => {
                if let Some(error) = cx.settle(panicked(&cx.list.impls[at].info, payload)) {
                    return Stop::Failed(error);
                }
                at += 1;
            }
        }
    }
}

/// The loop itself. `at` is the impl that is running.
#[inline]
fn run_quickly<H: Hook>(cx: &Cx<'_, H>, at: &mut usize, args: &mut H::Args<'_>, out: &mut H::Collected) -> Stop {
    while let Some(entry) = cx.list.impls.get(*at) {
        if entry.deferred {
            return Stop::Deferred(*at);
        }
        match Span::of(&entry.info).run(|| entry.run.act(H::reborrow(args), None, out)) {
            Turn::Value | Turn::None => {}
            Turn::Last => return Stop::Finished,
            Turn::Rare(rare) => {
                if let Some(error) = cx.settle(plainly(&entry.info, *rare)) {
                    return Stop::Failed(error);
                }
            }
        }
        *at += 1;
    }
    Stop::Finished
}

/// The error of a plain impl: it has no task to wait in.
#[cold]
fn plainly<T>(info: &ImplInfo, rare: Rare<'_, T>) -> HookError {
    match rare {
        Rare::Failed(source) => failed(info, source),
        Rare::Waits(_) | Rare::NotSync => not_sync(info),
    }
}

/// The same when somebody watches, or a clock runs: impl by impl.
#[cold]
fn run_attentively<H: Hook>(cx: &Cx<'_, H>, from: usize, args: &mut H::Args<'_>, out: &mut H::Collected) -> Stop {
    for (at, entry) in cx.list.impls.iter().enumerate().skip(from) {
        if entry.deferred {
            return Stop::Deferred(at);
        }
        let watch = Watch::start(cx.env, cx.trail, &entry.info);
        let turn = call_timed(cx, entry, H::reborrow(args), out);
        match over(cx, entry, turn, watch) {
            First::Next => {}
            First::Finished => return Stop::Finished,
            First::Failed(error) => return Stop::Failed(error),
            First::Waits(..) => {
                if let Some(error) = cx.settle(not_sync(&entry.info)) {
                    return Stop::Failed(error);
                }
            }
        }
    }
    Stop::Finished
}

/// Calls a plain impl by the clock: it cannot be interrupted, but it is reported.
fn call_timed<'s, H: Hook>(
    cx: &Cx<'s, H>,
    entry: &'s Entry<dyn Act<H>>,
    args: H::Args<'s>,
    out: &mut H::Collected,
) -> Result<Turn<'s, H::Output>, HookError> {
    let limit = cx.env.timer.as_ref().and_then(|_| time::limit(&entry.info, H::SPEC, cx.env.default_budget));
    let since = limit.map(|_| Instant::now());
    let turn = caught(&entry.info, || Span::of(&entry.info).run(|| entry.run.act(args, None, out)));
    if let (Some(limit), Some(took)) = (limit, since.map(|since| since.elapsed()))
        && took > limit
    {
        let info = &entry.info;
        cx.env.report(&HookError::of(info.plugin.clone(), info.hook, ErrorKind::Blocked(took), None));
    }
    turn
}
