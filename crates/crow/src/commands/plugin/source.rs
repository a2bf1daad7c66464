//! Where Crow's own crates come from when a program is built with plugins.

use std::fs;
use std::path::{Path, PathBuf};

use toml_edit::{InlineTable, Value};

use crate::exit::Failure;

/// The version of this crow, and of its crates.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where Crow's own crates come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A directory with Crow's workspace.
    Checkout(PathBuf),
    /// The registry, in this crow's own version.
    Published,
}

impl Source {
    /// What `--source` or `CROW_SOURCE` says; otherwise the checkout that this program was built from, if it is still
    /// there; otherwise the registry.
    ///
    /// # Errors
    /// The directory that was named is no checkout of Crow.
    pub(crate) fn find(given: Option<&str>) -> Result<Self, Failure> {
        let variable = std::env::var("CROW_SOURCE").ok().filter(|path| !path.is_empty());
        if let Some(path) = given.map(str::to_owned).or(variable) {
            let root = fs::canonicalize(&path).unwrap_or_else(|_| PathBuf::from(&path));
            return if is_checkout(&root) {
                Ok(Self::Checkout(root))
            } else {
                Err(Failure::usage(format!(
                    "`{path}` is no checkout of Crow: it has no crates/crow and crates/crow-acp"
                ))
                .next("Without --source and CROW_SOURCE the published version is used."))
            };
        }
        let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
        Ok(built_from.filter(|root| is_checkout(root)).map_or(Self::Published, |root| Self::Checkout(root.to_owned())))
    }

    /// In a few words.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Checkout(root) => format!("the checkout {}", root.display()),
            Self::Published => format!("the published version {VERSION}"),
        }
    }

    /// The value of a dependency on one of Crow's crates. `exact`: this version and no other.
    pub(crate) fn dependency(&self, name: &str, exact: bool) -> InlineTable {
        let mut table = InlineTable::new();
        match self {
            Self::Checkout(_) if exact => {}
            Self::Published if exact => drop(table.insert("version", Value::from(format!("={VERSION}")))),
            _ => drop(table.insert("version", Value::from(compatible(VERSION)))),
        }
        if let Self::Checkout(root) = self {
            table.insert("path", Value::from(root.join("crates").join(name).display().to_string()));
        }
        table
    }

    /// Crow's crates by name, where a checkout has them: a plugin that depends on published ones gets these.
    pub(crate) fn crates(&self) -> Vec<(String, PathBuf)> {
        let Self::Checkout(root) = self else { return Vec::new() };
        let entries = fs::read_dir(root.join("crates")).into_iter().flatten().flatten();
        let named = entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())));
        let mut crates: Vec<_> = named.filter(|(name, path)| is_for_plugins(name) && is_crate(path)).collect();
        crates.sort();
        crates
    }

    /// The versions of other people's crates that Crow was tested with, if they are known.
    pub(crate) fn lock(&self) -> Option<PathBuf> {
        let Self::Checkout(root) = self else { return None };
        Some(root.join("Cargo.lock")).filter(|path| path.is_file())
    }
}

/// What a plugin may depend on.
fn is_for_plugins(name: &str) -> bool {
    ["crow-acp", "crow-hooks", "crow-hooks-macros"].contains(&name) || name.starts_with("crow-plugin-")
}

fn is_crate(path: &Path) -> bool {
    path.join("Cargo.toml").is_file()
}

fn is_checkout(root: &Path) -> bool {
    is_crate(root) && is_crate(&root.join("crates/crow")) && is_crate(&root.join("crates/crow-acp"))
}

/// `1.4.2` → `1`, `0.3.1` → `0.3`: as much of a version as must be the same.
fn compatible(version: &str) -> String {
    let mut parts = version.split('.');
    match (parts.next(), parts.next()) {
        (Some("0"), Some(minor)) => format!("0.{minor}"),
        (Some(major), _) => major.to_owned(),
        (None, _) => version.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_checkout_is_found_and_others_are_refused() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        assert_eq!(Source::find(root.to_str()).unwrap(), Source::Checkout(root.canonicalize().unwrap()));
        let elsewhere = tempfile::tempdir().unwrap();
        let refused = Source::find(elsewhere.path().to_str()).unwrap_err();
        assert!(refused.what.contains("is no checkout of Crow"), "{refused}");
    }

    #[test]
    fn dependencies_say_what_must_be_the_same() {
        assert_eq!((compatible("0.1.0"), compatible("1.4.2")), ("0.1".to_owned(), "1".to_owned()));
        let published = Source::Published.dependency("crow", true).to_string();
        assert_eq!(published, format!("{{ version = \"={VERSION}\" }}"));
        let checkout = Source::Checkout("/src/crow".into());
        assert_eq!(checkout.dependency("crow", true).to_string(), "{ path = \"/src/crow/crates/crow\" }");
    }
}
