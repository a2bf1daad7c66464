//! `[plugins.analytics]`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crow_acp::{Config, ConfigError, Price};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// The name of the plugin, and of its table in the configuration.
pub(crate) const NAME: &str = "analytics";

/// What is recorded, where, and for how long; prices; budgets.
///
/// ```
/// let settings = crow_plugin_analytics::Settings::default();
/// assert_eq!(settings.database("/home/ada/.crow".as_ref()), std::path::Path::new("/home/ada/.crow/analytics.db"));
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Settings {
    /// The database file. A relative path starts at `CROW_HOME`.
    #[serde(deserialize_with = "file")]
    pub path: PathBuf,
    /// Whether the time and the errors of every plugin's hooks are measured.
    pub hook_times: bool,
    /// What is older than so many days is dropped; 0 keeps everything.
    pub retention_days: u32,
    /// Prices by `PROVIDER/MODEL`. They go before what the registry and the bundled table say.
    #[serde(deserialize_with = "prices")]
    pub prices: BTreeMap<String, Price>,
    /// What may be used up.
    pub budget: Budgets,
    /// Where to export to. Nothing leaves the machine unless this is set.
    pub otel: Option<Otel>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            path: PathBuf::from("analytics.db"),
            hook_times: true,
            retention_days: 365,
            prices: BTreeMap::new(),
            budget: Budgets::default(),
            otel: None,
        }
    }
}

impl Settings {
    /// What the configuration says.
    ///
    /// # Errors
    /// An unknown key or a wrong value, with its place.
    pub fn of(config: &Config) -> Result<Self, ConfigError> {
        config.plugin(NAME)
    }

    /// The database file, for a given `CROW_HOME`.
    pub fn database(&self, home: &Path) -> PathBuf {
        home.join(&self.path)
    }
}

/// `[plugins.analytics.budget]`: limits of a run, a session and a day.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Budgets {
    /// The share of a limit at which the user is warned.
    #[serde(deserialize_with = "share")]
    pub warn_at: f64,
    /// One prompt with all that follows from it.
    pub run: Limits,
    /// One conversation, over all its runs.
    pub session: Limits,
    /// All sessions of this machine since midnight, local time.
    pub day: Limits,
}

impl Default for Budgets {
    fn default() -> Self {
        Self { warn_at: 0.8, run: Limits::default(), session: Limits::default(), day: Limits::default() }
    }
}

/// What may be used up; what is not set has no limit.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Limits {
    /// US dollars.
    #[serde(deserialize_with = "amount")]
    pub money: Option<f64>,
    /// Tokens read and written, cached ones included.
    pub tokens: Option<u64>,
    /// Requests to a model that carry the conversation on.
    pub turns: Option<u64>,
}

/// `[plugins.analytics.otel]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
#[cfg_attr(not(feature = "otel"), allow(dead_code, reason = "read so that it can be refused with a reason"))]
pub struct Otel {
    /// The address of the collector, for example `http://127.0.0.1:4318`.
    #[serde(deserialize_with = "endpoint")]
    pub(crate) endpoint: String,
    /// Headers of every request, for example an authorization.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, crow_acp::Secret>,
    /// What this agent is called there.
    #[serde(default = "service")]
    pub(crate) service_name: String,
    /// Seconds between two exports.
    #[serde(default = "interval", deserialize_with = "positive")]
    pub(crate) interval_seconds: u64,
}

fn service() -> String {
    "crow".to_owned()
}

fn interval() -> u64 {
    5
}

fn file<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let path = String::deserialize(deserializer)?;
    if path.is_empty() || path.contains("://") {
        return Err(D::Error::custom("expected the path of a SQLite file, for example \"analytics.db\""));
    }
    Ok(path.into())
}

fn prices<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Price>, D::Error> {
    let prices = BTreeMap::<String, Price>::deserialize(deserializer)?;
    for (model, price) in &prices {
        if !model.contains('/') {
            return Err(D::Error::custom("expected names of the form \"PROVIDER/MODEL\""));
        }
        let all = [Some(price.input), price.cached_input, Some(price.output)];
        if !all.into_iter().flatten().all(|price| price.is_finite() && price >= 0.0) {
            return Err(D::Error::custom("expected prices of 0 or more US dollars for a million tokens"));
        }
    }
    Ok(prices)
}

fn amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let amount = f64::deserialize(deserializer)?;
    if amount.is_finite() && amount >= 0.0 {
        return Ok(Some(amount));
    }
    Err(D::Error::custom("expected 0 or more US dollars"))
}

fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let share = f64::deserialize(deserializer)?;
    if share > 0.0 && share <= 1.0 { Ok(share) } else { Err(D::Error::custom("expected a number above 0, at most 1")) }
}

fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = u64::deserialize(deserializer)?;
    if number == 0 { Err(D::Error::custom("expected 1 second or more")) } else { Ok(number) }
}

fn endpoint<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let address = String::deserialize(deserializer)?;
    if address.starts_with("http://") || address.starts_with("https://") {
        return Ok(address.trim_end_matches('/').to_owned());
    }
    Err(D::Error::custom("expected the address of a collector, for example \"http://127.0.0.1:4318\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(toml: &str) -> Result<Settings, String> {
        let text = format!("[plugins.analytics]\n{toml}\n");
        Settings::of(&Config::from_toml("/home/ada/.crow", &text).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn every_key_is_read() {
        let settings = parse(
            r#"
            path = "/data/x.db"
            hook_times = false
            retention_days = 7
            prices = { "a/b" = { input = 1.0, cached_input = 0.5, output = 2 } }
            [plugins.analytics.budget]
            warn_at = 0.5
            run = { turns = 1 }
            session = { tokens = 2, money = 3 }
            day = { money = 0.25 }
            [plugins.analytics.otel]
            endpoint = "http://127.0.0.1:4318/"
            headers = { x = "y" }
            service_name = "me"
            interval_seconds = 9
            "#,
        )
        .unwrap();
        assert_eq!(settings.database("/home/ada/.crow".as_ref()), Path::new("/data/x.db"));
        assert!(!settings.hook_times);
        assert_eq!(settings.retention_days, 7);
        assert_eq!(settings.prices["a/b"], Price { input: 1.0, cached_input: Some(0.5), output: 2.0 });
        let budget = settings.budget;
        assert_eq!((budget.warn_at, budget.run.turns, budget.day.money), (0.5, Some(1), Some(0.25)));
        assert_eq!((budget.session.tokens, budget.session.money), (Some(2), Some(3.0)));
        let otel = settings.otel.unwrap();
        assert_eq!((otel.endpoint.as_str(), otel.service_name.as_str()), ("http://127.0.0.1:4318", "me"));
        assert_eq!((otel.headers["x"].expose(), otel.interval_seconds), ("y", 9));
        assert_eq!(parse("").unwrap(), Settings::default());
    }

    #[test]
    fn wrong_values_are_refused_with_their_line() {
        for wrong in [
            "path = \"\"",
            "hook_times = 1",
            "retention_days = -1",
            "prices = { gpt = { input = 1, output = 1 } }",
            "prices = { \"a/b\" = { input = -1, output = 1 } }",
            "budget = { warn_at = 2 }",
            "budget = { day = { money = -1 } }",
            "budget = { week = { money = 1 } }",
            "budget = { day = { monye = 1 } }",
            "otel = { endpoint = \"127.0.0.1:4318\" }",
            "otel = { endpoint = \"http://h\", interval_seconds = 0 }",
            "otel = {}",
            "hook_time = true",
        ] {
            let error = parse(wrong).expect_err(wrong);
            assert!(error.contains("config.toml:2"), "{wrong}: {error}");
        }
    }
}
