//! For programs that put an agent of the built-in plugins together themselves, as the Python face does.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use crow_acp::crow_hooks::RegisterError;
use crow_acp::server::ServeError;
use crow_acp::{Agent, Overrides, PluginManager};
use crow_plugin_system_prompt::SystemPrompt;

use crate::args::Cli;
use crate::host::{self, Host};
use crate::plugins::{BUILT_IN, Plugins};

/// Registers the built-in plugins. None of them opens or contacts anything before the agent starts.
///
/// # Errors
/// A name is taken.
pub fn built_in(plugins: &PluginManager) -> Result<(), RegisterError> {
    Plugins::built_in().register(plugins)
}

/// The names of the built-in plugins.
pub fn built_in_names() -> Vec<&'static str> {
    BUILT_IN.iter().map(|plugin| plugin.name).collect()
}

/// Registers one built-in plugin; `role` is what `system-prompt` says the agent is, if not the default.
///
/// # Errors
/// The name is taken.
pub fn register_built_in(plugins: &PluginManager, name: &str, role: Option<&str>) -> Result<(), RegisterError> {
    if let Some(role) = role {
        return plugins.register_as(name, SystemPrompt::new(role)).map(drop);
    }
    BUILT_IN.iter().filter(|plugin| plugin.name == name).try_for_each(|plugin| (plugin.register)(plugins))
}

/// Plugins that are installed where this crate does not look.
static ELSEWHERE: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Says which plugins are installed besides those that are registered when an agent is made: the configuration may speak
/// of them, and switch them off.
pub fn name_installed(names: impl IntoIterator<Item = String>) {
    *ELSEWHERE.lock().unwrap_or_else(PoisonError::into_inner) = names.into_iter().collect();
}

pub(crate) fn installed_elsewhere() -> Vec<String> {
    ELSEWHERE.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// An agent of these plugins, with the configuration of this process: files, environment and what `overrides` says. It
/// has not started anything yet. The log goes to `CROW_HOME/logs` from here on.
///
/// # Errors
/// The configuration cannot be used, or a plugin refuses it.
pub async fn agent(plugins: PluginManager, overrides: Overrides) -> Result<Agent, EmbedError> {
    let config = host::config(overrides).map_err(|failure| EmbedError(failure.what))?;
    let host = Host::of(config, plugins, None, None).await.map_err(|failure| EmbedError(failure.what))?;
    Ok(host.agent)
}

/// Why there is no agent.
#[derive(Debug)]
pub struct EmbedError(String);

impl std::fmt::Display for EmbedError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for EmbedError {}

/// The `crow` command of these arguments (without the program's name), with further plugins as in
/// [`main_with`](crate::main_with). Gives the exit code instead of ending the process.
pub fn run_with(
    args: impl IntoIterator<Item = OsString>,
    register: fn(&PluginManager) -> Result<(), RegisterError>,
) -> u8 {
    crate::end(Cli::parse(args), Plugins::and(register).that_print()) as u8
}

/// Serves `agent` on the standard input and output that this process began with, until the input ends. What is printed
/// from then on, by whatever code or child process, goes to standard error.
///
/// # Errors
/// The connection broke.
pub async fn serve_apart(agent: Agent) -> Result<(), ServeError> {
    let (input, output) = take_over().map_err(ServeError::Read)?;
    crow_acp::server::serve_blocking(agent, input, output).await
}

/// Takes standard input and output, and leaves others in their places.
fn take_over() -> io::Result<(File, File)> {
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    Ok((File::from(input), File::from(output)))
}
