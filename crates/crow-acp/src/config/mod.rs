//! The configuration: layers, each laid over the one before.
//!
//! Defaults ← `config.toml` in `CROW_HOME` ← the project's `.crow/config.toml` (as far as [trust](Config::for_project)
//! goes) ← the environment ← the command line.

mod de;
mod error;
mod interpolate;
mod project;
mod provider;
mod source;
mod tree;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

pub use self::error::ConfigError;
pub use self::provider::{ModelConfig, ProviderConfig};
pub use self::source::{Overrides, Sources};

pub(crate) use self::project::ForProject;

use self::error::{nearest, suggestion};
use self::tree::{Origin, Source, Table, Value};
use crate::model::ModelId;
use crate::provider::Parameters;
use crate::secret::Secrets;
use crate::trust::ProjectItem;
use crate::update::{Notice, Severity};

/// The largest configuration file that is read, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// Everything that can be configured, checked, with the place of every key still known.
///
/// ```
/// use crow_acp::Config;
///
/// let config = Config::from_toml("/home/me/.crow", r#"model = "local/qwen""#)?;
/// assert_eq!(config.model().map(|model| model.provider.as_str()), Some("local"));
///
/// let error = Config::from_toml("/home/me/.crow", r#"modle = "local/qwen""#).unwrap_err();
/// assert_eq!(error.to_string(), "/home/me/.crow/config.toml:1: unknown key `modle`; did you mean `model`?");
/// # Ok::<(), crow_acp::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Config {
    home: PathBuf,
    project: Option<PathBuf>,
    /// The layers, the lowest first: the user's file; the project's, as far as it is trusted; the environment, the
    /// command line and what plugins set.
    layers: [Table; 3],
    /// The project's files that want to set more than any project may, each with whether it was let.
    wanting: Vec<(ProjectItem, bool)>,
    /// All layers in one.
    tree: Table,
    settings: Settings,
    providers: BTreeMap<String, ProviderConfig>,
    blocked: Vec<String>,
    blocked_by_command_line: Vec<String>,
    secrets: Secrets,
    /// The protocols that provider plugins carry; `None` until they have been asked.
    protocols: Option<Vec<String>>,
    /// Whether some plugin said that it connects to MCP servers over HTTP.
    mcp_http: bool,
}

/// Indices of [`Config::layers`].
const USER: usize = 0;
const PROJECT: usize = 1;
const ABOVE: usize = 2;

/// The keys at the top, apart from what belongs to providers and plugins.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    model: Option<ModelId>,
    mode: Option<String>,
    max_turns: u32,
    ignore: Vec<String>,
    log: LogConfig,
    #[serde(rename = "providers")]
    _providers: IgnoredAny,
    #[serde(rename = "plugins")]
    _plugins: IgnoredAny,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: None,
            mode: None,
            max_turns: 100,
            ignore: Vec::new(),
            log: LogConfig::default(),
            _providers: IgnoredAny,
            _plugins: IgnoredAny,
        }
    }
}

/// `[log]`: the log in `CROW_HOME/logs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct LogConfig {
    /// What is worth a line: `info` unless said otherwise.
    pub level: LogLevel,
    /// When a new file is begun: every day unless said otherwise.
    pub rotation: LogRotation,
    /// How many files are kept: 7 unless said otherwise.
    pub retention: usize,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: LogLevel::Info, rotation: LogRotation::Daily, retention: 7 }
    }
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What failed.
    Error,
    /// What is not as it should be, too.
    Warn,
    /// What happens, too.
    Info,
    /// What is of use when something does not work, too.
    Debug,
    /// Everything.
    Trace,
}

/// When a new log file is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogRotation {
    /// Every hour.
    Hourly,
    /// Every day.
    Daily,
    /// Never.
    Never,
}

impl Config {
    /// Reads and checks the layers. The user's file is the only one that is opened; there may be none.
    ///
    /// # Errors
    /// The first key or value that cannot be used, with its place and the nearest valid key. A variable that is not set
    /// does not count if it belongs to a provider or a plugin: it is told when they are used.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let path = sources.home.join("config.toml");
        let text = tree::read(&path, LARGEST).map_err(|error| ConfigError::file_unreadable(&path, &error))?;
        let text = text.unwrap_or_default();
        let secrets = Secrets::default();
        let mut user = tree::parse(&text, Source::File(path))?;
        interpolate::interpolate(&mut user, &sources.env, &secrets)?;
        let mut above = sources.environment();
        tree::merge(&mut above, sources.command_line()?);
        Self::build(sources.home.clone(), [user, Table::new(), above], &sources.overrides.blocked, secrets)
    }

    /// The configuration that a `config.toml` of this text in the directory `home` would make, without environment or
    /// command line: for embedding programs and tests. Nothing is read, `${VAR}` stays unset.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_toml(home: impl Into<PathBuf>, text: &str) -> Result<Self, ConfigError> {
        let home = home.into();
        let secrets = Secrets::default();
        let mut user = tree::parse(text, Source::File(home.join("config.toml")))?;
        interpolate::interpolate(&mut user, &BTreeMap::new(), &secrets)?;
        Self::build(home, [user, Table::new(), Table::new()], &[], secrets)
    }

    fn build(home: PathBuf, layers: [Table; 3], blocked: &[String], secrets: Secrets) -> Result<Self, ConfigError> {
        let mut config = Self {
            home,
            project: None,
            layers,
            wanting: Vec::new(),
            tree: Table::new(),
            settings: Settings::default(),
            providers: BTreeMap::new(),
            blocked: Vec::new(),
            blocked_by_command_line: blocked.to_vec(),
            secrets,
            protocols: None,
            mcp_http: false,
        };
        config.resolve()?;
        Ok(config)
    }

    /// Lays the layers over each other and reads what they say; nothing but the layers has changed if that fails.
    fn resolve(&mut self) -> Result<(), ConfigError> {
        let mut tree = Table::new();
        for layer in &self.layers {
            tree::merge(&mut tree, layer.clone());
        }
        let settings = de::from_table(&tree, &[], &Origin::new(Source::Code))?;
        let providers = self.read_providers(&tree)?;
        let mut blocked = read_plugins(&tree)?;
        blocked.extend(self.blocked_by_command_line.iter().cloned());
        for (name, provider) in &providers {
            let values = provider.api_key.iter().chain(provider.headers.values());
            // Servers that want no key are often given their own name as one; it would vanish from every message.
            for secret in values.filter(|secret| secret.expose() != name) {
                self.secrets.add(secret.expose());
            }
            let addresses = provider.base_url.as_deref().into_iter();
            for address in addresses.chain(provider.proxy.as_ref().map(crate::secret::Secret::expose)) {
                if let Some(password) = password_of(address) {
                    self.secrets.add(password);
                }
            }
        }
        (self.tree, self.settings, self.providers, self.blocked) = (tree, settings, providers, blocked);
        self.check_protocols();
        Ok(())
    }

    fn read_providers(&self, tree: &Table) -> Result<BTreeMap<String, ProviderConfig>, ConfigError> {
        let Some(providers) = tree.get("providers") else { return Ok(BTreeMap::new()) };
        let Value::Table(table) = &providers.node.value else {
            return Err(ConfigError::at(&providers.node.origin, "`providers`: expected a table"));
        };
        let mut read = BTreeMap::new();
        for (name, entry) in table {
            let path = ["providers", name.as_str()];
            let Value::Table(section) = &entry.node.value else {
                let message = format!("`providers.{name}`: expected a table");
                return Err(ConfigError::at(&entry.node.origin, message));
            };
            if name.is_empty() || name.contains('/') {
                let message = format!("`{name}` cannot be a provider's name: PROVIDER/MODEL could not be told apart");
                return Err(ConfigError::at(&entry.key, message));
            }
            let mut section = section.clone();
            let unset = interpolate::take_unset(&mut section);
            let mut provider: ProviderConfig = de::from_table(&section, &path, &entry.node.origin)?;
            provider.ca_file = provider.ca_file.map(|file| self.home.join(file));
            provider.error = unset;
            read.insert(name.clone(), provider);
        }
        Ok(read)
    }

    /// `CROW_HOME`: where everything of the user's is, absolute.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The user's configuration file, which need not exist.
    pub fn file(&self) -> PathBuf {
        self.home.join("config.toml")
    }

    /// The project this configuration is for, absolute: the git work tree, or the working directory outside of one.
    pub fn project(&self) -> Option<&Path> {
        self.project.as_deref()
    }

    /// `model`: the model of new sessions.
    pub fn model(&self) -> Option<&ModelId> {
        self.settings.model.as_ref()
    }

    /// `mode`: the mode of new sessions, if not the first there is.
    pub fn mode(&self) -> Option<&str> {
        self.settings.mode.as_deref()
    }

    /// `max_turns`: how many turns a run may take, 100 unless said otherwise.
    pub fn max_turns(&self) -> u32 {
        self.settings.max_turns
    }

    /// `ignore`: globs, in the syntax of `.gitignore`, of what lists and searches leave out besides what git ignores.
    pub fn ignore(&self) -> &[String] {
        &self.settings.ignore
    }

    /// `[log]`.
    pub fn log(&self) -> &LogConfig {
        &self.settings.log
    }

    /// `[providers.NAME]`, by name. One that cannot be used is there too, with its [error](ProviderConfig::error).
    pub fn providers(&self) -> &BTreeMap<String, ProviderConfig> {
        &self.providers
    }

    /// What is configured of a model.
    pub fn model_config(&self, id: &ModelId) -> Option<&ModelConfig> {
        self.providers.get(&id.provider)?.models.get(&id.name)
    }

    /// The parameters that requests to a model start with.
    pub fn parameters(&self, id: &ModelId) -> Parameters {
        self.model_config(id).map(ModelConfig::parameters).unwrap_or_default()
    }

    /// The names of the plugins that are not wanted: `plugins.disabled` and the command line's `-p no:NAME`.
    pub fn blocked(&self) -> &[String] {
        &self.blocked
    }

    /// The secrets that the configuration holds, for those who write logs and errors.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// `[plugins.NAME]` as the plugin's own type, or its default if there is no such section. The type should refuse
    /// unknown keys (`#[serde(deny_unknown_fields, default)]`). What a project's file says there counts only if it fits.
    ///
    /// # Errors
    /// A key or value that does not fit, with its place and the nearest valid key.
    pub fn plugin<T: DeserializeOwned + Default>(&self, name: &str) -> Result<T, ConfigError> {
        let path = ["plugins", name];
        let read = |tree: &Table| match tree::find(tree, &path) {
            None => Ok(T::default()),
            Some(entry) => match &entry.node.value {
                Value::Table(section) => de::from_table(section, &path, &entry.node.origin),
                _ => Err(ConfigError::at(&entry.node.origin, format!("`plugins.{name}`: expected a table"))),
            },
        };
        match read(&self.tree) {
            Err(_) if tree::find(&self.layers[PROJECT], &path).is_some() => {
                let mut tree = self.layers[USER].clone();
                tree::merge(&mut tree, self.layers[ABOVE].clone());
                read(&tree)
            }
            result => result,
        }
    }

    /// Sets the dotted `key`, over every layer there is: what a plugin does in `configure`, or an embedding program.
    ///
    /// ```
    /// # let mut config = crow_acp::Config::from_toml("/home/me/.crow", "")?;
    /// config.set("max_turns", 20)?;
    /// assert_eq!(config.max_turns(), 20);
    /// # Ok::<(), crow_acp::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// The key is unknown or the value does not fit; then nothing changes.
    pub fn set(&mut self, key: &str, value: impl Into<serde_json::Value>) -> Result<(), ConfigError> {
        let path = source::split_key(key)?;
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let origin = Origin::new(Source::Code);
        let value = source::from_json(value.into(), &origin)
            .ok_or_else(|| ConfigError::new(format!("`{key}`: the configuration has no such kind of value")))?;
        let before = self.layers[ABOVE].clone();
        tree::merge(&mut self.layers[ABOVE], tree::single(&path, value, &origin));
        self.resolve().inspect_err(|_| self.layers[ABOVE] = before)
    }

    /// An error about the dotted `key` that names the place where it was set, for plugins that check more than types.
    pub fn error_at(&self, key: &str, message: impl Into<String>) -> ConfigError {
        let path = source::split_key(key).unwrap_or_default();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match tree::find(&self.tree, &path) {
            Some(entry) => ConfigError::at(&entry.node.origin, message),
            None => ConfigError::new(message),
        }
    }

    /// Says that the calling plugin carries the providers whose `protocol` this is. Provider plugins say so in
    /// `configure`; a provider with a protocol that none carries gets an [`error`](ProviderConfig::error).
    pub fn offer_protocol(&mut self, protocol: &str) {
        self.protocols.get_or_insert_default().push(protocol.to_owned());
    }

    /// Says that the calling plugin connects sessions to MCP servers over streamable HTTP, so that clients learn that they
    /// may name such. To be said in `configure`.
    pub fn offer_mcp_http(&mut self) {
        self.mcp_http = true;
    }

    /// Whether some plugin connects sessions to MCP servers over streamable HTTP.
    pub(crate) fn mcp_http(&self) -> bool {
        self.mcp_http
    }

    /// Marks the providers whose protocol no plugin carries, once the plugins have been asked.
    pub(crate) fn check_protocols(&mut self) {
        let Some(protocols) = self.protocols.clone() else { return };
        let known: Vec<&str> = protocols.iter().map(String::as_str).collect();
        let mut errors = Vec::new();
        for (name, provider) in &self.providers {
            if provider.error.is_none() && !known.contains(&provider.protocol.as_str()) {
                let hint = error::suggestion(&provider.protocol, &known, "protocols");
                let message = format!("unknown protocol `{}` of provider `{name}`{hint}", provider.protocol);
                let key = format!("providers.\"{name}\".protocol");
                errors.push((name.clone(), self.error_at(&key, message)));
            }
        }
        for (name, error) in errors {
            if let Some(provider) = self.providers.get_mut(&name) {
                provider.error = Some(error);
            }
        }
    }

    /// Warnings about sections and names of plugins that are not among those `installed`.
    pub fn check_plugins(&self, installed: &[&str]) -> Vec<Notice> {
        let section = match self.tree.get("plugins").map(|entry| &entry.node.value) {
            Some(Value::Table(plugins)) => plugins.iter().filter(|(name, _)| *name != "disabled"),
            _ => return self.check_blocked(installed),
        };
        let absent = section.filter(|(name, _)| !installed.contains(&name.as_str()));
        let mut warnings: Vec<Notice> = absent
            .map(|(name, entry)| {
                let hint = hint(name, installed);
                let message = format!("[plugins.{name}] is for a plugin that is not installed{hint}");
                Notice::new(Severity::Warning, ConfigError::at(&entry.key, message).to_string())
            })
            .collect();
        warnings.extend(self.check_blocked(installed));
        warnings
    }

    fn check_blocked(&self, installed: &[&str]) -> Vec<Notice> {
        let absent = self.blocked.iter().filter(|name| !installed.contains(&name.as_str()));
        absent
            .map(|name| {
                let hint = hint(name, installed);
                Notice::new(Severity::Warning, format!("there is no plugin `{name}` to switch off{hint}"))
            })
            .collect()
    }
}

fn hint(name: &str, installed: &[&str]) -> String {
    nearest(name, installed.iter().copied()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

/// `[plugins]` holds one section for each plugin, and the list of those that are switched off.
fn read_plugins(tree: &Table) -> Result<Vec<String>, ConfigError> {
    let Some(plugins) = tree.get("plugins") else { return Ok(Vec::new()) };
    let Value::Table(table) = &plugins.node.value else {
        return Err(ConfigError::at(&plugins.node.origin, "`plugins`: expected a table"));
    };
    let mut blocked = Vec::new();
    for (name, entry) in table {
        match &entry.node.value {
            Value::Table(_) => {}
            Value::Array(names) if name == "disabled" => {
                for name in names {
                    let Value::String(name) = &name.value else {
                        return Err(ConfigError::at(&name.origin, "`plugins.disabled`: expected names of plugins"));
                    };
                    blocked.push(name.clone());
                }
            }
            _ if name == "disabled" => {
                return Err(ConfigError::at(&entry.node.origin, "`plugins.disabled`: expected a list of names"));
            }
            _ => {
                let hint = suggestion(name, &["disabled"], "keys there");
                let message = format!("`plugins.{name}`: expected a table{hint}");
                return Err(ConfigError::at(&entry.node.origin, message));
            }
        }
    }
    Ok(blocked)
}

/// The password in `scheme://user:password@host`.
fn password_of(address: &str) -> Option<&str> {
    let (_, rest) = address.split_once("://")?;
    let (user, _) = rest.split('/').next()?.rsplit_once('@')?;
    user.split_once(':').map(|(_, password)| password)
}
