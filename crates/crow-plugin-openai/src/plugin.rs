//! The hookimpls.

use std::sync::Arc;

use crow_acp::{
    Agent, Config, ConfigError, CrowHooks, ModelId, ProviderConfig, ProviderDescriptor, ProviderError, hookimpls,
};
use crow_provider_http::Clients;
use serde::Deserialize;

use crate::endpoint::Endpoint;

/// The `protocol` of the providers that are this plugin's.
const PROTOCOL: &str = "openai";

/// `[plugins.openai]`: most of what there is to say is said of each provider.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// The model that embeds texts, as `PROVIDER/MODEL`. Not set: none does.
    embed: Option<String>,
}

/// Registers the configured providers that speak Chat Completions.
#[derive(Debug, Default)]
pub struct OpenAi {
    clients: Arc<Clients>,
}

/// The plugin, ready to be registered.
pub fn plugin() -> OpenAi {
    OpenAi::default()
}

impl OpenAi {
    fn endpoints(&self, config: &Config) -> Result<Vec<(Endpoint, ProviderConfig)>, ConfigError> {
        let ours = config.providers().iter().filter(|(_, provider)| provider.protocol == PROTOCOL);
        ours.map(|(name, provider)| {
            let endpoint = Endpoint::new(name, provider, &self.clients, config.secrets());
            endpoint.map(|endpoint| (endpoint, provider.clone())).map_err(|bad| bad.told(config))
        })
        .collect()
    }
}

/// The endpoint that embeds, and its model.
///
/// # Errors
/// `embed` names no model of a provider that is ours.
fn embedder(config: &Config) -> Result<Option<ModelId>, ConfigError> {
    let Some(named) = config.plugin::<Settings>("openai")?.embed else { return Ok(None) };
    let wrong = |what: String| config.error_at("plugins.openai.embed", format!("`plugins.openai.embed`: {what}"));
    let id: ModelId = named.parse().map_err(|error: crow_acp::InvalidModelId| wrong(error.to_string()))?;
    let ours = config.providers().get(&id.provider).is_some_and(|provider| provider.protocol == PROTOCOL);
    if ours { Ok(Some(id)) } else { Err(wrong(format!("no provider `{}` speaks this protocol", id.provider))) }
}

#[hookimpls(name = "openai")]
impl CrowHooks for OpenAi {
    /// Bad values are said at the start, not when the model is first asked.
    fn configure(&self, config: &mut Config) -> Result<(), ConfigError> {
        embedder(config)?;
        config.offer_protocol(PROTOCOL);
        self.endpoints(config).map(drop)
    }

    fn register_providers(&self, agent: &Agent) -> Result<Vec<ProviderDescriptor>, ConfigError> {
        let config = agent.config();
        let endpoints = self.endpoints(&config)?;
        Ok(endpoints
            .into_iter()
            .map(|(endpoint, provider)| {
                let models = endpoint.models(&provider, config.model());
                ProviderDescriptor::new(endpoint.name().to_owned(), models, endpoint)
            })
            .collect())
    }

    /// Embeddings by the configured model, if one is.
    async fn embed(
        &self,
        agent: &Agent,
        texts: &[String],
    ) -> Result<Option<Vec<Vec<f32>>>, Box<dyn std::error::Error + Send + Sync>> {
        let config = agent.config();
        let Some(model) = embedder(&config)? else { return Ok(None) };
        let Some(provider) = config.providers().get(&model.provider) else { return Ok(None) };
        let endpoint = Endpoint::new(&model.provider, provider, &self.clients, config.secrets());
        let endpoint = endpoint.map_err(|bad| bad.told(&config))?;
        let vectors = endpoint.embed(&model.name, texts).await;
        vectors.map(Some).map_err(|error: ProviderError| error.into())
    }
}
