//! `crow plugin add`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use toml_edit::DocumentMut;

use super::build::Cargo;
use super::built::{Built, BuiltPlugin};
use super::change::Change;
use super::host::{Installed, Place};
use super::inspect::Packages;
use super::source::Source;
use crate::dialog::say;
use crate::exit::Failure;
use crate::signals::Interrupts;

/// Other packages that are named before anything is built.
const NAMED: usize = 12;

/// What is to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
enum What<'a> {
    Crate(&'a str),
    Path(&'a Path),
    Git(&'a str),
}

impl<'a> What<'a> {
    fn of(text: &'a str) -> Self {
        if text.contains("://") || text.starts_with("git@") {
            Self::Git(text)
        } else if text.contains('/') || text == "." || text == ".." {
            Self::Path(Path::new(text))
        } else {
            Self::Crate(text)
        }
    }
}

/// Runs it.
///
/// # Errors
/// Nothing was changed; the failure says why.
pub(crate) async fn run(
    place: Place,
    source: Source,
    what: &str,
    package: Option<&str>,
    state: Option<&(&'static str, String)>,
) -> Result<(), Failure> {
    let started = Instant::now();
    let what = What::of(what);
    if !matches!(what, What::Git(_)) && (package.is_some() || state.is_some()) {
        return Err(Failure::usage(
            "a package's name, --branch, --tag and --rev go with the address of a git repository",
        ));
    }
    let mut interrupts = Interrupts::listen()?;
    let mut change = Change::begin(place.clone(), source)?;
    let mut cargo = Cargo::find(&place, &mut interrupts).await?;
    let name = match what {
        What::Path(path) => {
            let (name, path) = package_in(path)?;
            refuse_known(&change, &name)?;
            change.manifest.add_path(&name, &path);
            change.stage()?;
            name
        }
        What::Crate(text) => {
            let name = text.split('@').next().unwrap_or(text);
            refuse_known(&change, name)?;
            change.stage()?;
            let added = change.cargo_add(&mut cargo, &[text]).await;
            added.map_err(|failure| here_instead(failure, name))?
        }
        What::Git(address) => {
            change.stage()?;
            let state = state.map(|(kind, name)| (format!("--{kind}"), name));
            let mut args = vec!["--git", address.strip_prefix("git+").unwrap_or(address)];
            args.extend(state.iter().flat_map(|(kind, name)| [kind.as_str(), name.as_str()]));
            args.extend(package);
            change.cargo_add(&mut cargo, &args).await?
        }
    };
    let packages = change.resolve(&mut cargo).await?;
    let plugin = change.manifest.find(&name).ok_or_else(|| Failure::failed(format!("`{name}` was not added")))?;
    packages.check(&plugin)?;
    warn(&packages, &plugin)?;
    announce(&change)?;
    let built = change.finish(&mut cargo).await?;
    let one = built.plugins.iter().find(|one| one.package == plugin.name);
    say(&done(one.unwrap_or(&BuiltPlugin::default()), started))
}

fn done(plugin: &BuiltPlugin, started: Instant) -> String {
    let name = &plugin.name;
    let hooks = if plugin.hooks.is_empty() { "no hooks".to_owned() } else { plugin.hooks.join(", ") };
    let seconds = started.elapsed().as_secs_f64();
    format!(
        "Installed {name} {} in {seconds:.0} s. It implements {hooks}.\n  \
         `crow plugins` lists it, `crow hooks` shows its place, `-p no:{name}` does without it for once.",
        plugin.version
    )
}

/// The name of the package in a directory, and the directory.
fn package_in(path: &Path) -> Result<(String, PathBuf), Failure> {
    let shown = path.display();
    let path = fs::canonicalize(path).map_err(|error| Failure::usage(format!("`{shown}`: {error}")))?;
    let manifest = path.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).map_err(|_| {
        Failure::usage(format!("`{shown}` is no Rust crate: it has no Cargo.toml"))
            .next("`crow plugin new NAME` writes a plugin to start from.")
    })?;
    let document: DocumentMut =
        text.parse().map_err(|error| Failure::usage(format!("{}: {error}", manifest.display())))?;
    let name = document.get("package").and_then(|package| package.get("name")).and_then(|name| name.as_str());
    let name = name.ok_or_else(|| {
        Failure::usage(format!("`{shown}` has several packages and is none itself"))
            .next("Name the directory of the plugin in it.")
    })?;
    Ok((name.to_owned(), path))
}

fn refuse_known(change: &Change, name: &str) -> Result<(), Failure> {
    if ["crow", "crow-hooks", "crow-host"].contains(&name) {
        return Err(Failure::usage(format!("`{name}` is a part of Crow, not a plugin")));
    }
    match change.manifest.find(name) {
        None => Ok(()),
        Some(known) => Err(Failure::usage(format!("`{}` is installed already, from {}", known.name, known.from))
            .next("To build it again after a change, or in a newer version: crow plugin update")),
    }
}

/// A crate that does not exist may be a directory that does.
fn here_instead(failure: Failure, name: &str) -> Failure {
    if !Path::new(name).join("Cargo.toml").is_file() {
        return failure;
    }
    let next = failure.next.clone().unwrap_or_default();
    failure.next(format!("{next}\nFor the directory of that name: crow plugin add ./{name}"))
}

/// Says what code is going to run.
fn warn(packages: &Packages, plugin: &Installed) -> Result<(), Failure> {
    let brought = packages.brought_by(plugin);
    let (own, others) = brought.split_first().map_or(("", &[][..]), |(own, others)| (own.as_str(), others));
    say(&format!("{own} from {}", plugin.from))?;
    say("  Its code becomes a part of Crow and runs with your rights, now and in every run of Crow.")?;
    match others {
        [] => say("  It brings no packages that Crow does not have."),
        others => {
            let named = others.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = others.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let count = if others.len() == 1 { "a package".to_owned() } else { format!("{} packages", others.len()) };
            say(&format!("  It brings {count} along: {named}{more}."))
        }
    }
}

/// Says what is about to be built.
///
/// # Errors
/// Nobody reads.
pub(crate) fn announce(change: &Change) -> Result<(), Failure> {
    let count = change.manifest.installed().len();
    let plugins = if count == 1 { "one plugin".to_owned() } else { format!("{count} plugins") };
    let time = if change.place.target().exists() { "" } else { "; the first time takes minutes" };
    say(&format!("Compiling Crow with {plugins}, from {}{time}.", change.source.describe()))
}

/// Reads what was last built, if anything was.
pub(crate) fn built(place: &Place) -> Option<Built> {
    fs::read_to_string(place.built()).ok().and_then(|text| Built::read(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_paths_and_repositories() {
        assert_eq!(What::of("crow-word-count@1.2"), What::Crate("crow-word-count@1.2"));
        assert_eq!(What::of("./word-count"), What::Path(Path::new("./word-count")));
        assert_eq!(What::of("."), What::Path(Path::new(".")));
        assert_eq!(What::of("file:///srv/word-count.git"), What::Git("file:///srv/word-count.git"));
        assert_eq!(What::of("git@host:me/word-count"), What::Git("git@host:me/word-count"));
    }

    #[test]
    fn a_directory_must_have_a_package() {
        let dir = tempfile::tempdir().unwrap();
        assert!(package_in(dir.path()).unwrap_err().what.contains("no Cargo.toml"));
        fs::write(dir.path().join("Cargo.toml"), "[workspace]\n").unwrap();
        assert!(package_in(dir.path()).unwrap_err().what.contains("several packages"));
        fs::write(dir.path().join("Cargo.toml"), "[package]\nname = \"x\"\n").unwrap();
        assert_eq!(package_in(dir.path()).unwrap().0, "x");
    }
}
