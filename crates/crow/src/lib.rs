//! The `crow` command: command line and built-in plugins, wired together.
//!
//! As a library it is the same command for programs with plugins of their own: see [`main_with`].
#![forbid(unsafe_code)]

mod args;
mod client;
mod commands;
mod config_file;
mod dialog;
mod discover;
mod embed;
mod exit;
mod handover;
mod help;
mod host;
mod logs;
mod plugins;
mod render;
mod show;
mod signals;
mod time;
mod trace;
mod transcript;
mod turn;

pub use crate::embed::{
    EmbedError, agent, built_in, built_in_names, name_installed, register_built_in, run_with, serve_apart,
};

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use crate::args::{Cli, Command};
use crow_acp::PluginManager;
use crow_acp::crow_hooks::RegisterError;

use crate::exit::{Exit, Failure};
use crate::plugins::Plugins;

/// Threads that run tasks: enough for a stream and the tools beside it.
const WORKERS: usize = 2;

/// The `crow` command: with the built-in plugins, and those that `crow plugin add` installed. Where some are installed,
/// this process becomes the program that was built with them.
pub fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let cli = Cli::parse(args.clone());
    let notice = handover::to_program(&cli, &args);
    start(cli, Plugins::built_in().without_installed(notice))
}

/// The `crow` command with further plugins: every command knows them, `crow acp` and `crow plugins` included. They are
/// registered after the built-in ones, so that among equals they are called first.
///
/// ```no_run
/// use crow_acp::{CrowHooks, Message, hookimpls};
///
/// struct NoSecrets;
///
/// #[hookimpls]
/// impl CrowHooks for NoSecrets {
///     fn before_prompt(&self, prompt: &mut Message) -> Result<(), String> {
///         if prompt.text().contains("sk-") { Err("that looks like a key".into()) } else { Ok(()) }
///     }
/// }
///
/// fn main() -> std::process::ExitCode {
///     crow::main_with(|plugins| plugins.register(NoSecrets).map(drop))
/// }
/// ```
pub fn main_with(register: fn(&PluginManager) -> Result<(), RegisterError>) -> ExitCode {
    start(Cli::parse(std::env::args_os().skip(1)), Plugins::and(register))
}

fn start(cli: Result<Cli, Failure>, plugins: Plugins) -> ExitCode {
    end(cli, plugins).into()
}

fn end(cli: Result<Cli, Failure>, plugins: Plugins) -> Exit {
    let ended = cli.map(|cli| Cli { plugins, ..cli }).and_then(|cli| run(&cli));
    ended.unwrap_or_else(|failure| {
        if !failure.what.is_empty() {
            // There is nothing to be done about a closed standard error.
            let _ = writeln!(std::io::stderr(), "{failure}");
        }
        failure.exit
    })
}

fn run(cli: &Cli) -> Result<Exit, Failure> {
    match &cli.command {
        Command::Help(topic) => return print(topic.page()),
        Command::Version => return print(concat!("crow ", env!("CARGO_PKG_VERSION"), "\n")),
        _ => {}
    }
    logs::catch_panics();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    let ended = runtime.block_on(async {
        match &cli.command {
            Command::Help(_) | Command::Version => Ok(Exit::Done),
            Command::Status => commands::status::run(cli).await,
            Command::Acp => commands::acp::run(cli).await,
            Command::Run(run) => commands::run::run(cli, run).await,
            Command::Demo { keep } => commands::demo::run(cli, *keep).await,
            Command::Init(init) => commands::init::run(cli, init).await,
            Command::Doctor => commands::doctor::run(cli).await,
            Command::Plugins => commands::plugins::run(cli).await,
            Command::Hooks { name } => commands::hooks::run(cli, name.as_deref()).await,
            Command::Sessions(sessions) => commands::sessions::run(cli, sessions).await,
            Command::Stats(stats) => commands::stats::run(cli, stats),
            Command::Import(file) => commands::import::run(cli, file).await,
            Command::Plugin(plugin) => commands::plugin::run(cli, plugin).await,
            Command::Trust(trust) => commands::trust::run(cli, trust).await,
        }
    });
    // A thread that still waits for standard input must not hold up the end.
    runtime.shutdown_background();
    ended
}

fn print(page: &str) -> Result<Exit, Failure> {
    std::io::stdout().write_all(page.as_bytes())?;
    Ok(Exit::Done)
}
