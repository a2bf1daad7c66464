//! `[providers.NAME]`: how a provider is reached, and what is known of its models.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::error::ConfigError;
use crate::model::{Model, Price};
use crate::provider::Parameters;
use crate::secret::Secret;

/// A provider as the user configured it. Which protocols there are is up to the plugins.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ProviderConfig {
    /// What the endpoint speaks: `openai` (Chat Completions) unless said otherwise.
    pub protocol: String,
    /// Where the endpoint is, for example `http://127.0.0.1:8080/v1`; the protocol's own if not given.
    pub base_url: Option<String>,
    /// The key, if it wants one.
    pub api_key: Option<Secret>,
    /// Further headers of every request.
    pub headers: BTreeMap<String, Secret>,
    /// A file of certificate authorities (PEM) to trust besides the usual ones. Relative paths start at `CROW_HOME`.
    pub ca_file: Option<PathBuf>,
    /// A proxy for this provider; `HTTPS_PROXY` and `NO_PROXY` hold if not given.
    pub proxy: Option<Secret>,
    /// Longest wait for a connection, in seconds: 10.
    #[serde(deserialize_with = "seconds")]
    pub connect_timeout: Duration,
    /// Longest wait for the first byte of an answer, in seconds: 300.
    #[serde(deserialize_with = "seconds")]
    pub first_byte_timeout: Duration,
    /// Longest silence within an answer, in seconds: 120.
    #[serde(deserialize_with = "seconds")]
    pub idle_timeout: Duration,
    /// What is to be known of models, by the provider's name for them.
    pub models: BTreeMap<String, ModelConfig>,
    /// Why the provider cannot be used, if it cannot: a variable that its configuration names is not set. Told when
    /// somebody wants one of its models, so that the agent starts all the same.
    #[serde(skip)]
    pub error: Option<ConfigError>,
}

impl Default for ProviderConfig {
    fn default() -> Self {
        Self {
            protocol: "openai".into(),
            base_url: None,
            api_key: None,
            headers: BTreeMap::new(),
            ca_file: None,
            proxy: None,
            connect_timeout: Duration::from_secs(10),
            first_byte_timeout: Duration::from_mins(5),
            idle_timeout: Duration::from_mins(2),
            models: BTreeMap::new(),
            error: None,
        }
    }
}

/// What the user says of a model; it goes before what the bundled table and the endpoint say.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ModelConfig {
    /// Context window, in tokens.
    pub context_window: Option<u64>,
    /// Most tokens it gives in one answer.
    pub max_output: Option<u64>,
    /// Whether it takes pictures.
    pub images: Option<bool>,
    /// Whether it reasons.
    pub reasoning: Option<bool>,
    /// What it costs, in US dollars for a million tokens.
    pub price: Option<Price>,
    /// Sampling temperature to ask for.
    pub temperature: Option<f64>,
    /// Reasoning effort to ask for: `low`, `medium`, `high`, or whatever the model knows.
    pub reasoning_effort: Option<String>,
    /// Further fields for the body of each request.
    pub extra: Map<String, Value>,
}

impl ModelConfig {
    /// Puts what the user said over what is known of `model`.
    pub fn apply(&self, model: &mut Model) {
        model.context_window = self.context_window.or(model.context_window);
        model.max_output = self.max_output.or(model.max_output);
        model.images = self.images.unwrap_or(model.images);
        model.reasoning = self.reasoning.unwrap_or(model.reasoning);
        model.price = self.price.or(model.price);
    }

    /// The parameters that requests to the model start with.
    pub fn parameters(&self) -> Parameters {
        Parameters {
            max_output_tokens: None,
            temperature: self.temperature,
            reasoning_effort: self.reasoning_effort.clone(),
            extra: self.extra.clone(),
        }
    }
}

/// A number of seconds, fractions allowed.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| serde::de::Error::custom("expected a number of seconds above 0"))
}
