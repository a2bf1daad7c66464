//! `crow import`: the sessions of an earlier Crow.

use std::path::Path;

use crow_plugin_persistence::read_earlier;
use serde_json::json;

use crate::args::Cli;
use crate::dialog::say;
use crate::exit::{Exit, Failure};
use crate::host::{self, Host};
use crate::plugins;
use crate::render::clean;

/// Runs the command.
///
/// # Errors
/// The file is not of an earlier Crow, or the store failed.
pub(crate) async fn run(cli: &Cli, file: &str) -> Result<Exit, Failure> {
    let host = Host::new(host::config(cli.overrides.clone())?, cli.plugins, None).await?;
    let done = import(&host.agent, file, cli.json);
    host.agent.shutdown().await;
    done.map(|()| Exit::Done)
}

fn import(agent: &crow_acp::Agent, file: &str, json: bool) -> Result<(), Failure> {
    let off = || Failure::usage("`crow import` is for the built-in store, and `persistence` is switched off");
    let archive = plugins::archive(agent)?.ok_or_else(off)?;
    let failed = |error: crow_plugin_persistence::StoreError| Failure::failed(error.to_string());
    let earlier = read_earlier(Path::new(file), &std::env::current_dir()?).map_err(failed)?;
    let ids: Vec<String> = earlier.sessions.iter().map(|session| session.summary.id.clone()).collect();
    let new = archive.insert_all(earlier.sessions).map_err(failed)?;
    let of = |wanted: bool| -> Vec<&String> {
        ids.iter().zip(&new).filter(|(_, new)| **new == wanted).map(|(id, _)| id).collect()
    };
    if json {
        return say(&json!({ "imported": of(true), "known": of(false), "skipped": earlier.skipped }).to_string());
    }
    for reason in &earlier.skipped {
        say(&format!("Left out {}", clean(reason)))?;
    }
    let known = match of(false).len() {
        0 => String::new(),
        count => format!(", {count} were there already"),
    };
    say(&format!("Imported {} sessions{known}", of(true).len()))
}
