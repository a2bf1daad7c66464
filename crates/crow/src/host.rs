//! The host: configuration and plugins put together into an agent. No disk but the configuration file, no network.

use std::sync::Arc;

use crow_acp::crow_hooks::Monitor;
use crow_acp::{Agent, Config, Notice, Overrides, PluginManager, Severity, Sources};

use crate::exit::Failure;
use crate::logs;
use crate::plugins::{self, Plugins};

/// An agent that has not started anything yet, and what to tell the user about its configuration.
#[derive(Debug)]
pub(crate) struct Host {
    /// The agent.
    pub(crate) agent: Agent,
    /// Sections and names in the configuration that no plugin goes by.
    pub(crate) notices: Vec<Notice>,
}

/// Reads the configuration of this process.
///
/// # Errors
/// It cannot be used; the failure names the place.
pub(crate) fn config(overrides: Overrides) -> Result<Config, Failure> {
    let mut sources = Sources::from_process()?;
    sources.overrides = overrides;
    Ok(Config::load(&sources)?)
}

impl Host {
    /// An agent of those of `plugins` that `config` does not switch off. `monitor` sees every hook that fires.
    ///
    /// # Errors
    /// A plugin cannot be registered, or refuses the configuration.
    pub(crate) async fn new(
        config: Config,
        plugins: Plugins,
        monitor: Option<Arc<dyn Monitor>>,
    ) -> Result<Self, Failure> {
        let manager = PluginManager::new();
        for name in config.blocked() {
            manager.block(name.as_str());
        }
        plugins
            .register(&manager)
            .map_err(|error| Failure::usage(format!("a plugin cannot be registered: {error}")))?;
        Self::of(config, manager, plugins.notice, monitor).await
    }

    /// An agent of those plugins in `manager` that `config` does not switch off.
    ///
    /// # Errors
    /// A plugin refuses the configuration.
    pub(crate) async fn of(
        config: Config,
        manager: PluginManager,
        notice: Option<&'static str>,
        monitor: Option<Arc<dyn Monitor>>,
    ) -> Result<Self, Failure> {
        logs::start(&config);
        if let Some(monitor) = monitor {
            manager.add_monitor(monitor);
        }
        for name in config.blocked() {
            manager.block(name.as_str());
        }
        let installed = plugins::installed(&manager);
        let installed: Vec<&str> = installed.iter().map(String::as_str).collect();
        let mut notices = config.check_plugins(&installed);
        notices.extend(notice.map(|notice| Notice::new(Severity::Warning, notice)));
        for notice in &notices {
            tracing::warn!("{}", notice.title);
        }
        let agent = Agent::new(config, manager)
            .await
            .map_err(|error| Failure::usage(error.message).next("`crow doctor` checks the whole configuration."))?;
        Ok(Self { agent, notices })
    }
}
