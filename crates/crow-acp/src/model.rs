//! Models: their names and what is known of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `PROVIDER/MODEL`, for example `openai/gpt-5`. The model's own name may contain slashes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelId {
    /// The name of the provider in the configuration.
    pub provider: String,
    /// The name the provider knows it by.
    pub name: String,
}

impl ModelId {
    /// The model `name` of `provider`.
    pub fn new(provider: impl Into<String>, name: impl Into<String>) -> Self {
        Self { provider: provider.into(), name: name.into() }
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.name)
    }
}

/// The text was not of the form `PROVIDER/MODEL`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a model: expected PROVIDER/MODEL, for example openai/gpt-5")]
pub struct InvalidModelId(pub String);

impl FromStr for ModelId {
    type Err = InvalidModelId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((provider, name)) if !provider.is_empty() && !name.is_empty() => Ok(Self::new(provider, name)),
            _ => Err(InvalidModelId(text.to_owned())),
        }
    }
}

impl TryFrom<String> for ModelId {
    type Error = InvalidModelId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ModelId> for String {
    fn from(id: ModelId) -> Self {
        id.to_string()
    }
}

/// What is known of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Model {
    /// Its name.
    pub id: ModelId,
    /// Context window in tokens.
    pub context_window: Option<u64>,
    /// Most tokens it gives in one answer.
    pub max_output: Option<u64>,
    /// Whether it takes pictures.
    pub images: bool,
    /// Whether it reasons.
    pub reasoning: bool,
    /// What it costs, if known.
    pub price: Option<Price>,
}

impl Model {
    /// A model of which nothing but the name is known.
    pub fn new(id: ModelId) -> Self {
        Self { id, context_window: None, max_output: None, images: false, reasoning: false, price: None }
    }
}

/// US dollars for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Tokens read.
    pub input: f64,
    /// Tokens read from the provider's cache; the full price if not given.
    #[serde(default)]
    pub cached_input: Option<f64>,
    /// Tokens written, reasoning included.
    pub output: f64,
}

/// Tokens of one request, or of many added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Usage {
    /// Tokens read, cached ones included.
    pub input_tokens: u64,
    /// Of the tokens read, those the provider had cached.
    pub cached_input_tokens: u64,
    /// Tokens written, reasoning included.
    pub output_tokens: u64,
    /// Of the tokens written, those of reasoning.
    pub reasoning_tokens: u64,
}

impl Usage {
    /// Usage of `input` tokens read and `output` written.
    pub fn new(input: u64, output: u64) -> Self {
        Self { input_tokens: input, output_tokens: output, ..Self::default() }
    }

    /// Tokens read and written together: the context in use after the request.
    pub fn total(&self) -> u64 {
        self.input_tokens + self.output_tokens
    }

    /// Adds another request's usage.
    pub fn add(&mut self, other: &Self) {
        self.input_tokens += other.input_tokens;
        self.cached_input_tokens += other.cached_input_tokens;
        self.output_tokens += other.output_tokens;
        self.reasoning_tokens += other.reasoning_tokens;
    }

    /// What it costs in US dollars at `price`.
    pub fn cost(&self, price: &Price) -> f64 {
        let cached = self.cached_input_tokens.min(self.input_tokens);
        let fresh = self.input_tokens - cached;
        (fresh as f64 * price.input
            + cached as f64 * price.cached_input.unwrap_or(price.input)
            + self.output_tokens as f64 * price.output)
            / 1e6
    }
}
