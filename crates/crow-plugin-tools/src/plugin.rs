//! The hookimpls.

use std::sync::Arc;
use std::time::Duration;

use crow_acp::{Agent, Config, ConfigError, CrowHooks, EndReason, Session, ToolDescriptor, hookimpls};

use crate::bounds::OutputFiles;
use crate::options::{Options, ToolName};
use crate::state::Sessions;
use crate::web::Web;
use crate::{edit, fetch, glob, grep, list, read, terminal, write};

/// Offers the built-in tools to every session.
///
/// ```
/// # fn main() -> Result<(), crow_acp::crow_hooks::RegisterError> {
/// let plugins = crow_acp::crow_hooks::PluginManager::<dyn crow_acp::CrowHooks>::new();
/// plugins.register(crow_plugin_tools::plugin())?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Tools {
    sessions: Arc<Sessions>,
    web: Arc<Web>,
}

/// The plugin, ready to be registered.
pub fn plugin() -> Tools {
    Tools::default()
}

#[hookimpls(name = "tools")]
impl CrowHooks for Tools {
    /// Bad values are said at the start, not when the first tool is called.
    fn configure(&self, config: &mut Config) -> Result<(), ConfigError> {
        Options::read(config).map(drop)
    }

    fn register_tools(&self, session: &Session) -> Result<Vec<ToolDescriptor>, ConfigError> {
        let options = Options::read(&session.config())?;
        let all = [
            (ToolName::Read, read::tool()),
            (ToolName::Write, write::tool()),
            (ToolName::Edit, edit::tool()),
            (ToolName::List, list::tool()),
            (ToolName::Glob, glob::tool()),
            (ToolName::Grep, grep::tool()),
            (ToolName::Terminal, terminal::tool(Arc::clone(&self.sessions))),
            (ToolName::Fetch, fetch::tool(Arc::clone(&self.web))),
        ];
        Ok(all.into_iter().filter(|(name, _)| !options.disabled.contains(name)).map(|(_, tool)| tool).collect())
    }

    async fn on_session_end(&self, agent: &Agent, session: &Session, reason: &EndReason) {
        self.sessions.end(session.id()).await;
        let outputs = OutputFiles::new(agent.config().home());
        let own = (*reason == EndReason::Deleted).then(|| outputs.of_session(session.id()));
        let days = Options::read(&agent.config()).unwrap_or_default().keep_outputs_days;
        let tidy = move || {
            own.map(std::fs::remove_dir_all);
            outputs.prune(Duration::from_secs(days.saturating_mul(24 * 60 * 60)));
        };
        let _ = tokio::task::spawn_blocking(tidy).await;
    }

    async fn on_shutdown(&self) {
        self.sessions.end_all().await;
    }
}
