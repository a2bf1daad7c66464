//! The hookimpls.

use std::sync::Arc;

use crow_acp::{Agent, Config, ConfigError, CrowHooks, ProviderConfig, ProviderDescriptor, hookimpls};
use serde::Deserialize;

use crate::endpoint::Endpoint;
use crate::http::Clients;

/// The `protocol` of the providers that are this plugin's.
const PROTOCOL: &str = "openai";

/// `[plugins.openai]` holds nothing: what there is to say is said of each provider.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {}

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
            Endpoint::new(name, provider, &self.clients, config.secrets()).map(|endpoint| (endpoint, provider.clone()))
        })
        .collect()
    }
}

#[hookimpls(name = "openai")]
impl CrowHooks for OpenAi {
    /// Bad values are said at the start, not when the model is first asked.
    fn configure(&self, config: &mut Config) -> Result<(), ConfigError> {
        config.plugin::<Settings>("openai")?;
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
}
