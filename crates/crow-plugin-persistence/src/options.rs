//! The configuration, `[plugins.persistence]`.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crow_acp::Config;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::error::StoreError;
use crate::location::Location;
use crate::postgres::Server;

/// `[plugins.persistence]`: where sessions are kept, how eagerly they are written, and for how long.
///
/// ```
/// let options = crow_plugin_persistence::Options::default();
/// assert_eq!(options.location("/home/ada/.crow".as_ref()).to_string(), "/home/ada/.crow/crow.db");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Options {
    /// The database file. A relative path starts at `CROW_HOME`.
    #[serde(deserialize_with = "file")]
    pub path: PathBuf,
    /// A PostgreSQL database to use instead of a file.
    pub url: Option<Server>,
    /// Events that wait are written when there are so many.
    pub flush_events: NonZeroUsize,
    /// Events that wait are written after so many milliseconds at the latest; a minute at most.
    #[serde(deserialize_with = "a_minute_at_most")]
    pub flush_interval_ms: u64,
    /// How many milliseconds to wait for another process that is writing; a minute at most.
    #[serde(deserialize_with = "a_minute_at_most")]
    pub busy_timeout_ms: u64,
    /// Sessions that nothing happened to for so many days are dropped when an agent starts. Not set: never.
    pub retention_days: Option<NonZeroU32>,
    /// Whether messages are indexed for full-text search, when the agent has nothing else to do.
    pub search: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            path: PathBuf::from("crow.db"),
            url: None,
            flush_events: NonZeroUsize::MIN.saturating_add(49),
            flush_interval_ms: 200,
            busy_timeout_ms: 2_000,
            retention_days: None,
            search: true,
        }
    }
}

impl Options {
    /// What the configuration says.
    ///
    /// # Errors
    /// [`StoreError::Configuration`]: an unknown key or a wrong value, with its place.
    pub fn of(config: &Config) -> Result<Self, StoreError> {
        config.plugin("persistence").map_err(|error| StoreError::Configuration(error.to_string()))
    }

    /// Where the store is, for a given `CROW_HOME`.
    pub fn location(&self, home: &Path) -> Location {
        match &self.url {
            Some(server) => Location::Server(server.clone()),
            None => Location::File(home.join(&self.path)),
        }
    }

    pub(crate) fn flush_interval(&self) -> Duration {
        Duration::from_millis(self.flush_interval_ms)
    }

    pub(crate) fn busy_timeout(&self) -> Duration {
        Duration::from_millis(self.busy_timeout_ms)
    }

    pub(crate) fn retention(&self) -> Option<Duration> {
        self.retention_days.map(|days| Duration::from_hours(u64::from(days.get()) * 24))
    }
}

fn file<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let path = String::deserialize(deserializer)?;
    if path.is_empty() || path.contains("://") {
        return Err(D::Error::custom(
            "expected the path of a SQLite file, for example \"crow.db\"; a PostgreSQL database goes with `url`",
        ));
    }
    Ok(path.into())
}

fn a_minute_at_most<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let milliseconds = u64::deserialize(deserializer)?;
    if milliseconds > 60_000 {
        return Err(D::Error::custom("expected a number of milliseconds, 60000 at most"));
    }
    Ok(milliseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(toml: &str) -> Result<Options, StoreError> {
        let text = format!("[plugins.persistence]\n{toml}\n");
        Options::of(&Config::from_toml("/home/ada/.crow", &text).unwrap())
    }

    #[test]
    fn every_key_is_read() {
        let options = parse(
            "path = \"/data/x.db\"\nflush_events = 7\nflush_interval_ms = 8\nbusy_timeout_ms = 9\n\
             retention_days = 10\nsearch = false",
        )
        .unwrap();
        assert_eq!(options.location("/home/ada/.crow".as_ref()), Location::File("/data/x.db".into()));
        assert_eq!(options.flush_events.get(), 7);
        assert_eq!(options.flush_interval(), Duration::from_millis(8));
        assert_eq!(options.busy_timeout(), Duration::from_millis(9));
        assert_eq!(options.retention(), Some(Duration::from_hours(240)));
        assert!(!options.search);
        assert_eq!(parse("").unwrap(), Options::default());
        let options = parse("url = \"postgresql://ada:secret@h/crow\"").unwrap();
        assert_eq!(options.location("/home/ada/.crow".as_ref()).to_string(), "postgresql://h/crow");
        assert!(!format!("{options:?}").contains("secret"));
    }

    #[test]
    fn wrong_values_are_refused_with_their_line() {
        for wrong in [
            "path = \"\"",
            "path = \"postgres://localhost/crow\"",
            "url = \"crow.db\"",
            "url = \"postgresql://ada:secret@h/crow?sslmode=x\"",
            "flush_events = 0",
            "flush_interval_ms = 60001",
            "busy_timeout_ms = -1",
            "retention_days = 0",
            "search = 1",
            "flush_event = 1",
        ] {
            let error = parse(wrong).expect_err(wrong).to_string();
            assert!(error.contains("config.toml:2: ") && !error.contains("secret"), "{wrong}: {error}");
        }
    }
}
