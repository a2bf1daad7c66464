//! The plugin `python`: brings the installed plugins in once the client has its reply, and tells what went wrong.

use std::sync::Arc;
use std::time::Duration;

use crow_acp::crow_hooks::{Next, Outcome, RegisterError};
use crow_acp::{Agent, CallLlm, CrowHooks, Notice, PluginManager, Session, Severity, hookimpls};
use pyo3::prelude::*;
use tokio::sync::oneshot;

use crate::bridge::Bridge;
use crate::courier::Courier;
use crate::discover::{self, Entry};

/// How long sessions wait for the plugins.
const PATIENCE: Duration = Duration::from_secs(5);

/// Finds and holds the plugins in Python.
struct PythonPlugins(Arc<Bridge>);

/// Registers it.
///
/// # Errors
/// There is a plugin `python` already.
pub(crate) fn install(bridge: &Arc<Bridge>) -> Result<(), RegisterError> {
    crate::bridge::remember(bridge);
    bridge.plugins.register_as("python", PythonPlugins(bridge.clone())).map(drop)
}

/// For the `crow` command: the plugins of one of its agents.
pub(crate) fn register(plugins: &PluginManager) -> Result<(), RegisterError> {
    Python::attach(name_installed);
    install(&Bridge::new(plugins.clone()))
}

/// Lets the configuration speak of the installed plugins: they are not there yet when it is read.
pub(crate) fn name_installed(py: Python<'_>) -> Vec<Entry> {
    let entries = discover::installed(py).unwrap_or_default();
    crow::name_installed(entries.iter().map(|entry| entry.name.clone()));
    entries
}

/// The same, and the installed plugins are there at once: for commands that list them.
pub(crate) fn register_all(plugins: &PluginManager) -> Result<(), RegisterError> {
    let bridge = Bridge::new(plugins.clone());
    install(&bridge)?;
    let entries = Python::attach(name_installed);
    if entries.is_empty() {
        return Ok(());
    }
    Courier::get().start();
    let (done, loaded) = std::sync::mpsc::channel();
    Courier::get().post(move |py| {
        load(py, &bridge, &entries);
        // Nobody waits any more if it took too long.
        let _ = done.send(());
    });
    let _ = loaded.recv_timeout(PATIENCE);
    Ok(())
}

#[hookimpls(name = "python")]
impl CrowHooks for PythonPlugins {
    #[hookimpl(trylast)]
    async fn on_startup(&self, agent: &Agent) {
        let bridge = self.0.clone();
        bridge.meet(agent);
        // The one time that this waits for the GIL: on a thread that may.
        let found = tokio::task::spawn_blocking(|| Python::attach(discover::installed));
        let entries = match found.await {
            Ok(Ok(entries)) => entries,
            Ok(Err(error)) => return bridge.trouble(format!("installed plugins could not be looked for: {error}")),
            Err(error) => return bridge.trouble(format!("installed plugins could not be looked for: {error}")),
        };
        if entries.is_empty() {
            return;
        }
        Courier::get().start();
        let (done, loaded) = oneshot::channel();
        let (owner, before) = (bridge.clone(), bridge.plugins.names());
        Courier::get().post(move |py| {
            load(py, &owner, &entries);
            // Sessions may have gone on without.
            let _ = done.send(());
        });
        let own = bridge.clone();
        let known = agent.clone();
        let starting = async move {
            // It ends by being dropped, too.
            let _ = loaded.await;
            own.check_hooks();
            let others: Vec<&str> = before.iter().map(|name| &**name).collect();
            // The others have been told that the agent started.
            drop(known.hooks().without(&others).on_startup(&known).await);
        };
        let mut starting = tokio::spawn(starting);
        if tokio::time::timeout(PATIENCE, &mut starting).await.is_err() {
            bridge.trouble("plugins in Python are still being loaded: this session goes on without them".to_owned());
            let late = agent.clone();
            agent.spawn(async move {
                let _ = starting.await;
                late.refresh().await;
            });
        }
    }

    /// Plugins in Python get the fragments of an answer in batches.
    #[hookimpl(wrapper, tryfirst)]
    async fn call_llm(&self, next: Next<'_, CallLlm>) -> Outcome<CallLlm> {
        crate::stream::around(&self.0, next).await
    }

    #[hookimpl(trylast)]
    fn on_session_start(&self, session: &Session) {
        for text in self.0.troubles() {
            session.notify(Notice::new(Severity::Warning, text));
        }
    }
}

/// Loads the installed plugins. What is wrong with one is the user's to hear, and stops no other.
fn load(py: Python<'_>, bridge: &Arc<Bridge>, entries: &[Entry]) {
    for entry in entries {
        if bridge.plugins.is_blocked(&entry.name) || bridge.has(&entry.name) {
            continue;
        }
        if let Err(error) = load_one(py, bridge, entry) {
            let kind = error.get_type(py).name().map(|name| name.to_string()).unwrap_or_default();
            let said = error.value(py).str().map(|text| text.to_string()).unwrap_or_default();
            let said = if said.is_empty() { kind } else { format!("{kind}: {said}") };
            bridge.trouble(format!("plugin `{}` ({}) is left out: {said}", entry.name, entry.from));
        }
    }
}

/// Imports a plugin, makes it if it is a class, and registers it under its entry point's name.
///
/// # Errors
/// Whatever it raised.
pub(crate) fn load_one(py: Python<'_>, bridge: &Arc<Bridge>, entry: &Entry) -> PyResult<()> {
    let plugin = py.import("crow_acp._plugins")?.call_method1("load", (&entry.value,))?;
    if let Ok(built_in) = plugin.cast::<crate::objects::builtin::BuiltIn>() {
        return built_in.get().register(&bridge.plugins).map_err(|error| crate::error::register_error(&error));
    }
    bridge.register(&plugin, Some(entry.name.clone())).map(drop)
}
