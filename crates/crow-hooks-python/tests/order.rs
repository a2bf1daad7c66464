//! The order of hookimpls in Python is that of the Rust engine: the same random plugins, registered in both.
//!
//! (That the engine's order is pluggy's is tested there, against pluggy itself.)
#![forbid(unsafe_code)]

#[path = "../src/settle.rs"]
mod settle;

use crow_hooks::{Closures, PluginManager, hookspecs};
use settle::{Entry, call_order, check_sections};

/// The hook.
#[hookspecs(project = "order")]
pub trait Hooks {
    /// Everybody gives a name.
    fn names() -> String;
}

/// A small generator of numbers, so that a failure can be repeated.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn plugins(&mut self) -> Vec<String> {
        let count = self.below(5).saturating_sub(2);
        (0..count).map(|_| format!("p{}", self.below(8))).collect()
    }
}

fn closures(entry: &Entry) -> Closures<dyn Hooks> {
    let mut on = Closures::new(entry.plugin.clone()).on(Names);
    on = match entry.tier {
        0 => on.tryfirst(),
        1 => on,
        _ => on.trylast(),
    };
    on = entry.before.iter().fold(on, |on, plugin| on.before(plugin.clone()));
    on = entry.after.iter().fold(on, |on, plugin| on.after(plugin.clone()));
    let name = entry.plugin.clone();
    on.sync(move |_| name.clone())
}

#[test]
fn as_the_engine_has_it() {
    let (mut refused, mut moved) = (0, 0);
    for seed in 0..2_000 {
        let mut numbers = Numbers(seed);
        let engine = PluginManager::<dyn Hooks>::new();
        let mut entries: Vec<Entry> = Vec::new();
        for seq in 0..8 {
            let tier = numbers.below(3) as u8;
            let (before, after) = (numbers.plugins(), numbers.plugins());
            let entry = Entry { plugin: format!("p{seq}"), tier, seq, before, after };
            let registered = engine.register(closures(&entry)).is_ok();
            entries.push(entry);
            let order = call_order(&entries);
            assert_eq!(registered, order.is_ok(), "seed {seed}: {entries:?}");
            if order.is_err() {
                entries.pop();
                refused += 1;
            }
        }
        let order = call_order(&entries).expect("every step was possible");
        let ours: Vec<String> = order.iter().map(|at| entries[*at].plugin.clone()).collect();
        assert_eq!(engine.hooks().names().expect("nobody fails"), ours, "seed {seed}: {entries:?}");
        let free: Vec<Entry> =
            entries.iter().map(|each| Entry { before: vec![], after: vec![], ..each.clone() }).collect();
        moved += u32::from(call_order(&free).expect("nothing to refuse") != order);
    }
    // The comparison is worth something only if there was something to compare.
    assert!(refused > 500 && moved > 500, "{refused} refused, {moved} moved");
}

#[test]
fn wrappers_are_a_section_of_their_own() {
    let entry = |plugin: &str, after: &[&str]| Entry {
        plugin: plugin.to_owned(),
        tier: 1,
        after: after.iter().map(|name| (*name).to_owned()).collect(),
        ..Entry::default()
    };
    assert!(check_sections(&[entry("wrapper", &["inner"])], &[entry("inner", &[])]).is_err());
    assert!(check_sections(&[entry("wrapper", &[])], &[entry("inner", &["wrapper"])]).is_ok());
}
