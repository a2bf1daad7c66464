//! A value in a provider's configuration that makes no sense.

use crow_acp::{Config, ConfigError};

/// A key of `[providers.NAME]` whose value makes no sense, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadValue {
    key: String,
    why: String,
}

impl BadValue {
    /// `key` of the provider `provider` has a value that makes no sense. `why` follows a colon and does not show the value.
    pub fn new(provider: &str, key: &str, why: &str) -> Self {
        Self { key: format!("providers.{provider}.{key}"), why: why.to_owned() }
    }

    /// The error that names the file and the line where `config` has it from.
    pub fn told(&self, config: &Config) -> ConfigError {
        config.error_at(&self.key, format!("`{}`: {}", self.key, self.why))
    }
}
