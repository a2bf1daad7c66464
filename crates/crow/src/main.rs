//! The `crow` command: command line and built-in plugins, wired together.
#![forbid(unsafe_code)]

mod args;
mod client;
mod commands;
mod config_file;
mod dialog;
mod discover;
mod exit;
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

use std::io::Write;
use std::process::ExitCode;

use crate::args::{Cli, Command};
use crate::exit::{Exit, Failure};

/// Threads that run tasks: enough for a stream and the tools beside it.
const WORKERS: usize = 2;

fn main() -> ExitCode {
    let ended = Cli::parse(std::env::args_os().skip(1)).and_then(|cli| run(&cli));
    ended
        .unwrap_or_else(|failure| {
            // There is nothing to be done about a closed standard error.
            let _ = writeln!(std::io::stderr(), "{failure}");
            failure.exit
        })
        .into()
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
