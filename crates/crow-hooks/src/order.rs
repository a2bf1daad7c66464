//! The order of impls: tiers, last in first out, and `before`/`after` a named plugin.

use std::cmp::Reverse;

use crate::{ImplInfo, PluginName, RegisterError, Tier};

/// The positions of `impls` in call order.
///
/// Tiers first; within `tryfirst` and within plain the latest comes first, within `trylast` it comes last.
/// Then whoever must wait for a named plugin moves behind it, and everything else keeps its place.
pub(crate) fn call_order(hook: &'static str, impls: &[&ImplInfo]) -> Result<Vec<usize>, RegisterError> {
    let mut order: Vec<usize> = (0..impls.len()).collect();
    order.sort_by_key(|&at| {
        let info = impls[at];
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
fn constraints(impls: &[&ImplInfo]) -> Vec<(usize, usize)> {
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
    impls: &[&ImplInfo],
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
fn cycle(impls: &[&ImplInfo], start: usize, waits: &[Vec<usize>], placed: &[usize]) -> Vec<PluginName> {
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
