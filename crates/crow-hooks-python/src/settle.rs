//! The order of impls, as the Rust engine has it: tiers, last in first out, and `before`/`after` a named plugin.
//!
//! Nothing of Python here, so that `tests/order.rs` can compare it with the engine.

use std::cmp::{Ordering, Reverse};

/// What the order of an impl depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The plugin's name.
    pub(crate) plugin: String,
    /// 0 for `tryfirst`, 1 for plain, 2 for `trylast`.
    pub(crate) tier: u8,
    /// When it was registered; later is greater.
    pub(crate) seq: u64,
    /// Plugins that it must come before.
    pub(crate) before: Vec<String>,
    /// Plugins that it must come after.
    pub(crate) after: Vec<String>,
}

/// Why there is no order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// The first would have to run before the second, which is in an earlier tier.
    AcrossTiers(String, String),
    /// Each would have to run before the next, and the last before the first.
    Cycle(Vec<String>),
}

/// The positions of `impls` in call order.
///
/// Tiers first; within `tryfirst` and within plain the latest comes first, within `trylast` it comes last.
/// Then whoever must wait for a named plugin moves behind it, and everything else keeps its place.
pub(crate) fn call_order(impls: &[Entry]) -> Result<Vec<usize>, Conflict> {
    let mut line: Vec<usize> = (0..impls.len()).collect();
    line.sort_by_key(|&at| {
        let entry = &impls[at];
        if entry.tier < 2 { (entry.tier, Reverse(entry.seq), 0) } else { (2, Reverse(0), entry.seq) }
    });
    let mut waits = vec![Vec::new(); impls.len()];
    for (first, second) in constraints(impls) {
        match impls[first].tier.cmp(&impls[second].tier) {
            _ if first == second => {}
            Ordering::Less => {}
            Ordering::Equal => waits[second].push(first),
            Ordering::Greater => {
                return Err(Conflict::AcrossTiers(impls[first].plugin.clone(), impls[second].plugin.clone()));
            }
        }
    }
    let mut placed = Vec::with_capacity(line.len());
    while let Some(&front) = line.first() {
        let free = line.iter().position(|at| waits[*at].iter().all(|first| placed.contains(first)));
        match free {
            Some(free) => placed.push(line.remove(free)),
            None => return Err(Conflict::Cycle(cycle(impls, front, &waits, &placed))),
        }
    }
    Ok(placed)
}

/// A wrapper is outside: no other impl can come before it.
pub(crate) fn check_sections(wrappers: &[Entry], others: &[Entry]) -> Result<(), Conflict> {
    for wrapper in wrappers {
        for inner in others.iter().filter(|inner| inner.plugin != wrapper.plugin) {
            if wrapper.after.contains(&inner.plugin) || inner.before.contains(&wrapper.plugin) {
                return Err(Conflict::AcrossTiers(inner.plugin.clone(), wrapper.plugin.clone()));
            }
        }
    }
    Ok(())
}

/// Pairs of positions: the first must run before the second. A plugin that is absent constrains nothing.
fn constraints(impls: &[Entry]) -> Vec<(usize, usize)> {
    let of = |name: &str| -> Vec<usize> { (0..impls.len()).filter(|at| impls[*at].plugin == name).collect() };
    let mut pairs = Vec::new();
    for (at, entry) in impls.iter().enumerate() {
        pairs.extend(entry.before.iter().flat_map(|name| of(name)).map(|other| (at, other)));
        pairs.extend(entry.after.iter().flat_map(|name| of(name)).map(|other| (other, at)));
    }
    pairs
}

/// The plugins of one cycle, each of which must run before the next.
fn cycle(impls: &[Entry], start: usize, waits: &[Vec<usize>], placed: &[usize]) -> Vec<String> {
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
