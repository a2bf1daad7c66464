//! What was recorded, added up: the figures that `crow stats` prints, draws and exports.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

/// Everything that a [`Query`](crate::Query) asks for. As JSON it is what `crow stats --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
#[non_exhaustive]
pub struct Report {
    /// The first day, `YYYY-MM-DD` in local time; `None` if nothing was recorded.
    pub first_day: Option<String>,
    /// Today, in the same form.
    pub last_day: String,
    /// All of it together.
    pub total: Figures,
    /// Day by day, without gaps, the oldest first.
    pub by_day: Vec<Group>,
    /// By model, the one with the most tokens first.
    pub by_model: Vec<Group>,
    /// By project directory, the one with the most tokens first.
    pub by_project: Vec<Group>,
    /// By tool, the one that was called most first.
    pub tools: Vec<ToolUse>,
    /// By plugin, the one that took most time of its own first. Empty for one session or project: hook times are kept by
    /// day.
    pub plugins: Vec<PluginTime>,
    /// By plugin and hook, what took most time first.
    pub hooks: Vec<HookTime>,
    /// How runs ended, by ACP's stop reason or `error`.
    pub ends: BTreeMap<String, u64>,
    /// Failed requests, by what went wrong.
    pub errors: BTreeMap<String, u64>,
}

/// One row of a breakdown.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
#[non_exhaustive]
pub struct Group {
    /// The day, model or project.
    pub name: String,
    /// Its figures.
    #[serde(flatten)]
    pub figures: Figures,
}

/// Figures of a day, a model, a project, or of everything.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
#[non_exhaustive]
pub struct Figures {
    /// Prompts that were answered; not counted by model.
    pub runs: u64,
    /// Requests to models, failed ones included.
    pub requests: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests that put an earlier one again.
    pub retries: u64,
    /// Tokens read, cached ones included.
    pub input_tokens: u64,
    /// Of those, the ones the provider had cached.
    pub cached_input_tokens: u64,
    /// Tokens written, reasoning included.
    pub output_tokens: u64,
    /// Of those, the ones of reasoning.
    pub reasoning_tokens: u64,
    /// Requests whose tokens are an estimate, because the provider did not tell.
    pub estimated: u64,
    /// US dollars, as far as prices are known; `None`: no price is known.
    pub cost: Option<f64>,
    /// Requests whose price is not known.
    pub unpriced: u64,
    /// Median time to the first token, in milliseconds.
    pub first_token_ms: Option<f64>,
    /// Tokens written for each second from the first to the last.
    pub tokens_per_second: Option<f64>,
    /// Tool calls; not counted by model.
    pub tool_calls: u64,
    /// Tool calls that failed, were denied or cancelled.
    pub tool_failures: u64,
    /// Compactions; not counted by model.
    pub compactions: u64,
}

impl Figures {
    /// Tokens read and written.
    pub fn tokens(&self) -> u64 {
        self.input_tokens + self.output_tokens
    }

    /// The cost in words, honest about what is not known.
    pub fn cost_in_words(&self) -> String {
        match (self.cost, self.unpriced) {
            (None, 0) => crate::dollars(0.0),
            (None, _) => "unknown".to_owned(),
            (Some(cost), 0) => crate::dollars(cost),
            (Some(cost), _) => format!("{} + unknown", crate::dollars(cost)),
        }
    }
}

/// How often a tool was called, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
#[non_exhaustive]
pub struct ToolUse {
    /// Its name.
    pub tool: String,
    /// Calls.
    pub calls: u64,
    /// Calls that worked.
    pub completed: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Calls that were denied or could not be made.
    pub denied: u64,
    /// Calls that the user cancelled.
    pub cancelled: u64,
    /// Mean time of a call, in milliseconds.
    pub mean_ms: Option<f64>,
    /// The longest, in milliseconds.
    pub longest_ms: Option<f64>,
}

/// What a plugin took.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
#[non_exhaustive]
pub struct PluginTime {
    /// Its name.
    pub plugin: String,
    /// Calls of its hooks.
    pub calls: u64,
    /// Calls that failed or refused.
    pub errors: u64,
    /// Milliseconds in its hooks.
    pub own_ms: f64,
    /// Milliseconds in hooks that wait for others: a model, a tool, a command, the user.
    pub waiting_ms: f64,
    /// The longest single call that did not wait for others, in milliseconds.
    pub longest_ms: f64,
}

/// What a plugin's impl of a hook took.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
#[non_exhaustive]
pub struct HookTime {
    /// The plugin.
    pub plugin: String,
    /// The hook.
    pub hook: String,
    /// It wraps others, whose time is included.
    pub wrapper: bool,
    /// The hook waits for others: a model, a tool, a command, the user.
    pub waits: bool,
    /// Calls.
    pub calls: u64,
    /// Calls that failed or refused.
    pub errors: u64,
    /// Milliseconds in all.
    pub total_ms: f64,
    /// The longest, in milliseconds.
    pub longest_ms: f64,
}

impl HookTime {
    /// Mean time of a call.
    pub fn mean(&self) -> Duration {
        Duration::from_secs_f64(self.total_ms / 1e3 / self.calls.max(1) as f64)
    }
}

impl Report {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.total == Figures::default() && self.hooks.is_empty()
    }

    /// What plugins took, from what their hooks did.
    pub(crate) fn add_up_plugins(&mut self) {
        let mut plugins: BTreeMap<&str, PluginTime> = BTreeMap::new();
        for hook in &self.hooks {
            let plugin = plugins.entry(&hook.plugin).or_default();
            plugin.plugin.clone_from(&hook.plugin);
            plugin.calls += hook.calls;
            plugin.errors += hook.errors;
            match (hook.wrapper, hook.waits) {
                // What it wraps is somebody else's.
                (true, _) => {}
                (false, true) => plugin.waiting_ms += hook.total_ms,
                (false, false) => {
                    plugin.own_ms += hook.total_ms;
                    plugin.longest_ms = plugin.longest_ms.max(hook.longest_ms);
                }
            }
        }
        self.plugins = plugins.into_values().collect();
        self.plugins.sort_by(|a, b| b.own_ms.total_cmp(&a.own_ms));
    }
}

/// Figures while they are being added up.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    pub(crate) figures: Figures,
    firsts: Vec<u32>,
    written: u64,
    writing_us: u64,
}

/// A request as the database has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) attempt: u32,
    pub(crate) tokens: [u64; 4],
    pub(crate) estimated: bool,
    pub(crate) cost: Option<f64>,
    pub(crate) first_us: Option<u64>,
    pub(crate) took_us: u64,
    pub(crate) failed: bool,
}

impl Gather {
    pub(crate) fn add(&mut self, asked: &Asked) {
        let figures = &mut self.figures;
        figures.requests += 1;
        figures.failed += u64::from(asked.failed);
        figures.retries += u64::from(asked.attempt > 1);
        let [input, cached, output, reasoning] = asked.tokens;
        figures.input_tokens += input;
        figures.cached_input_tokens += cached;
        figures.output_tokens += output;
        figures.reasoning_tokens += reasoning;
        figures.estimated += u64::from(asked.estimated);
        match asked.cost {
            // What failed before anything came is free whatever the price is, and says nothing about it.
            Some(cost) if cost > 0.0 || input + output > 0 => *figures.cost.get_or_insert(0.0) += cost,
            Some(_) => {}
            None => figures.unpriced += 1,
        }
        if let Some(first) = asked.first_us {
            self.firsts.push(first.min(u64::from(u32::MAX)) as u32);
            // Answers that come in one piece have no speed.
            if asked.took_us.saturating_sub(first) >= 1_000 && !asked.failed {
                self.written += output;
                self.writing_us += asked.took_us - first;
            }
        }
    }

    pub(crate) fn finish(mut self) -> Figures {
        if !self.firsts.is_empty() {
            let middle = self.firsts.len() / 2;
            let (_, median, _) = self.firsts.select_nth_unstable(middle);
            self.figures.first_token_ms = Some(f64::from(*median) / 1e3);
        }
        if self.writing_us > 0 && self.written > 0 {
            self.figures.tokens_per_second = Some(self.written as f64 * 1e6 / self.writing_us as f64);
        }
        self.figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(cost: Option<f64>, first_us: Option<u64>, took_us: u64) -> Asked {
        Asked { attempt: 1, tokens: [10, 4, 5, 2], estimated: false, cost, first_us, took_us, failed: false }
    }

    #[test]
    fn an_unknown_price_is_said_to_be_unknown() {
        let words = |all: &[Asked]| {
            let mut gather = Gather::default();
            for one in all {
                gather.add(one);
            }
            gather.finish().cost_in_words()
        };
        assert_eq!(words(&[]), "$0.00");
        assert_eq!(words(&[asked(None, None, 1)]), "unknown");
        assert_eq!(words(&[asked(Some(0.5), None, 1), asked(Some(0.25), None, 1)]), "$0.75");
        assert_eq!(words(&[asked(Some(0.5), None, 1), asked(None, None, 1)]), "$0.50 + unknown");
        let free = Asked { tokens: [0; 4], failed: true, ..asked(Some(0.0), None, 1) };
        assert_eq!(words(&[free, asked(None, None, 1)]), "unknown", "a failure tells no price");
    }

    #[test]
    fn speed_is_measured_from_the_first_token_on() {
        let mut gather = Gather::default();
        gather.add(&asked(None, Some(100_000), 1_100_000));
        gather.add(&asked(None, Some(300_000), 300_000));
        gather.add(&asked(None, Some(200_000), 1_200_000));
        let figures = gather.finish();
        assert_eq!(figures.first_token_ms, Some(200.0));
        assert_eq!(figures.tokens_per_second, Some(5.0));
        assert_eq!((figures.tokens(), figures.cached_input_tokens, figures.reasoning_tokens), (45, 12, 6));
    }

    #[test]
    fn waiting_for_others_is_not_a_plugins_own_time() {
        let hook = |plugin: &str, wrapper, waits, total_ms| HookTime {
            plugin: plugin.into(),
            wrapper,
            waits,
            calls: 1,
            total_ms,
            longest_ms: total_ms,
            ..HookTime::default()
        };
        let mut report = Report {
            hooks: vec![hook("a", false, false, 1.0), hook("a", false, true, 500.0), hook("b", true, true, 501.0)],
            ..Report::default()
        };
        report.add_up_plugins();
        let times: Vec<(f64, f64)> = report.plugins.iter().map(|plugin| (plugin.own_ms, plugin.waiting_ms)).collect();
        assert_eq!(times, [(1.0, 500.0), (0.0, 0.0)]);
    }
}
