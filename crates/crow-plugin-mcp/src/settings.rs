//! `[plugins.mcp]` of the configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crow_acp::{Config, ConfigError, Secret};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// The section's name.
pub(crate) const PLUGIN: &str = "mcp";

/// The longest that a prompt may wait, in seconds: the hook that waits has ten.
const LONGEST_WAIT: u64 = 8;

/// What can be configured.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// The user's own servers, and what the user says of servers that the client brings.
    pub(crate) servers: BTreeMap<String, Server>,
    /// How long a server may take to start and to list what it has.
    #[serde(deserialize_with = "some")]
    pub(crate) connect_timeout_seconds: u64,
    /// How long a prompt waits for servers that are still starting.
    #[serde(deserialize_with = "short")]
    pub(crate) wait_seconds: u64,
    /// How long a call may be silent: progress counts as life.
    #[serde(deserialize_with = "some")]
    pub(crate) call_timeout_seconds: u64,
    /// How many bytes of a result the model reads.
    #[serde(deserialize_with = "readable")]
    pub(crate) output_limit: usize,
    /// How many tools of one server are used.
    #[serde(deserialize_with = "few")]
    pub(crate) max_tools: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            servers: BTreeMap::new(),
            connect_timeout_seconds: 30,
            wait_seconds: 5,
            call_timeout_seconds: 600,
            output_limit: 30_000,
            max_tools: 200,
        }
    }
}

/// One server: a program, an address, or only rules for a server of that name which the client brings.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    /// The program.
    pub(crate) command: Option<String>,
    /// Its arguments.
    pub(crate) args: Vec<Given>,
    /// Variables to set for it.
    pub(crate) env: BTreeMap<String, Given>,
    /// Where it runs; the session's directory unless said otherwise. Relative paths start at `CROW_HOME`.
    pub(crate) cwd: Option<PathBuf>,
    /// The address.
    pub(crate) url: Option<Given>,
    /// Headers of each request.
    pub(crate) headers: BTreeMap<String, Given>,
    /// Not used, wherever it comes from.
    pub(crate) disabled: bool,
    /// The only tools that are used, if set.
    pub(crate) tools: Option<Vec<String>>,
    /// Tools that change nothing, by the user's word.
    pub(crate) read_only: Vec<String>,
    /// Instead of the plugin's `call_timeout_seconds`.
    #[serde(deserialize_with = "some_if_given")]
    pub(crate) call_timeout_seconds: Option<u64>,
}

/// A text that may name a variable which is not set. That is told when the server is wanted: another one's missing key
/// is no reason not to start.
#[derive(Debug, Clone)]
pub(crate) enum Given {
    Value(Secret),
    Missing(String),
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(String::deserialize(deserializer)
            .map_or_else(|error| Self::Missing(error.to_string()), |text| Self::Value(Secret::new(text))))
    }
}

impl Given {
    /// The value, or why there is none.
    pub(crate) fn value(&self) -> Result<&Secret, String> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Missing(why) => Err(why.clone()),
        }
    }
}

impl Settings {
    /// Reads and checks the section.
    pub(crate) fn read(config: &Config) -> Result<Self, ConfigError> {
        let settings: Self = config.plugin(PLUGIN)?;
        for (name, server) in &settings.servers {
            let wrong = |key: &str, what: &str| {
                let place = format!("plugins.{PLUGIN}.servers.\"{name}\".{key}");
                config.error_at(&place, format!("`plugins.{PLUGIN}.servers.{name}`: {what}"))
            };
            match (&server.command, &server.url) {
                (Some(_), Some(_)) => return Err(wrong("url", "a server has a `command` or a `url`, not both")),
                (None, _) if !server.args.is_empty() => return Err(wrong("args", "`args` need a `command`")),
                (None, _) if !server.env.is_empty() => return Err(wrong("env", "`env` needs a `command`")),
                (None, _) if server.cwd.is_some() => return Err(wrong("cwd", "`cwd` needs a `command`")),
                (_, None) if !server.headers.is_empty() => return Err(wrong("headers", "`headers` need a `url`")),
                (Some(command), None) if command.trim().is_empty() => {
                    return Err(wrong("command", "the `command` is empty"));
                }
                (None, Some(Given::Value(url))) if !is_address(url.expose()) => {
                    return Err(wrong("url", "the `url` is none: expected http://… or https://…"));
                }
                _ => {}
            }
        }
        Ok(settings)
    }

    /// What the user says of the server `name`, if anything.
    pub(crate) fn server(&self, name: &str) -> Option<&Server> {
        self.servers.get(name)
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_secs(self.connect_timeout_seconds)
    }

    pub(crate) fn wait(&self) -> Duration {
        Duration::from_secs(self.wait_seconds)
    }

    /// How long a call of a tool of `server` may be silent.
    pub(crate) fn call_timeout(&self, server: Option<&Server>) -> Duration {
        let own = server.and_then(|server| server.call_timeout_seconds);
        Duration::from_secs(own.unwrap_or(self.call_timeout_seconds))
    }
}

/// Whether `text` is the address of something that speaks HTTP.
pub(crate) fn is_address(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

fn some<'de, D: Deserializer<'de>>(value: D) -> Result<u64, D::Error> {
    match u64::deserialize(value)? {
        0 => Err(D::Error::custom("expected a number above 0")),
        number => Ok(number),
    }
}

fn some_if_given<'de, D: Deserializer<'de>>(value: D) -> Result<Option<u64>, D::Error> {
    some(value).map(Some)
}

fn short<'de, D: Deserializer<'de>>(value: D) -> Result<u64, D::Error> {
    match u64::deserialize(value)? {
        seconds @ 0..=LONGEST_WAIT => Ok(seconds),
        _ => Err(D::Error::custom(format!("expected at most {LONGEST_WAIT} seconds"))),
    }
}

fn readable<'de, D: Deserializer<'de>>(value: D) -> Result<usize, D::Error> {
    match usize::deserialize(value)? {
        0..1000 => Err(D::Error::custom("expected at least 1000 bytes")),
        bytes => Ok(bytes),
    }
}

fn few<'de, D: Deserializer<'de>>(value: D) -> Result<usize, D::Error> {
    match usize::deserialize(value)? {
        0 => Err(D::Error::custom("expected a number above 0")),
        number => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(section: &str) -> Result<Settings, String> {
        let config = Config::from_toml("/nowhere", section).map_err(|error| error.to_string())?;
        Settings::read(&config).map_err(|error| error.to_string())
    }

    #[test]
    fn every_key_can_be_set() {
        let settings = read(
            r#"
            [plugins.mcp]
            connect_timeout_seconds = 1
            wait_seconds = 2
            call_timeout_seconds = 3
            output_limit = 4000
            max_tools = 5
            [plugins.mcp.servers.local]
            command = "uvx"
            args = ["mcp-server-git"]
            env = { TOKEN = "sk-123456" }
            cwd = "/somewhere"
            tools = ["git_status"]
            read_only = ["git_status"]
            call_timeout_seconds = 6
            [plugins.mcp.servers.far]
            url = "https://example.test/mcp"
            headers = { Authorization = "Bearer sk-123456" }
            disabled = true
            [plugins.mcp.servers.theirs]
            read_only = ["look"]
            "#,
        )
        .unwrap();
        assert_eq!((settings.connect_timeout(), settings.wait()), (Duration::from_secs(1), Duration::from_secs(2)));
        assert_eq!((settings.output_limit, settings.max_tools), (4000, 5));
        let local = settings.server("local").unwrap();
        assert_eq!(local.command.as_deref(), Some("uvx"));
        assert_eq!(local.args[0].value().unwrap().expose(), "mcp-server-git");
        assert_eq!(local.env["TOKEN"].value().unwrap().expose(), "sk-123456");
        assert_eq!(local.cwd.as_deref(), Some(std::path::Path::new("/somewhere")));
        assert_eq!(local.tools.as_deref(), Some(["git_status".to_owned()].as_slice()));
        assert_eq!(settings.call_timeout(Some(local)), Duration::from_secs(6));
        let far = settings.server("far").unwrap();
        assert!(far.disabled && far.url.as_ref().unwrap().value().is_ok() && far.headers.len() == 1);
        assert_eq!(settings.call_timeout(Some(far)), Duration::from_secs(3));
        assert_eq!(settings.server("theirs").unwrap().read_only, ["look"]);
        assert!(!format!("{settings:?}").contains("sk-123456"));
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let error = read("[plugins.mcp]\nwait_second = 3").unwrap_err();
        assert!(error.contains("config.toml:2") && error.contains("did you mean `wait_seconds`"), "{error}");
        for (section, says) in [
            ("[plugins.mcp.servers.x]\ncomand = \"x\"", "did you mean `command`"),
            ("[plugins.mcp.servers.x]\ncommand = \"x\"\nurl = \"http://x\"", "not both"),
            ("[plugins.mcp.servers.x]\nargs = [\"x\"]", "need a `command`"),
            ("[plugins.mcp.servers.x]\nenv = { A = \"b\" }", "needs a `command`"),
            ("[plugins.mcp.servers.x]\ncwd = \"/\"", "needs a `command`"),
            ("[plugins.mcp.servers.x]\nheaders = { A = \"b\" }", "need a `url`"),
            ("[plugins.mcp.servers.x]\ncommand = \" \"", "is empty"),
            ("[plugins.mcp.servers.x]\nurl = \"ftp://x\"", "expected http"),
            ("[plugins.mcp.servers.x]\ncall_timeout_seconds = 0", "above 0"),
            ("[plugins.mcp]\nconnect_timeout_seconds = 0", "above 0"),
            ("[plugins.mcp]\nmax_tools = 0", "above 0"),
            ("[plugins.mcp]\nwait_seconds = 60", "at most 8"),
            ("[plugins.mcp]\noutput_limit = 10", "at least 1000"),
        ] {
            let error = read(section).unwrap_err();
            assert!(error.contains(says) && error.contains("config.toml:"), "{section}: {error}");
        }
    }

    #[test]
    fn a_variable_that_is_not_set_is_told_by_its_server_alone() {
        let settings = read("[plugins.mcp.servers.x]\ncommand = \"x\"\nenv = { KEY = \"${NOT_SET}\" }").unwrap();
        let why = settings.server("x").unwrap().env["KEY"].value().unwrap_err();
        assert!(why.contains("NOT_SET"), "{why}");
    }
}
