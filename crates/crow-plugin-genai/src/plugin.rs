//! The hookimpls.

use std::sync::Arc;

use crow_acp::{Agent, Config, ConfigError, CrowHooks, ProviderDescriptor, hookimpls};
use crow_provider_http::Clients;
use serde::Deserialize;

use crate::endpoint::Endpoint;
use crate::protocol::Protocol;

/// `[plugins.genai]` holds nothing: what there is to say is said of each provider.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {}

/// Registers the configured providers that speak one of the protocols.
#[derive(Debug, Default)]
pub struct Genai {
    clients: Arc<Clients>,
}

/// The plugin, ready to be registered.
pub fn plugin() -> Genai {
    Genai::default()
}

impl Genai {
    fn endpoints(&self, config: &Config) -> Result<Vec<Endpoint>, ConfigError> {
        let ours = config.providers().iter().filter_map(|(name, provider)| {
            Protocol::named(&provider.protocol).map(|protocol| (name, provider, protocol))
        });
        ours.map(|(name, provider, protocol)| {
            let endpoint = Endpoint::new(name, protocol, provider, &self.clients, config.secrets());
            endpoint.map_err(|bad| bad.told(config))
        })
        .collect()
    }
}

#[hookimpls(name = "genai")]
impl CrowHooks for Genai {
    /// Bad values are said at the start, not when the model is first asked.
    fn configure(&self, config: &mut Config) -> Result<(), ConfigError> {
        config.plugin::<Settings>("genai")?;
        for protocol in Protocol::ALL {
            config.offer_protocol(protocol.name());
        }
        self.endpoints(config).map(drop)
    }

    fn register_providers(&self, agent: &Agent) -> Result<Vec<ProviderDescriptor>, ConfigError> {
        let config = agent.config();
        let endpoints = self.endpoints(&config)?;
        Ok(endpoints
            .into_iter()
            .map(|endpoint| {
                let models = endpoint.models(config.model());
                ProviderDescriptor::new(endpoint.name().to_owned(), models, endpoint)
            })
            .collect())
    }
}
