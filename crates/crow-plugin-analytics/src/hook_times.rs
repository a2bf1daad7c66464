//! What each plugin's hooks take: a monitor that adds up.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crow_acp::crow_hooks::{ImplInfo, ImplOutcome, Monitor, PluginName};

use crate::record::HookTally;

/// Adds up the time and the errors of every impl. One short lock and one look into a small map for each.
#[derive(Debug, Default)]
pub(crate) struct HookTimes(Mutex<HashMap<Key, HookTally>>);

/// Where the names stand in memory: cheaper to compare than the names. The value keeps the plugin's name alive, so that
/// nothing else can stand in its place.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    plugin: usize,
    hook: usize,
    wrapper: bool,
}

impl HookTimes {
    /// What has added up since the last time.
    pub(crate) fn take(&self) -> Vec<HookTally> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_values().collect()
    }

    fn add(&self, plugin: &PluginName, hook: &'static str, wrapper: bool, failed: bool, took: Duration) {
        let key = Key { plugin: plugin.as_ptr() as usize, hook: hook.as_ptr() as usize, wrapper };
        let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = tallies.entry(key).or_insert_with(|| HookTally {
            plugin: plugin.clone(),
            hook,
            wrapper,
            calls: 0,
            errors: 0,
            total: Duration::ZERO,
            longest: Duration::ZERO,
        });
        tally.calls += 1;
        tally.errors += u64::from(failed);
        tally.total += took;
        tally.longest = tally.longest.max(took);
    }
}

impl Monitor for HookTimes {
    fn watches_calls(&self) -> bool {
        false
    }

    fn impl_finished(&self, which: &ImplInfo, outcome: ImplOutcome<'_>, took: Duration) {
        // A wrapper hands on the errors of what it wraps.
        let failed = matches!(outcome, ImplOutcome::Failed(error) if error.plugin() == &*which.plugin);
        self.add(&which.plugin, which.hook, which.wrapper, failed, took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_add_up_by_plugin_and_hook_and_are_taken_once() {
        let times = HookTimes::default();
        let plugin: PluginName = "p".into();
        let ms = Duration::from_millis;
        times.add(&plugin, "after_turn", false, false, ms(2));
        times.add(&plugin, "after_turn", false, true, ms(5));
        times.add(&plugin, "after_turn", true, false, ms(9));
        times.add(&"q".into(), "after_turn", false, false, ms(1));
        let mut taken = times.take();
        taken.sort_by_key(|tally| (tally.plugin.clone(), tally.wrapper));
        assert_eq!(taken.len(), 3);
        assert_eq!((taken[0].calls, taken[0].errors, taken[0].total, taken[0].longest), (2, 1, ms(7), ms(5)));
        assert!(taken[1].wrapper);
        assert!(times.take().is_empty());
    }
}
