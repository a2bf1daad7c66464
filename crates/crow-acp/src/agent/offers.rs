//! What plugins offer: providers for the agent; tools, commands, modes and options for a session.

use std::sync::Arc;

use super::{Agent, Offered};
use crate::answers::RunError;
use crate::provider::ProviderDescriptor;
use crate::session::{Offers, Session};
use crate::update::{Notice, Severity, Update};

impl Agent {
    /// Asks the plugins again for what they offer, and tells clients what changed. Call it after a plugin came or went.
    pub async fn refresh(&self) {
        self.collect_providers().await;
        for session in self.sessions() {
            self.refresh_session(&session).await;
        }
    }

    /// Asks the plugins again for what they offer this session, and tells its client what changed. Call it when what a
    /// plugin offers has become another.
    pub async fn refresh_session(&self, session: &Session) {
        match self.collect_offers(session).await {
            Ok(offers) => {
                session.state(|state| state.offers = offers);
                session.update(Update::Commands(session.commands()));
                session.update(Update::ConfigOptions(session.config_options()));
            }
            Err(error) => session.notify(Notice::new(Severity::Error, error.message)),
        }
    }

    pub(super) async fn collect_providers(&self) {
        let mut providers: Vec<Offered<Arc<ProviderDescriptor>>> = Vec::new();
        match self.hooks().register_providers(self).named().await {
            Ok(answers) => {
                for crow_hooks::Named { plugin: owner, value: offered } in answers {
                    for item in offered {
                        if let Some(first) = providers.iter().find(|provider| provider.item.name == item.name) {
                            let title = format!(
                                "provider `{}` of plugin `{owner}` is ignored: plugin `{}` offers one of that name",
                                item.name, first.owner
                            );
                            self.notify(Notice::new(Severity::Warning, title));
                            continue;
                        }
                        providers.push(Offered { owner: owner.clone(), item: Arc::new(item) });
                    }
                }
            }
            Err(error) => self.notify(Notice::new(Severity::Error, error.to_string())),
        }
        self.0.providers.with(|slot| *slot = providers);
    }

    pub(super) async fn collect_offers(&self, session: &Session) -> Result<Offers, RunError> {
        let hooks = self.hooks();
        let mut offers = Offers::default();
        for tool in hooks.register_tools(self, session).await?.into_iter().flatten() {
            if offers.tools.iter().any(|other| other.name == tool.name) {
                let title = format!("a second tool called `{}` is ignored", tool.name);
                session.notify(Notice::new(Severity::Warning, title));
            } else {
                offers.tools.push(Arc::new(tool));
            }
        }
        // The order in the request must not depend on the order of registration: prompt caches key on it.
        offers.tools.sort_by(|a, b| a.name.cmp(&b.name));
        for command in hooks.register_commands(self, session).await?.into_iter().flatten() {
            if !offers.commands.iter().any(|other| other.name == command.name) {
                offers.commands.push(command);
            }
        }
        offers.commands.sort_by(|a, b| a.name.cmp(&b.name));
        for mode in hooks.register_modes(self, session).await?.into_iter().flatten() {
            if !offers.modes.iter().any(|other| other.id == mode.id) {
                offers.modes.push(mode);
            }
        }
        let options = hooks.register_config_options(self, session).await?;
        offers.options = options.into_iter().flatten().collect();
        Ok(offers)
    }
}
