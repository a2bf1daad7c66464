//! `crow plugins`: what is installed and switched on.

use serde_json::json;

use crate::args::Cli;
use crate::commands::plugin::{self, Place};
use crate::dialog::say;
use crate::exit::{Exit, Failure};
use crate::host::{self, Host};
use crate::plugins;
use crate::render::{Palette, Style};

/// Runs the command.
///
/// # Errors
/// The configuration cannot be used.
pub(crate) async fn run(cli: &Cli) -> Result<Exit, Failure> {
    let host = Host::new(host::config(cli.overrides.clone())?, cli.plugins, None).await?;
    let listed = host.agent.plugins().list();
    let off = plugins::off(host.agent.plugins());
    let installed = plugin::installed(&Place::new(host.agent.config().home()));
    let from = |name: &str| {
        let all = installed.iter().flat_map(|built| &built.plugins);
        all.clone().find(|plugin| plugin.name == name).map(|plugin| plugin.from.as_str())
    };
    if cli.json {
        let on: Vec<_> = listed
            .iter()
            .map(|plugin| {
                let name = &*plugin.info.name;
                let source = match (plugins::about(name), from(name)) {
                    (Some(_), _) => "built-in",
                    (None, Some(_)) => "installed",
                    (None, None) => "linked",
                };
                json!({
                    "name": name, "version": plugin.info.version, "enabled": true, "origin": plugin.info.origin,
                    "source": source, "from": from(name),
                    "about": plugins::about(&plugin.info.name), "hooks": plugin.hooks,
                })
            })
            .collect();
        let off = off
            .iter()
            .map(|name| json!({ "name": name, "enabled": false, "source": "built-in", "about": plugins::about(name), "hooks": [] }));
        let all: Vec<_> = on.into_iter().chain(off).collect();
        say(&json!({ "plugins": all }).to_string())?;
        return Ok(Exit::Done);
    }
    let palette = Palette::of(&std::io::stdout());
    let width =
        listed.iter().map(|plugin| plugin.info.name.len()).chain(off.iter().map(|name| name.len())).max().unwrap_or(0);
    for plugin in &listed {
        let name = &plugin.info.name;
        let about = match (plugins::about(name), from(name)) {
            (Some(about), _) => about.to_owned(),
            (None, Some(from)) => format!("installed from {from}"),
            (None, None) => format!("linked: {}", plugin.info.origin),
        };
        let version = plugin.info.version.as_deref().unwrap_or("");
        let pad = " ".repeat(width - name.len());
        let version = palette.paint(Style::Dim, version);
        say(&format!("{}{pad}  {version}  {about}", palette.paint(Style::Bold, name)))?;
        say(&format!("{:width$}  {}", "", palette.paint(Style::Dim, &plugin.hooks.join(", "))))?;
    }
    for name in off {
        let about = plugins::about(name).unwrap_or_default();
        say(&palette.paint(Style::Dim, &format!("{name:width$}  off    {about}")))?;
    }
    for notice in &host.notices {
        say(&palette.paint(Style::Warn, &notice.title))?;
    }
    say(&palette.paint(
        Style::Dim,
        "\nRegistered in this order: built-in ones, then installed ones by their crates' names.\nOff for once: -p no:NAME   for good: [plugins] disabled = [\"NAME\"]   in call order: crow hooks",
    ))?;
    Ok(Exit::Done)
}
