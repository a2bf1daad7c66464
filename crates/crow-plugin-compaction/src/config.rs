//! `[plugins.compaction]`. Plain numbers, so that a project may set them too.

use crow_acp::{Config, ConfigError, ContextUse, ModelId};
use serde::Deserialize;

/// The configuration.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Tokens of the window that stay free for the answer; the model's own output limit if that is more.
    pub(crate) reserve: u64,
    /// Compact from here on, whatever is free: a share of the window, or tokens if it is more than 1. 1 leaves it to
    /// `reserve`.
    pub(crate) threshold: f64,
    /// The share of the usable window to get down to.
    pub(crate) target: f64,
    /// Tokens at the end of the conversation that stay as they are.
    pub(crate) keep_tokens: u64,
    /// Tokens of the user's own words, the latest first, that stay letter by letter.
    pub(crate) user_tokens: u64,
    /// Most tokens of a summary.
    pub(crate) summary_tokens: u64,
    /// The model that writes summaries, as `PROVIDER/MODEL`; the session's if empty.
    pub(crate) model: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            reserve: 16_000,
            threshold: 1.0,
            target: 0.5,
            keep_tokens: 20_000,
            user_tokens: 10_000,
            summary_tokens: 4_000,
            model: String::new(),
        }
    }
}

impl Settings {
    /// What the configuration says.
    ///
    /// # Errors
    /// An unknown key, or a value that makes no sense, with its place.
    pub(crate) fn of(config: &Config) -> Result<Self, ConfigError> {
        let settings: Self = config.plugin("compaction")?;
        let wrong = |key: &str, what: &str| {
            Err(config.error_at(&format!("plugins.compaction.{key}"), format!("`plugins.compaction.{key}`: {what}")))
        };
        if !(settings.threshold > 0.0 && settings.threshold.is_finite()) {
            return wrong("threshold", "expected a share of the window, or a number of tokens");
        }
        if !(0.1..=0.9).contains(&settings.target) {
            return wrong("target", "expected a share from 0.1 to 0.9");
        }
        match settings.model.parse::<ModelId>() {
            Err(error) if !settings.model.is_empty() => wrong("model", &error.to_string()),
            _ => Ok(settings),
        }
    }

    /// Tokens above which to compact; `None` if the window is not known.
    pub(crate) fn limit(&self, context: &ContextUse) -> Option<u64> {
        let window = context.window?;
        let reserve = self.reserve.max(context.max_output.unwrap_or(0));
        // A model whose output limit is its whole window still gets half of it for reading.
        let usable = window.saturating_sub(reserve).max(window / 2);
        let wanted = if self.threshold > 1.0 { self.threshold } else { window as f64 * self.threshold };
        // A tenth at least: below that, every request would begin with a compaction.
        Some(usable.min((wanted as u64).max(window / 10)))
    }

    /// Tokens that the messages should come to, of `now`.
    pub(crate) fn goal(&self, context: &ContextUse, now: u64) -> u64 {
        let share = self.target.clamp(0.1, 0.9);
        let usable = match self.limit(context) {
            Some(limit) => limit,
            // Only an overflow tells that the window is smaller than what is in use.
            None => context.used.max(now),
        };
        // System prompt and tools are in the context too and do not shrink.
        let fixed = context.used.saturating_sub(now);
        let goal = (usable as f64 * share) as u64;
        goal.saturating_sub(fixed).max(usable / 10).min(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_for_the_answer_stays_free() {
        let settings = Settings::default();
        let context = |window, max_output| ContextUse::new(0, window, max_output, false);
        assert_eq!(settings.limit(&context(Some(128_000), None)), Some(112_000));
        assert_eq!(settings.limit(&context(Some(128_000), Some(32_000))), Some(96_000));
        assert_eq!(settings.limit(&context(Some(32_000), Some(32_000))), Some(16_000));
        assert_eq!(settings.limit(&context(None, None)), None);
        let early = Settings { threshold: 0.5, ..settings };
        assert_eq!(early.limit(&context(Some(128_000), None)), Some(64_000));
        let tokens = Settings { threshold: 50_000.0, ..early };
        assert_eq!(tokens.limit(&context(Some(128_000), None)), Some(50_000));
        assert_eq!(tokens.limit(&context(Some(32_000), None)), Some(16_000), "what does not fit is not waited for");
        let absurd = Settings { threshold: -1.0, ..tokens };
        assert_eq!(absurd.limit(&context(Some(128_000), None)), Some(12_800));
    }

    #[test]
    fn wrong_values_are_refused_with_their_line() {
        let read = |line: &str| {
            let text = format!("[plugins.compaction]\n{line}\n");
            Settings::of(&Config::from_toml("/home/ada/.crow", &text).unwrap())
        };
        assert_eq!(read("model = \"p/m\"").unwrap().model, "p/m");
        for wrong in
            ["model = \"gpt\"", "threshold = 0", "threshold = -1.0", "target = 5.0", "reserve = -1", "reserv = 1"]
        {
            let error = read(wrong).expect_err(wrong).to_string();
            assert!(error.contains("config.toml:2: "), "{wrong}: {error}");
        }
    }

    #[test]
    fn every_key_changes_something() {
        // Keys are fields, and `deny_unknown_fields` makes any other an error; each is read in this crate.
        let text = r#"{ "reserve": 1, "threshold": 0.5, "target": 0.4, "keep_tokens": 2, "user_tokens": 3, "summary_tokens": 4, "model": "p/m" }"#;
        let settings: Settings = serde_json::from_str(text).unwrap();
        assert_ne!(settings, Settings::default());
        assert!(serde_json::from_str::<Settings>(r#"{ "reserv": 1 }"#).is_err());
    }
}
