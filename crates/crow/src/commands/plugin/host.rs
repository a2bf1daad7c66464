//! The generated crate that has Crow and the installed plugins as its dependencies, and where it lives.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value, value};

use super::source::Source;
use crate::exit::Failure;
use crate::logs::private_dir;

/// The whole program.
pub(crate) const MAIN: &str = "\
fn main() -> std::process::ExitCode {
    crow::main_with(|plugins| crow_hooks::plugins!(plugins).map(drop))
}
";

/// The dependencies that are no plugins.
const OURS: [&str; 2] = ["crow", "crow-hooks"];

/// What a new manifest starts with. The profile is Crow's own without link-time optimisation: a plugin more is to cost
/// seconds, and going over the whole program at every change gains too little for that.
const FRESH: &str = r#"# Crow and the plugins that are installed. `crow plugin` keeps this file up to date.

[package]
name = "crow-host"
version = "0.0.0"
edition = "2024"
publish = false

[dependencies]

[profile.release]
opt-level = "s"
strip = true

[profile.release.package]
httparse.opt-level = 3
itoa.opt-level = 3
libsqlite3-sys.opt-level = 3
memchr.opt-level = 3
serde_json.opt-level = 3

[workspace]
"#;

/// Where everything is.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    home: PathBuf,
}

impl Place {
    pub(crate) fn new(home: impl Into<PathBuf>) -> Self {
        Self { home: home.into() }
    }

    /// The generated crate, as it was last built.
    pub(crate) fn dir(&self) -> PathBuf {
        self.home.join("host")
    }

    pub(crate) fn manifest(&self) -> PathBuf {
        self.dir().join("Cargo.toml")
    }

    /// The crate as it is to be, while it is built.
    pub(crate) fn staging(&self) -> PathBuf {
        self.dir().join("building")
    }

    /// Cargo's target directory.
    pub(crate) fn target(&self) -> PathBuf {
        self.dir().join("target")
    }

    /// All that cargo said the last time.
    pub(crate) fn log(&self) -> PathBuf {
        self.dir().join("build.log")
    }

    /// The program that has the plugins in it.
    pub(crate) fn program(&self) -> PathBuf {
        self.home.join("bin").join("crow")
    }

    /// What that program is: see [`super::built`].
    pub(crate) fn built(&self) -> PathBuf {
        self.dir().join("built.json")
    }

    /// Keeps others from changing anything while the guard lives. A process that dies lets go.
    ///
    /// # Errors
    /// Another one is at work, or the directory cannot be made.
    pub(crate) fn lock(&self) -> Result<File, Failure> {
        let cannot = |error: std::io::Error| Failure::failed(format!("{}: {error}", self.dir().display()));
        private_dir(&self.dir()).map_err(cannot)?;
        let file = private_file(&self.dir().join("lock")).map_err(cannot)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(fs::TryLockError::WouldBlock) => {
                Err(Failure::failed("another `crow plugin` is at work here").next("Try again when it is done."))
            }
            Err(fs::TryLockError::Error(error)) => Err(cannot(error)),
        }
    }

    /// The manifest that was last built; a new one if there is none.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn read(&self) -> Result<Manifest, Failure> {
        let path = self.manifest();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => FRESH.to_owned(),
            Err(error) => return Err(Failure::failed(format!("{} cannot be read: {error}", path.display()))),
        };
        Manifest::parse(&text)
            .map_err(|error| Failure::usage(format!("{} is not TOML: {}", path.display(), error.message())))
    }
}

/// Makes a file that only the user can read, empty if it is new.
///
/// # Errors
/// It cannot be made.
pub(crate) fn private_file(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Writes a file that only the user can read, in place of the one that was there.
///
/// # Errors
/// It cannot be written.
pub(crate) fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = private_file(path)?;
    file.set_len(0)?;
    file.write_all(text.as_bytes())
}

/// A plugin crate in the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Installed {
    /// The crate, as the manifest names it.
    pub(crate) name: String,
    /// Where it is from, for people.
    pub(crate) from: String,
    /// Its directory, if it is from one.
    pub(crate) path: Option<PathBuf>,
}

/// The generated crate's `Cargo.toml`.
#[derive(Debug, Clone)]
pub(crate) struct Manifest(DocumentMut);

impl Manifest {
    pub(crate) fn parse(text: &str) -> Result<Self, toml_edit::TomlError> {
        Ok(Self(text.parse()?))
    }

    /// Lets Crow's own crates come from `source`.
    pub(crate) fn set_source(&mut self, source: &Source) {
        let dependencies = table(self.0.as_table_mut(), "dependencies");
        dependencies.insert("crow", value(source.dependency("crow", true)));
        let mut hooks = source.dependency("crow-hooks", true);
        hooks.insert("features", Value::from(Array::from_iter(["discover"])));
        dependencies.insert("crow-hooks", value(hooks));
        let crates = source.crates();
        if crates.is_empty() {
            self.0.remove("patch");
            return;
        }
        let patch = table(self.0.as_table_mut(), "patch");
        patch.insert("crates-io", Item::Table(Table::new()));
        let registry = table(patch, "crates-io");
        for (name, path) in crates {
            let mut at = InlineTable::new();
            at.insert("path", Value::from(path.display().to_string()));
            registry.insert(&name, value(at));
        }
        if let Some(patch) = self.0.get_mut("patch").and_then(Item::as_table_mut) {
            patch.set_implicit(true);
        }
    }

    /// The plugins, in the order in which they are registered: by name.
    pub(crate) fn installed(&self) -> Vec<Installed> {
        let dependencies = self.0.get("dependencies").and_then(Item::as_table_like);
        let all = dependencies.into_iter().flat_map(TableLike::iter).filter(|(name, _)| !OURS.contains(name));
        let mut all: Vec<Installed> = all.map(|(name, item)| installed(name, item)).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// The installed plugin that goes by this name, `_` or `-` in it.
    pub(crate) fn find(&self, name: &str) -> Option<Installed> {
        let plain = |name: &str| name.replace('_', "-");
        self.installed().into_iter().find(|one| plain(&one.name) == plain(name))
    }

    /// Adds the crate in a directory.
    pub(crate) fn add_path(&mut self, name: &str, path: &Path) {
        let mut at = InlineTable::new();
        at.insert("path", Value::from(path.display().to_string()));
        table(self.0.as_table_mut(), "dependencies").insert(name, value(at));
    }

    /// Takes a crate out.
    pub(crate) fn remove(&mut self, name: &str) {
        table(self.0.as_table_mut(), "dependencies").remove(name);
    }

    pub(crate) fn text(&self) -> String {
        self.0.to_string()
    }
}

/// The table `key` of a table; what is there and no table is replaced.
fn table<'t>(of: &'t mut dyn TableLike, key: &str) -> &'t mut dyn TableLike {
    if !of.get(key).is_some_and(Item::is_table_like) {
        of.insert(key, Item::Table(Table::new()));
    }
    match of.get_mut(key).and_then(Item::as_table_like_mut) {
        Some(table) => table,
        None => unreachable!("it was put there"),
    }
}

fn installed(name: &str, item: &Item) -> Installed {
    let text = |key: &str| item.as_table_like().and_then(|table| table.get(key)).and_then(Item::as_str);
    let path = text("path").map(PathBuf::from);
    let from = match (&path, text("git")) {
        (Some(path), _) => path.display().to_string(),
        (None, Some(git)) => {
            let state = ["branch", "tag", "rev"].into_iter().find_map(|key| Some(format!(" {key} {}", text(key)?)));
            format!("{git}{}", state.unwrap_or_default())
        }
        (None, None) => "crates.io".to_owned(),
    };
    Installed { name: name.to_owned(), from, path }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn fresh() -> Manifest {
        Manifest::parse(FRESH).unwrap()
    }

    #[test]
    fn a_plugin_from_a_directory_and_published_crates() {
        let mut manifest = fresh();
        manifest.set_source(&Source::Published);
        manifest.add_path("word-count", Path::new("/src/word-count"));
        let text = manifest.text().replace(super::super::source::VERSION, "1.2.3");
        expect![[r#"
            # Crow and the plugins that are installed. `crow plugin` keeps this file up to date.

            [package]
            name = "crow-host"
            version = "0.0.0"
            edition = "2024"
            publish = false

            [dependencies]
            crow = { version = "=1.2.3" }
            crow-hooks = { version = "=1.2.3", features = ["discover"] }
            word-count = { path = "/src/word-count" }

            [profile.release]
            opt-level = "s"
            strip = true

            [profile.release.package]
            httparse.opt-level = 3
            itoa.opt-level = 3
            libsqlite3-sys.opt-level = 3
            memchr.opt-level = 3
            serde_json.opt-level = 3

            [workspace]
        "#]]
        .assert_eq(&text);
    }

    #[test]
    fn a_checkout_stands_in_for_published_crates() {
        let checkout = tempfile::tempdir().unwrap();
        for name in ["crow", "crow-acp", "crow-hooks", "crow-plugin-tools", "unrelated"] {
            fs::create_dir_all(checkout.path().join("crates").join(name)).unwrap();
            fs::write(checkout.path().join("crates").join(name).join("Cargo.toml"), "").unwrap();
        }
        let mut manifest = fresh();
        manifest.set_source(&Source::Checkout(checkout.path().to_owned()));
        let text = manifest.text().replace(&checkout.path().display().to_string(), "/crow");
        let shown = text.split("publish = false").nth(1).unwrap();
        expect![[r#"


            [dependencies]
            crow = { path = "/crow/crates/crow" }
            crow-hooks = { path = "/crow/crates/crow-hooks", features = ["discover"] }

            [profile.release]
            opt-level = "s"
            strip = true

            [profile.release.package]
            httparse.opt-level = 3
            itoa.opt-level = 3
            libsqlite3-sys.opt-level = 3
            memchr.opt-level = 3
            serde_json.opt-level = 3

            [workspace]

            [patch.crates-io]
            crow-acp = { path = "/crow/crates/crow-acp" }
            crow-hooks = { path = "/crow/crates/crow-hooks" }
            crow-plugin-tools = { path = "/crow/crates/crow-plugin-tools" }
        "#]]
        .assert_eq(shown);
        let again = manifest.text();
        manifest.set_source(&Source::Checkout(checkout.path().to_owned()));
        assert_eq!(manifest.text(), again, "twice is once");
        manifest.set_source(&Source::Published);
        assert!(!manifest.text().contains("patch"), "{}", manifest.text());
    }

    #[test]
    fn what_is_optimised_is_what_crow_optimises() {
        let workspace: DocumentMut = include_str!("../../../../../Cargo.toml").parse().unwrap();
        let ours = fresh().0;
        let release = |document: &DocumentMut| document["profile"]["release"].clone();
        let packages = |document: &DocumentMut| {
            let packages = release(document)["package"].clone();
            let packages = packages
                .as_table_like()
                .unwrap()
                .iter()
                .map(|(name, item)| (name.to_owned(), item.get("opt-level").and_then(Item::as_integer)));
            packages.collect::<std::collections::BTreeMap<_, _>>()
        };
        let mut theirs = packages(&workspace);
        // An extension module for Python is no part of Crow.
        theirs.remove("crow-hooks-python");
        assert_eq!(packages(&ours), theirs);
        assert_eq!(release(&ours)["opt-level"].as_str(), release(&workspace)["opt-level"].as_str());
    }

    #[test]
    fn plugins_come_and_go_and_what_people_wrote_stays() {
        let old = FRESH.replace("[dependencies]\n", "[dependencies]\n# mine\nzebra = \"1\" # striped\n");
        let mut manifest = Manifest::parse(&old).unwrap();
        manifest.set_source(&Source::Published);
        manifest.add_path("ant", Path::new("/a"));
        let names: Vec<_> = manifest.installed().into_iter().map(|one| (one.name, one.from)).collect();
        assert_eq!(names, [("ant".into(), "/a".into()), ("zebra".to_owned(), "crates.io".to_owned())]);
        manifest.remove("ant");
        assert!(manifest.text().contains("# mine\nzebra = \"1\" # striped"), "{}", manifest.text());
        assert!(manifest.find("ant").is_none());
    }

    #[test]
    fn names_are_found_however_they_are_written_and_say_where_they_are_from() {
        let dependencies = "[dependencies]\na_b = { git = \"https://h/x\", tag = \"v1\" }\nc = { version = \"2\", features = [\"x\"] }\n";
        let manifest = Manifest::parse(dependencies).unwrap();
        assert_eq!(manifest.find("a-b").unwrap().from, "https://h/x tag v1");
        assert_eq!(manifest.find("c").unwrap().from, "crates.io");
        assert!(manifest.find("crow").is_none());
    }

    #[test]
    fn one_at_a_time() {
        let home = tempfile::tempdir().unwrap();
        let place = Place::new(home.path());
        let first = place.lock().unwrap();
        assert!(place.lock().unwrap_err().what.contains("at work"));
        drop(first);
        place.lock().unwrap();
    }
}
