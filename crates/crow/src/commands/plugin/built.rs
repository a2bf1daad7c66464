//! What a program with plugins says of itself, and what is kept of that beside it.

use crow_acp::crow_hooks::Contract;
use crow_acp::{CrowHooks, PluginManager};
use serde_json::{Value, json};

use super::host::Installed;
use super::source::VERSION;
use crate::dialog::say;
use crate::exit::Failure;
use crate::plugins::{self, Plugins};

/// The program in `CROW_HOME/bin`: which crow it is, and which plugins are in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Built {
    /// The version of Crow.
    pub(crate) crow: String,
    /// The size of the program in bytes: one that was cut short must not be started.
    pub(crate) size: u64,
    /// The plugins, in the order in which they are registered.
    pub(crate) plugins: Vec<BuiltPlugin>,
}

/// A plugin that is in the program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct BuiltPlugin {
    /// The crate's name in the manifest.
    pub(crate) package: String,
    /// Where the crate is from.
    pub(crate) from: String,
    /// The plugin's own name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// The hooks it implements.
    pub(crate) hooks: Vec<String>,
}

impl Built {
    /// What a program printed for `crow plugin check`. The plugins' crates are not known yet.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let all: Value = serde_json::from_str(text).ok()?;
        let string = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let plugin = |one: &Value| BuiltPlugin {
            package: string(&one["crate"]),
            from: string(&one["from"]),
            name: string(&one["name"]),
            version: string(&one["version"]),
            hooks: one["hooks"].as_array().into_iter().flatten().map(string).collect(),
        };
        Some(Self {
            crow: all["crow"].as_str()?.to_owned(),
            size: all["size"].as_u64().unwrap_or_default(),
            plugins: all["plugins"].as_array()?.iter().map(plugin).collect(),
        })
    }

    /// Says which crate each plugin is from. Both are in the order of the crates' names, one plugin for each crate.
    pub(crate) fn name_crates(&mut self, installed: &[Installed]) {
        for (plugin, installed) in self.plugins.iter_mut().zip(installed) {
            plugin.package.clone_from(&installed.name);
            plugin.from.clone_from(&installed.from);
        }
    }

    pub(crate) fn text(&self) -> String {
        let plugin = |one: &BuiltPlugin| json!({ "crate": one.package, "from": one.from, "name": one.name, "version": one.version, "hooks": one.hooks });
        json!({ "crow": self.crow, "size": self.size, "plugins": self.plugins.iter().map(plugin).collect::<Vec<_>>() })
            .to_string()
    }

    /// Whether it is the same version of Crow as this one, or a newer one.
    pub(crate) fn is_current(&self) -> bool {
        order(&self.crow) >= order(VERSION)
    }
}

/// `1.10.2-beta` → `[1, 10, 2]`
fn order(version: &str) -> Vec<u64> {
    let version = version.split(['-', '+']).next().unwrap_or_default();
    version.split('.').map(|part| part.parse().unwrap_or_default()).collect()
}

/// Registers all plugins of this program, and prints those that are not built in. No configuration, no files.
///
/// # Errors
/// A plugin cannot be registered.
pub(crate) fn check(plugins: Plugins) -> Result<(), Failure> {
    let manager = PluginManager::new();
    plugins.register(&manager).map_err(|error| Failure::failed(error.to_string()))?;
    let further = manager.list().into_iter().filter(|plugin| plugins::about(&plugin.info.name).is_none());
    let further: Vec<Value> = further
        .map(|one| json!({ "name": &*one.info.name, "version": one.info.version, "hooks": one.hooks }))
        .collect();
    say(&json!({ "crow": VERSION, "hookApi": <dyn CrowHooks as Contract>::API, "plugins": further }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let hooks = vec!["before_run".to_owned()];
        let plugin = BuiltPlugin { name: "count".into(), version: "0.1.0".into(), hooks, ..BuiltPlugin::default() };
        let mut built = Built { crow: "0.1.0".into(), size: 7, plugins: vec![plugin] };
        built.name_crates(&[Installed { name: "word-count".into(), from: "/src".into(), path: None }]);
        assert_eq!(Built::read(&built.text()), Some(built.clone()));
        assert_eq!(built.plugins[0].package, "word-count");
        assert_eq!(Built::read("{}"), None);
    }

    #[test]
    fn versions_are_numbers() {
        assert!(order("0.10.0") > order("0.9.3"));
        assert!(order("1.0.0-beta.1") >= order("1.0.0"));
    }

    #[test]
    fn the_manifest_of_the_interface_states_the_version_of_the_hooks() {
        let manifest = include_str!("../../../../crow-acp/Cargo.toml");
        let manifest: toml_edit::DocumentMut = manifest.parse().unwrap();
        let stated = manifest["package"]["metadata"]["crow"]["hook-api"].as_integer().unwrap();
        assert_eq!(stated, i64::from(<dyn CrowHooks as Contract>::API));
    }
}
