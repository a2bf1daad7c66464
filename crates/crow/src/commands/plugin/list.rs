//! `crow plugin list`.

use serde_json::{Value, json};

use super::add::built;
use super::host::Place;
use crate::dialog::say;
use crate::exit::Failure;
use crate::render::{Palette, Style};

/// Lists the installed plugins, in the order in which they are registered.
///
/// # Errors
/// The manifest cannot be read.
pub(crate) fn run(place: &Place, json: bool) -> Result<(), Failure> {
    let installed = place.read()?.installed();
    let built = built(place);
    let plugins = built.iter().flat_map(|built| &built.plugins);
    let known = |name: &str| plugins.clone().find(|plugin| plugin.package == name);
    if json {
        let plugins: Vec<Value> = installed
            .iter()
            .map(|one| {
                let plugin = known(&one.name);
                json!({
                    "crate": one.name, "from": one.from, "name": plugin.map(|plugin| &plugin.name),
                    "version": plugin.map(|plugin| &plugin.version), "hooks": plugin.map(|plugin| &plugin.hooks),
                })
            })
            .collect();
        let program = built.as_ref().map(|built| json!({ "path": place.program(), "crow": built.crow }));
        return say(&json!({ "plugins": plugins, "program": program }).to_string());
    }
    let palette = Palette::of(&std::io::stdout());
    if installed.is_empty() {
        say("No plugins are installed beyond the built-in ones (`crow plugins` lists those).\n")?;
        return say("  crow plugin add CRATE|PATH|GIT   install one\n  crow plugin new NAME             write one");
    }
    for one in &installed {
        let (name, version) = known(&one.name).map_or((&*one.name, "?"), |plugin| (&plugin.name, &plugin.version));
        let hooks = known(&one.name).map(|plugin| plugin.hooks.join(", ")).unwrap_or_default();
        let package = if name == one.name { String::new() } else { format!("crate {}, ", one.name) };
        say(&format!("{}  {version}  {package}from {}", palette.paint(Style::Bold, name), one.from))?;
        say(&format!("    {}", palette.paint(Style::Dim, &hooks)))?;
    }
    match &built {
        Some(built) if built.is_current() && place.program().is_file() => Ok(()),
        Some(built) if place.program().is_file() => say(&palette.paint(
            Style::Warn,
            &format!("They are built for crow {}, and this one is newer: crow plugin update", built.crow),
        )),
        _ => say(&palette.paint(Style::Warn, "They are not built: crow plugin update")),
    }
}
