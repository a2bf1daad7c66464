//! The order of impls: tiers, last in first out, and `before`/`after` a named plugin.

use std::{cmp::Reverse, sync::Arc};

use crate::{HookSpec, ImplInfo, Kind, PluginName, RegisterError, Tier, plugin::PluginId};

/// The impls of a hook put in order.
pub(crate) struct Arranged {
    /// Positions of wrappers, outermost first.
    pub(crate) wrappers: Vec<usize>,
    /// Positions of the others, in call order.
    pub(crate) impls: Vec<usize>,
    /// The same as data: wrappers, then the rest.
    pub(crate) infos: Vec<Arc<ImplInfo>>,
}

/// Puts the impls of a hook in order.
pub(crate) fn arranged(
    spec: &'static HookSpec,
    wrappers: Vec<Arc<ImplInfo>>,
    impls: Vec<Arc<ImplInfo>>,
) -> Result<Arranged, RegisterError> {
    if let (Kind::Historic, Some(wrapper)) = (spec.kind, wrappers.first()) {
        return Err(RegisterError::HistoricWrapper { hook: spec.name, plugin: wrapper.plugin.clone() });
    }
    crosses_no_section(spec, &wrappers, &impls)?;
    let order = (call_order(spec.name, &wrappers)?, call_order(spec.name, &impls)?);
    let mut infos = Vec::with_capacity(wrappers.len() + impls.len());
    infos.extend(order.0.iter().map(|at| Arc::clone(&wrappers[*at])));
    infos.extend(order.1.iter().map(|at| Arc::clone(&impls[*at])));
    Ok(Arranged { wrappers: order.0, impls: order.1, infos })
}

/// What is left, put in order, when some plugins are gone; nothing if none of them is here.
///
/// Whoever waited for a plugin that is gone takes its own place again.
pub(crate) fn left(
    spec: &'static HookSpec,
    infos: &[Arc<ImplInfo>],
    wrappers: usize,
    gone: &dyn Fn(PluginId) -> bool,
) -> Option<Arranged> {
    if !infos.iter().any(|info| gone(info.id)) {
        return None;
    }
    let (outer, inner) = infos.split_at(wrappers);
    let kept = |infos: &[Arc<ImplInfo>]| -> Vec<usize> { (0..infos.len()).filter(|at| !gone(infos[*at].id)).collect() };
    let (outer_kept, inner_kept) = (kept(outer), kept(inner));
    let these = |infos: &[Arc<ImplInfo>], kept: &[usize]| kept.iter().map(|at| Arc::clone(&infos[*at])).collect();
    // With fewer plugins an order that was possible stays so.
    let mut order = arranged(spec, these(outer, &outer_kept), these(inner, &inner_kept)).ok()?;
    order.wrappers.iter_mut().for_each(|at| *at = outer_kept[*at]);
    order.impls.iter_mut().for_each(|at| *at = inner_kept[*at]);
    Some(order)
}

/// A wrapper is always outside: no impl can come before one.
fn crosses_no_section(
    spec: &'static HookSpec,
    wrappers: &[Arc<ImplInfo>],
    impls: &[Arc<ImplInfo>],
) -> Result<(), RegisterError> {
    for wrapper in wrappers {
        for inner in impls.iter().filter(|inner| inner.plugin != wrapper.plugin) {
            let names = |names: &[Box<str>], info: &ImplInfo| names.iter().any(|name| **name == *info.plugin);
            if names(&wrapper.after, inner) || names(&inner.before, wrapper) {
                return Err(RegisterError::AcrossTiers {
                    hook: spec.name,
                    first: inner.plugin.clone(),
                    second: wrapper.plugin.clone(),
                });
            }
        }
    }
    Ok(())
}

/// The positions of `impls` in call order.
///
/// Tiers first; within `tryfirst` and within plain the latest comes first, within `trylast` it comes last.
/// Then whoever must wait for a named plugin moves behind it, and everything else keeps its place.
fn call_order(hook: &'static str, impls: &[Arc<ImplInfo>]) -> Result<Vec<usize>, RegisterError> {
    let mut order: Vec<usize> = (0..impls.len()).collect();
    order.sort_by_key(|&at| {
        let info = &impls[at];
        match info.tier {
            Tier::First => (0, Reverse(info.seq), 0),
            Tier::Plain => (1, Reverse(info.seq), 0),
            Tier::Last => (2, Reverse(0), info.seq),
        }
    });
    if impls.iter().all(|info| info.before.is_empty() && info.after.is_empty()) {
        return Ok(order);
    }
    let mut waits = vec![Vec::new(); impls.len()];
    for (first, second) in constraints(impls) {
        if first == second {
            continue;
        }
        match impls[first].tier.cmp(&impls[second].tier) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => waits[second].push(first),
            std::cmp::Ordering::Greater => {
                return Err(RegisterError::AcrossTiers {
                    hook,
                    first: impls[first].plugin.clone(),
                    second: impls[second].plugin.clone(),
                });
            }
        }
    }
    settle(hook, impls, order, &waits)
}

/// Pairs of positions: the first must run before the second. A plugin that is absent constrains nothing.
fn constraints(impls: &[Arc<ImplInfo>]) -> Vec<(usize, usize)> {
    let of = |name: &str| -> Vec<usize> {
        impls.iter().enumerate().filter(|(_, info)| &*info.plugin == name).map(|(at, _)| at).collect()
    };
    let mut pairs = Vec::new();
    for (at, info) in impls.iter().enumerate() {
        pairs.extend(info.before.iter().flat_map(|name| of(name)).map(|other| (at, other)));
        pairs.extend(info.after.iter().flat_map(|name| of(name)).map(|other| (other, at)));
    }
    pairs
}

/// Takes, again and again, the first in line that waits for nobody.
fn settle(
    hook: &'static str,
    impls: &[Arc<ImplInfo>],
    mut line: Vec<usize>,
    waits: &[Vec<usize>],
) -> Result<Vec<usize>, RegisterError> {
    let mut placed = Vec::with_capacity(line.len());
    while !line.is_empty() {
        let free = line.iter().position(|at| waits[*at].iter().all(|first| placed.contains(first)));
        match free {
            Some(free) => placed.push(line.remove(free)),
            None => return Err(RegisterError::Cycle { hook, plugins: cycle(impls, line[0], waits, &placed) }),
        }
    }
    Ok(placed)
}

/// The plugins of one cycle, each of which must run before the next.
fn cycle(impls: &[Arc<ImplInfo>], start: usize, waits: &[Vec<usize>], placed: &[usize]) -> Vec<PluginName> {
    let mut path = vec![start];
    loop {
        let last = path[path.len() - 1];
        let Some(&next) = waits[last].iter().find(|first| !placed.contains(first)) else { break };
        if let Some(seen) = path.iter().position(|at| *at == next) {
            path.drain(..seen);
            break;
        }
        path.push(next);
    }
    path.iter().rev().map(|at| impls[*at].plugin.clone()).collect()
}
