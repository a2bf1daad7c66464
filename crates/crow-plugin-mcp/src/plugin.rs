//! The hookimpls.

use std::collections::HashSet;
use std::sync::Arc;

use crow_acp::{
    Agent, Command, Config, ConfigError, CrowHooks, EndReason, Notice, Session, Severity, ToolDescriptor, hookimpls,
};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::command::Mcp;
use crate::connection::{Connection, Phase};
use crate::hub::Hub;
use crate::settings::{PLUGIN, Settings};
use crate::{prompts, tools};

/// Offers the tools and prompts of MCP servers to the sessions that have such servers.
///
/// ```
/// # fn main() -> Result<(), crow_acp::crow_hooks::RegisterError> {
/// let plugins = crow_acp::crow_hooks::PluginManager::<dyn crow_acp::CrowHooks>::new();
/// plugins.register(crow_plugin_mcp::plugin())?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct McpServers {
    hub: Arc<Hub>,
}

/// The plugin, ready to be registered.
pub fn plugin() -> McpServers {
    McpServers::default()
}

impl McpServers {
    fn start(&self, agent: &Agent, session: &Session) {
        for connection in connections(&self.hub, session) {
            if matches!(connection.phase(), Phase::Idle) {
                connection.start(&self.hub, agent);
            }
        }
    }
}

#[hookimpls(name = "mcp")]
impl CrowHooks for McpServers {
    /// Bad values are said at the start, not when a server is first needed.
    fn configure(&self, config: &mut Config) -> Result<(), ConfigError> {
        let settings = Settings::read(config)?;
        for server in settings.servers.values() {
            for (name, value) in server.env.iter().chain(&server.headers) {
                if let Ok(value) = value.value() {
                    config.secrets().add_variable(name, value.expose());
                }
            }
        }
        config.offer_mcp_http();
        Ok(())
    }

    /// Finds out which servers there are. They start beside everything else, so that nobody waits for them here; without
    /// a client at the other end they start when there is something to do.
    async fn on_session_start(&self, agent: &Agent, session: &Session) -> Result<(), ConfigError> {
        let settings = Settings::read(&session.config()).or_else(|error| {
            // The user's own were checked when the agent started: it is the project's that do not fit.
            session.notify(Notice::new(Severity::Warning, format!("{error}; the project's MCP settings are ignored")));
            Settings::read(&agent.config())
        })?;
        let unused = self.hub.open(agent, session, &settings);
        agent.spawn(async move { stop(unused).await });
        for connection in connections(&self.hub, session) {
            // A new session is a new try.
            if matches!(connection.phase(), Phase::Failed(_)) {
                connection.start(&self.hub, agent);
            }
        }
        if agent.client().is_some() {
            self.start(agent, session);
        }
        Ok(())
    }

    /// Those that are there. The others come when they are.
    fn register_tools(&self, session: &Session) -> Vec<ToolDescriptor> {
        tools::of(&self.hub.members(session))
    }

    fn register_commands(&self, session: &Session) -> Vec<Command> {
        let own = Command::new(PLUGIN, "Show the MCP servers and their tools", Mcp(Arc::clone(&self.hub)));
        let mut commands = vec![own.hint("[NAME | restart NAME]")];
        commands.extend(prompts::of(&self.hub.members(session)));
        commands
    }

    /// Waits a little for servers that are still starting: tools that come in the middle of a run cost the model's cache.
    async fn before_run(&self, agent: &Agent, session: &Session) {
        let connections = connections(&self.hub, session);
        if connections.is_empty() {
            return;
        }
        self.start(agent, session);
        let wait = Settings::read(&session.config()).unwrap_or_default().wait();
        let all = async {
            for connection in &connections {
                connection.settled().await;
            }
        };
        drop(timeout(wait, all).await);
        // What became known while the session was being made may not have reached it.
        let known: HashSet<String> = session.tools().iter().map(|tool| tool.name.clone()).collect();
        if tools::of(&self.hub.members(session)).iter().any(|tool| !known.contains(&tool.name)) {
            agent.refresh_session(session).await;
        }
    }

    async fn on_session_end(&self, session: &Session, reason: &EndReason) {
        let unused = self.hub.close(session);
        let stopping = tokio::spawn(stop(unused));
        // When everything ends, the other sessions' servers end meanwhile; `on_shutdown` sees to the rest.
        if *reason != EndReason::Disconnected {
            drop(stopping.await);
        }
    }

    async fn on_shutdown(&self) {
        stop(self.hub.close_all()).await;
    }
}

fn connections(hub: &Hub, session: &Session) -> Vec<Arc<Connection>> {
    hub.members(session).iter().filter_map(|member| member.connection.as_ref().ok().cloned()).collect()
}

/// Stops servers, all at once.
async fn stop(connections: Vec<Arc<Connection>>) {
    let mut stopping = JoinSet::new();
    for connection in connections {
        stopping.spawn(async move { connection.stop().await });
    }
    while stopping.join_next().await.is_some() {}
}
