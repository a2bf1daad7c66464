//! `[plugins.tools]` of the configuration.

use std::time::Duration;

use crow_acp::{Config, ConfigError};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// What can be configured. All sizes are bytes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// Tools that are not offered.
    pub(crate) disabled: Vec<ToolName>,
    /// The shell of `terminal`, with arguments if need be; `bash`, or else `sh`, unless said otherwise.
    #[serde(deserialize_with = "words")]
    pub(crate) shell: Option<Vec<String>>,
    /// Where commands run.
    pub(crate) terminal: TerminalOwner,
    /// How long a command may run unless the model asks for another limit.
    #[serde(deserialize_with = "some")]
    pub(crate) timeout_seconds: u64,
    /// The longest limit the model may ask for.
    #[serde(deserialize_with = "some")]
    pub(crate) max_timeout_seconds: u64,
    /// How much of an output the model reads.
    #[serde(deserialize_with = "readable")]
    pub(crate) output_limit: usize,
    /// For how many days the full text of long outputs is kept.
    pub(crate) keep_outputs_days: u64,
    /// The largest file that is read or edited.
    #[serde(deserialize_with = "some")]
    pub(crate) max_file_bytes: u64,
    /// How many lines `read` gives at once.
    #[serde(deserialize_with = "some")]
    pub(crate) read_lines: usize,
    /// How many results `list`, `glob` and `grep` give.
    #[serde(deserialize_with = "some")]
    pub(crate) max_results: usize,
    /// How long `list`, `glob` and `grep` may take.
    #[serde(deserialize_with = "some")]
    pub(crate) search_timeout_seconds: u64,
    /// How long `fetch` may take.
    #[serde(deserialize_with = "some")]
    pub(crate) fetch_timeout_seconds: u64,
    /// The largest page that `fetch` gets.
    #[serde(deserialize_with = "some")]
    pub(crate) fetch_max_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            disabled: Vec::new(),
            shell: None,
            terminal: TerminalOwner::Own,
            timeout_seconds: 120,
            max_timeout_seconds: 3600,
            output_limit: 30_000,
            keep_outputs_days: 7,
            max_file_bytes: 10 << 20,
            read_lines: 2000,
            max_results: 200,
            search_timeout_seconds: 30,
            fetch_timeout_seconds: 30,
            fetch_max_bytes: 5 << 20,
        }
    }
}

impl Options {
    /// Reads and checks the section.
    pub(crate) fn read(config: &Config) -> Result<Self, ConfigError> {
        let mut options: Self = config.plugin("tools")?;
        // A longer limit for all is one that the model may ask for, too.
        options.max_timeout_seconds = options.max_timeout_seconds.max(options.timeout_seconds);
        Ok(options)
    }

    pub(crate) fn search_timeout(&self) -> Duration {
        Duration::from_secs(self.search_timeout_seconds)
    }
}

/// A number that is not zero.
fn some<'de, D: Deserializer<'de>, N: Deserialize<'de> + Default + PartialEq>(value: D) -> Result<N, D::Error> {
    let number = N::deserialize(value)?;
    if number == N::default() { Err(D::Error::custom("expected a number above 0")) } else { Ok(number) }
}

/// A number of bytes that leaves something to be read.
fn readable<'de, D: Deserializer<'de>>(value: D) -> Result<usize, D::Error> {
    let bytes = usize::deserialize(value)?;
    if bytes < 1000 { Err(D::Error::custom("expected at least 1000 bytes")) } else { Ok(bytes) }
}

/// A command line of plain words.
fn words<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Vec<String>>, D::Error> {
    let line = String::deserialize(value)?;
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    if words.is_empty() { Err(D::Error::custom("expected a program")) } else { Ok(Some(words)) }
}

/// Where commands run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TerminalOwner {
    /// In a persistent shell on a terminal of our own.
    Own,
    /// Each in a terminal of the client's, if it offers them.
    Client,
}

/// The tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ToolName {
    Read,
    Write,
    Edit,
    List,
    Glob,
    Grep,
    Terminal,
    Fetch,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(section: &str) -> Result<Options, String> {
        let config = Config::from_toml("/nowhere", &format!("[plugins.tools]\n{section}")).unwrap();
        Options::read(&config).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_configured_is_the_default() {
        assert_eq!(Options::read(&Config::from_toml("/nowhere", "").unwrap()).unwrap(), Options::default());
    }

    #[test]
    fn every_key_can_be_set() {
        let all = r#"
            disabled = ["fetch", "terminal"]
            shell = "zsh -f"
            terminal = "client"
            timeout_seconds = 1
            max_timeout_seconds = 2
            output_limit = 3000
            keep_outputs_days = 4
            max_file_bytes = 5
            read_lines = 6
            max_results = 7
            search_timeout_seconds = 8
            fetch_timeout_seconds = 9
            fetch_max_bytes = 10
        "#;
        let expected = Options {
            disabled: vec![ToolName::Fetch, ToolName::Terminal],
            shell: Some(vec!["zsh".into(), "-f".into()]),
            terminal: TerminalOwner::Client,
            timeout_seconds: 1,
            max_timeout_seconds: 2,
            output_limit: 3000,
            keep_outputs_days: 4,
            max_file_bytes: 5,
            read_lines: 6,
            max_results: 7,
            search_timeout_seconds: 8,
            fetch_timeout_seconds: 9,
            fetch_max_bytes: 10,
        };
        assert_eq!(read(all).unwrap(), expected);
    }

    #[test]
    fn mistakes_are_named() {
        let error = read("output_limt = 5").unwrap_err();
        assert!(error.contains("config.toml:2") && error.contains("did you mean `output_limit`"), "{error}");
        assert!(read("disabled = [\"raed\"]").unwrap_err().contains("raed"));
        assert!(read("terminal = \"theirs\"").is_err());
        for section in
            ["timeout_seconds = 0", "output_limit = 10", "shell = \" \"", "max_results = 0", "read_lines = -1"]
        {
            let error = read(section).unwrap_err();
            assert!(error.contains("config.toml:2"), "{section}: {error}");
        }
        assert_eq!(read("timeout_seconds = 9999").unwrap().max_timeout_seconds, 9999);
    }
}
