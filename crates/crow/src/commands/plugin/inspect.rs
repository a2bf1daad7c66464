//! What a build would consist of, before anything is built: whether each plugin fits this crow, and what it brings.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::host::Installed;
use super::source::VERSION;
use crate::exit::Failure;

/// The crate that has the interface to plugins.
const INTERFACE: &str = "crow-acp";

/// The packages of a build and who depends on whom, from `cargo metadata`.
#[derive(Debug)]
pub(crate) struct Packages {
    by_id: BTreeMap<String, Package>,
    /// The dependencies of the generated crate: their names in code, and their ids.
    roots: Vec<(String, String)>,
}

#[derive(Debug)]
struct Package {
    name: String,
    version: String,
    /// Its directory, if it is from one.
    directory: Option<String>,
    /// It runs code while it is built.
    runs: bool,
    /// The version of the hooks, which only the interface states.
    hooks: Option<u64>,
    needs: Vec<String>,
}

impl Package {
    fn describe(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    fn place(&self) -> String {
        self.directory.clone().unwrap_or_else(|| format!("crates.io, {}", self.version))
    }
}

impl Packages {
    /// Reads what `cargo metadata` printed.
    ///
    /// # Errors
    /// It is not what cargo prints.
    pub(crate) fn read(text: &str) -> Result<Self, Failure> {
        let odd = || Failure::failed("cargo describes the packages in a way that this crow does not understand");
        let all: Value = serde_json::from_str(text).map_err(|_| odd())?;
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let string = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut by_id = BTreeMap::new();
        for package in list(&all["packages"]) {
            let kinds = list(&package["targets"]).into_iter().flat_map(|target| list(&target["kind"]));
            let runs = kinds.into_iter().any(|kind| kind == "custom-build" || kind == "proc-macro");
            let directory = package["source"].is_null().then(|| {
                let manifest = string(&package["manifest_path"]);
                manifest.strip_suffix("/Cargo.toml").map(str::to_owned).unwrap_or(manifest)
            });
            let (name, version) = (string(&package["name"]), string(&package["version"]));
            let hooks = package["metadata"]["crow"]["hook-api"].as_u64();
            let package =
                (string(&package["id"]), Package { name, version, directory, runs, hooks, needs: Vec::new() });
            by_id.insert(package.0, package.1);
        }
        let root = all["resolve"]["root"].as_str().ok_or_else(odd)?;
        let mut roots = Vec::new();
        for node in list(&all["resolve"]["nodes"]) {
            let needs = list(&node["deps"]);
            if node["id"] == root {
                roots = needs.iter().map(|need| (string(&need["name"]), string(&need["pkg"]))).collect();
            } else if let Some(package) = by_id.get_mut(&string(&node["id"])) {
                package.needs = needs.iter().map(|need| string(&need["pkg"])).collect();
            }
        }
        Ok(Self { by_id, roots })
    }

    /// Whether this plugin was made for the hooks of this crow.
    ///
    /// # Errors
    /// It was not, or it is no plugin at all; the failure says what to do.
    pub(crate) fn check(&self, plugin: &Installed) -> Result<(), Failure> {
        let Some((id, package)) = self.find(&plugin.name) else {
            return Err(Failure::failed(format!("cargo does not know `{}`", plugin.name)));
        };
        let ours = self.find("crow").and_then(|(id, _)| self.interfaces(id).into_iter().next());
        let theirs = self.interfaces(id);
        let Some(other) = theirs.iter().find(|one| ours != Some(**one)) else {
            if !theirs.is_empty() {
                return Ok(());
            }
            let what = format!("`{}` is no plugin for Crow: it does not depend on {INTERFACE}", package.name);
            return Err(Failure::usage(what).next("`crow plugin new NAME` writes one to start from."));
        };
        let (Some(ours), Some(other)) = (ours.and_then(|id| self.by_id.get(id)), self.by_id.get(*other)) else {
            return Err(Failure::failed(format!("this crow has no {INTERFACE}")));
        };
        Err(mismatch(package, other, ours))
    }

    /// What a plugin brings along that Crow itself does not have: its own package first.
    pub(crate) fn brought_by(&self, plugin: &Installed) -> Vec<String> {
        let (Some((id, package)), Some((crow, _))) = (self.find(&plugin.name), self.find("crow")) else {
            return Vec::new();
        };
        let known = self.reachable(crow);
        let mut brought: Vec<&Package> =
            self.reachable(id).difference(&known).filter_map(|id| self.by_id.get(*id)).collect();
        brought.retain(|one| !std::ptr::eq(*one, package));
        brought.sort_by(|one, other| one.name.cmp(&other.name));
        let note = |one: &Package| {
            let runs = if one.runs { " (runs code while it is built)" } else { "" };
            format!("{}{runs}", one.describe())
        };
        std::iter::once(package).chain(brought).map(note).collect()
    }

    /// A dependency of the generated crate, by its name in the manifest.
    fn find(&self, name: &str) -> Option<(&str, &Package)> {
        let in_code = name.replace('-', "_");
        let by_name = |(_, id): &&(String, String)| self.by_id.get(id).is_some_and(|package| package.name == name);
        let found = self.roots.iter().find(|(root, _)| *root == in_code).or_else(|| self.roots.iter().find(by_name));
        let (_, id) = found?;
        Some((id, self.by_id.get(id)?))
    }

    /// The interfaces that a package uses, itself or through others.
    fn interfaces<'a>(&'a self, id: &'a str) -> Vec<&'a str> {
        let is = |id: &&str| self.by_id.get(*id).is_some_and(|package| package.name == INTERFACE);
        self.reachable(id).into_iter().filter(is).collect()
    }

    fn reachable<'a>(&'a self, id: &'a str) -> BTreeSet<&'a str> {
        let (mut seen, mut open) = (BTreeSet::new(), vec![id]);
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(
                    self.by_id.get(id).into_iter().flat_map(|package| package.needs.iter().map(String::as_str)),
                );
            }
        }
        seen
    }
}

/// Why a plugin that uses another interface cannot be linked, and what to do.
fn mismatch(plugin: &Package, theirs: &Package, ours: &Package) -> Failure {
    let name = &plugin.name;
    match (theirs.hooks, ours.hooks) {
        (Some(their), Some(our)) if their != our => {
            let what = format!(
                "`{name}` {} was made for version {their} of Crow's hooks, and this crow {VERSION} has version {our}",
                plugin.version
            );
            Failure::failed(what).next(if their > our {
                format!("Update crow, or add an older version of the plugin: crow plugin add {name}@VERSION")
            } else {
                format!(
                    "Ask for a newer version of `{name}`; if it is yours, let it depend on {INTERFACE} {} and compile it.",
                    ours.version
                )
            })
        }
        _ => Failure::failed(format!(
            "`{name}` {} uses another {INTERFACE} ({}) than this crow ({}), and two copies of one interface do not fit \
             together",
            plugin.version,
            theirs.place(),
            ours.place()
        ))
        .next(format!(
            "Let `{name}` depend on the same {INTERFACE}, or build Crow from the other checkout: --source PATH"
        )),
    }
}

/// What to add to cargo's own words when it cannot find an interface that all agree on.
pub(crate) fn hint(stderr: &str) -> Option<String> {
    if stderr.contains(&format!("package collision in the lockfile: packages {INTERFACE} ")) {
        return Some(format!(
            "Two copies of one interface do not fit together: let the plugin depend on the {INTERFACE} that this crow is \
             built from, or build Crow from the plugin's checkout: --source PATH"
        ));
    }
    stderr.contains(&format!("`{INTERFACE}`")).then(|| {
        format!("A plugin has to be made for the hooks of this crow: it depends on {INTERFACE} {VERSION} or a compatible one.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use serde_json::json;

    /// Crow with its interface, and a plugin that uses `interface` and brings `tiny` along.
    fn world(interface: &str) -> Packages {
        let package = |id: &str, name: &str, path: &str, kind: &str, hooks: Option<u64>| {
            let metadata = hooks.map(|hooks| json!({ "crow": { "hook-api": hooks } }));
            json!({ "id": id, "name": name, "version": "0.1.0", "source": null, "manifest_path": format!("{path}/Cargo.toml"),
                "targets": [{ "kind": [kind] }], "metadata": metadata })
        };
        let dep = |name: &str, id: &str| json!({ "name": name, "pkg": id });
        let packages = [
            package("crow", "crow", "/crow/crates/crow", "lib", None),
            package("acp", "crow-acp", "/crow/crates/crow-acp", "lib", Some(1)),
            package("acp-copy", "crow-acp", "/copy/crates/crow-acp", "lib", Some(1)),
            package("acp-2", "crow-acp", "/next/crates/crow-acp", "lib", Some(2)),
            package("acp-0", "crow-acp", "/past/crates/crow-acp", "lib", Some(0)),
            package("plugin", "word-count", "/src/word-count", "lib", None),
            package("tiny", "tiny", "/src/tiny", "custom-build", None),
        ];
        let needs = if interface.is_empty() { vec![] } else { vec![dep("crow_acp", interface)] };
        let plugin: Vec<Value> = needs.into_iter().chain([dep("tiny", "tiny")]).collect();
        let nodes = json!([
            { "id": "host", "deps": [dep("crow", "crow"), dep("word_count", "plugin")] },
            { "id": "crow", "deps": [dep("crow_acp", "acp")] },
            { "id": "plugin", "deps": plugin },
        ]);
        let all = json!({ "packages": packages, "resolve": { "root": "host", "nodes": nodes } });
        Packages::read(&all.to_string()).unwrap()
    }

    fn plugin() -> Installed {
        Installed { name: "word-count".into(), from: "/src/word-count".into(), path: None }
    }

    fn refused(interface: &str, expected: Expect) {
        let failure = world(interface).check(&plugin()).unwrap_err().to_string();
        expected.assert_eq(&failure.replace(VERSION, "0.1.0"));
    }

    #[test]
    fn cargos_words_get_a_hint() {
        let collision =
            "error: package collision in the lockfile: packages crow-acp v0.1.0 (/a) and crow-acp v0.1.0 (/b)";
        assert!(hint(collision).unwrap().contains("--source PATH"));
        assert!(hint("error: failed to select a version for `crow-acp`.").unwrap().contains("compatible"));
        assert_eq!(hint("error: no matching package named `serde`"), None);
    }

    #[test]
    fn a_plugin_that_fits_and_what_it_brings() {
        let world = world("acp");
        world.check(&plugin()).unwrap();
        assert_eq!(world.brought_by(&plugin()), ["word-count 0.1.0", "tiny 0.1.0 (runs code while it is built)"]);
    }

    #[test]
    fn plugins_that_do_not_fit_are_refused_in_sentences() {
        refused(
            "acp-2",
            expect![[r#"
                crow: `word-count` 0.1.0 was made for version 2 of Crow's hooks, and this crow 0.1.0 has version 1
                  Update crow, or add an older version of the plugin: crow plugin add word-count@VERSION"#]],
        );
        refused(
            "acp-0",
            expect![[r#"
                crow: `word-count` 0.1.0 was made for version 0 of Crow's hooks, and this crow 0.1.0 has version 1
                  Ask for a newer version of `word-count`; if it is yours, let it depend on crow-acp 0.1.0 and compile it."#]],
        );
        refused(
            "acp-copy",
            expect![[r#"
                crow: `word-count` 0.1.0 uses another crow-acp (/copy/crates/crow-acp) than this crow (/crow/crates/crow-acp), and two copies of one interface do not fit together
                  Let `word-count` depend on the same crow-acp, or build Crow from the other checkout: --source PATH"#]],
        );
        refused(
            "",
            expect![[r#"
                crow: `word-count` is no plugin for Crow: it does not depend on crow-acp
                  `crow plugin new NAME` writes one to start from."#]],
        );
    }
}
