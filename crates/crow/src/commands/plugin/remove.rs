//! `crow plugin remove` and `crow plugin update`.

use std::time::Instant;

use super::add::{announce, built};
use super::build::{Cargo, first_error};
use super::change::Change;
use super::host::Place;
use super::source::Source;
use crate::args::nearest;
use crate::dialog::say;
use crate::exit::Failure;
use crate::signals::Interrupts;

/// Takes a plugin out. `name` is the crate's or the plugin's own.
///
/// # Errors
/// Nothing was changed; the failure says why.
pub(crate) async fn remove(place: Place, source: Source, name: &str) -> Result<(), Failure> {
    let started = Instant::now();
    let mut interrupts = Interrupts::listen()?;
    let mut change = Change::begin(place.clone(), source)?;
    let known = built(&place).map(|built| built.plugins).unwrap_or_default();
    let by_own_name = known.iter().find(|plugin| plugin.name == name).map(|plugin| plugin.package.as_str());
    let found = change.manifest.find(name).or_else(|| change.manifest.find(by_own_name?));
    let Some(plugin) = found else {
        let names: Vec<String> = change.manifest.installed().into_iter().map(|one| one.name).collect();
        let next = match nearest(name, names.iter().map(String::as_str)) {
            Some(near) => format!("Did you mean `{near}`?"),
            None if names.is_empty() => {
                "None is. A built-in one is switched off by [plugins] disabled = [\"NAME\"].".into()
            }
            None => format!("Installed are {}.", names.join(", ")),
        };
        return Err(Failure::usage(format!("no plugin `{name}` is installed")).next(next));
    };
    change.manifest.remove(&plugin.name);
    if change.manifest.installed().is_empty() {
        change.clear()?;
        return say(&format!("Removed {}. No plugins are installed: `crow` is itself again.", plugin.name));
    }
    let mut cargo = Cargo::find(&place, &mut interrupts).await?;
    change.stage()?;
    change.resolve(&mut cargo).await?;
    announce(&change)?;
    change.finish(&mut cargo).await?;
    say(&format!("Removed {} in {:.0} s.", plugin.name, started.elapsed().as_secs_f64()))
}

/// Builds all again: newer versions of the crates, changed sources, another crow.
///
/// # Errors
/// Nothing was changed; the failure says why.
pub(crate) async fn update(place: Place, source: Source) -> Result<(), Failure> {
    let started = Instant::now();
    let mut interrupts = Interrupts::listen()?;
    let change = Change::begin(place.clone(), source)?;
    let installed = change.manifest.installed();
    if installed.is_empty() {
        return say("No plugins are installed: there is nothing to update.");
    }
    let mut cargo = Cargo::find(&place, &mut interrupts).await?;
    change.stage()?;
    let elsewhere: Vec<&str> = installed.iter().filter(|one| one.path.is_none()).map(|one| one.name.as_str()).collect();
    if !elsewhere.is_empty() {
        let args: Vec<&str> = ["update"].into_iter().chain(elsewhere).collect();
        let ended = cargo.run(&args).await?;
        if !ended.success {
            return Err(cargo.failed("newer versions cannot be found", &first_error(&ended.stderr)));
        }
    }
    let packages = change.resolve(&mut cargo).await?;
    installed.iter().try_for_each(|plugin| packages.check(plugin))?;
    announce(&change)?;
    let old = built(&place).map(|built| built.plugins).unwrap_or_default();
    let new = change.finish(&mut cargo).await?;
    for plugin in &new.plugins {
        let before = old.iter().find(|one| one.package == plugin.package).map(|one| one.version.as_str());
        let was = before.filter(|version| *version != plugin.version).map(|version| format!(" (was {version})"));
        say(&format!("  {} {}{}", plugin.name, plugin.version, was.unwrap_or_default()))?;
    }
    say(&format!("Updated in {:.0} s.", started.elapsed().as_secs_f64()))
}
