//! `[plugins.tools]` of the configuration.

use std::time::Duration;

use crow_acp::{Config, ConfigError};
use serde::Deserialize;

/// What can be configured. All sizes are bytes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// Tools that are not offered.
    pub(crate) disabled: Vec<ToolName>,
    /// The shell of `terminal`, with arguments if need be; `bash`, or else `sh`, unless said otherwise.
    pub(crate) shell: Option<String>,
    /// Where commands run.
    pub(crate) terminal: TerminalOwner,
    /// How long a command may run unless the model asks for another limit.
    pub(crate) timeout_seconds: u64,
    /// The longest limit the model may ask for.
    pub(crate) max_timeout_seconds: u64,
    /// How much of an output the model reads.
    pub(crate) output_limit: usize,
    /// For how many days the full text of long outputs is kept.
    pub(crate) keep_outputs_days: u64,
    /// The largest file that is read or edited.
    pub(crate) max_file_bytes: u64,
    /// How many lines `read` gives at once.
    pub(crate) read_lines: usize,
    /// How many results `list`, `glob` and `grep` give.
    pub(crate) max_results: usize,
    /// How long `list`, `glob` and `grep` may take.
    pub(crate) search_timeout_seconds: u64,
    /// How long `fetch` may take.
    pub(crate) fetch_timeout_seconds: u64,
    /// The largest page that `fetch` gets.
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
        let options: Self = config.plugin("tools")?;
        let too_small = [
            ("timeout_seconds", options.timeout_seconds == 0),
            ("max_timeout_seconds", options.max_timeout_seconds < options.timeout_seconds),
            ("output_limit", options.output_limit < 1000),
            ("max_file_bytes", options.max_file_bytes == 0),
            ("read_lines", options.read_lines == 0),
            ("max_results", options.max_results == 0),
            ("search_timeout_seconds", options.search_timeout_seconds == 0),
            ("fetch_timeout_seconds", options.fetch_timeout_seconds == 0),
            ("fetch_max_bytes", options.fetch_max_bytes == 0),
        ];
        if let Some((key, _)) = too_small.into_iter().find(|(_, is_too_small)| *is_too_small) {
            return Err(ConfigError::new(format!("`plugins.tools.{key}` is too small")));
        }
        if options.shell.as_ref().is_some_and(|shell| shell.split_whitespace().next().is_none()) {
            return Err(ConfigError::new("`plugins.tools.shell` is empty"));
        }
        Ok(options)
    }

    pub(crate) fn search_timeout(&self) -> Duration {
        Duration::from_secs(self.search_timeout_seconds)
    }
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
            shell: Some("zsh -f".into()),
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
            ["timeout_seconds = 0", "output_limit = 10", "timeout_seconds = 9999", "shell = \" \"", "max_results = 0"]
        {
            assert!(read(section).unwrap_err().contains("`plugins.tools."), "{section}");
        }
    }
}
