//! `crow plugin new`: a plugin crate to start from, with a test that passes.

use std::fs;
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, Table, value};

use super::source::Source;
use crate::dialog::say;
use crate::exit::Failure;
use crate::plugins;

/// What cannot be the name of a crate, because it means something in Rust.
const RESERVED: [&str; 16] = [
    "alloc", "async", "await", "const", "core", "crate", "dyn", "enum", "match", "mod", "self", "std", "struct",
    "super", "test", "type",
];

/// The names in the written file that the plugin's type must not have.
const TAKEN: [&str; 2] = ["CrowHooks", "Session"];

const MANIFEST: &str = r#"[package]
name = "{crate}"
description = "A plugin for the coding agent Crow"
version = "0.1.0"
edition = "2024"
# license = "MIT OR Apache-2.0"

[dependencies]

[dev-dependencies]
tempfile = "3"
tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
"#;

/// The names that one name gives.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Names {
    /// The crate's.
    package: String,
    /// The plugin's: the crate's without `crow-`.
    plugin: String,
    /// The type's.
    of_type: String,
}

impl Names {
    fn of(name: &str) -> Result<Self, Failure> {
        let bad = |why: &str| {
            Failure::usage(format!("`{name}` cannot be the name of a plugin: {why}"))
                .next("Small letters, digits and hyphens, for example word-count")
        };
        let fits = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        if !name.starts_with(|first: char| first.is_ascii_lowercase()) || !name.chars().all(fits) {
            return Err(bad("it is the name of a Rust crate, too"));
        }
        let plugin = name.strip_prefix("crow-plugin-").or_else(|| name.strip_prefix("crow-")).unwrap_or(name);
        if plugin.split('-').any(str::is_empty) {
            return Err(bad("a hyphen stands between two words"));
        }
        if RESERVED.contains(&name) || ["crow", "crow-acp", "crow-hooks"].contains(&name) {
            return Err(bad("it means something else"));
        }
        if plugins::about(plugin).is_some() {
            return Err(bad("a built-in plugin is called that"));
        }
        let capital = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
        let mut of_type: String = plugin.split('-').map(capital).collect();
        if TAKEN.contains(&of_type.as_str()) || of_type.starts_with(|first: char| first.is_ascii_digit()) {
            of_type = format!("Plugin{of_type}");
        }
        Ok(Self { package: name.to_owned(), plugin: plugin.to_owned(), of_type })
    }

    fn fill(&self, template: &str) -> String {
        let template = template.replace("{crate_in_code}", &self.package.replace('-', "_"));
        let template = template.replace("{crate}", &self.package).replace("{plugin}", &self.plugin);
        template.replace("{type}", &self.of_type)
    }
}

/// Writes a plugin crate.
///
/// # Errors
/// The name does not fit, or the directory is not empty or cannot be written.
pub(crate) fn run(source: &Source, name: &str, path: Option<&str>) -> Result<(), Failure> {
    let names = Names::of(name)?;
    let dir = PathBuf::from(path.unwrap_or(name));
    if fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_some()) || dir.is_file() {
        return Err(Failure::usage(format!("{} is there already", dir.display()))
            .next("Another directory: crow plugin new NAME --path DIR"));
    }
    write(&dir, &names, source).map_err(|error| Failure::failed(format!("{}: {error}", dir.display())))?;
    let shown = if dir.is_relative() { format!("./{}", dir.display()) } else { dir.display().to_string() };
    say(&format!("Wrote {shown}: a plugin `{}` that implements before_run.\n", names.plugin))?;
    say(&format!("  cd {} && cargo test    it runs in a real agent, with a recording for a model", dir.display()))?;
    say(&format!("  crow plugin add {shown}    compile Crow with it: from then on it is there"))
}

fn write(dir: &Path, names: &Names, source: &Source) -> std::io::Result<()> {
    let inside = inside_a_package(dir);
    let files = [
        ("Cargo.toml", manifest(names, source, inside)),
        ("src/lib.rs", names.fill(include_str!("templates/lib.rs.txt"))),
        ("tests/agent.rs", names.fill(include_str!("templates/test.rs.txt"))),
        ("README.md", names.fill(include_str!("templates/README.md.txt"))),
        (".gitignore", "/target\n".to_owned()),
    ];
    for folder in ["src", "tests"] {
        fs::create_dir_all(dir.join(folder))?;
    }
    files.iter().try_for_each(|(name, text)| fs::write(dir.join(name), text))
}

/// `own_workspace`: so that cargo does not take it for a part of the package around it.
fn manifest(names: &Names, source: &Source, own_workspace: bool) -> String {
    let Ok(mut document) = names.fill(MANIFEST).parse::<DocumentMut>() else {
        unreachable!("the template is TOML, and names have no quotes")
    };
    for (table, name) in [("dependencies", "crow-acp"), ("dev-dependencies", "crow-plugin-replay")] {
        document[table][name] = value(source.dependency(name, false));
        if let Some(table) = document[table].as_table_mut() {
            table.sort_values();
        }
    }
    if own_workspace {
        document["workspace"] = Item::Table(Table::new());
    }
    document.to_string()
}

fn inside_a_package(dir: &Path) -> bool {
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    dir.ancestors().skip(1).any(|parent| parent.join("Cargo.toml").is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn one_name_gives_all() {
        let names = |name: &str| Names::of(name).map(|names| (names.plugin, names.of_type)).unwrap();
        assert_eq!(names("word-count"), ("word-count".into(), "WordCount".into()));
        assert_eq!(names("crow-word-count"), ("word-count".into(), "WordCount".into()));
        assert_eq!(names("crow-plugin-x2"), ("x2".into(), "X2".into()));
        assert_eq!(names("session"), ("session".into(), "PluginSession".into()));
    }

    #[test]
    fn names_that_do_not_fit() {
        let why = |name: &str| Names::of(name).unwrap_err().what;
        for name in ["", "Word", "2x", "a_b", "ä", "-a", "a\"b"] {
            assert!(why(name).contains("a Rust crate"), "{}", why(name));
        }
        for name in ["a--b", "a-", "crow-"] {
            assert!(why(name).contains("hyphen"), "{}", why(name));
        }
        assert!(why("type").contains("something else"));
        assert!(why("crow-tools").contains("built-in"));
    }

    #[test]
    fn the_manifest_names_crow_where_it_is() {
        let names = Names::of("word-count").unwrap();
        let text = manifest(&names, &Source::Checkout("/crow".into()), true);
        let text = text.replace(super::super::source::VERSION, "0.1.0");
        expect![[r#"
            [package]
            name = "word-count"
            description = "A plugin for the coding agent Crow"
            version = "0.1.0"
            edition = "2024"
            # license = "MIT OR Apache-2.0"

            [dependencies]
            crow-acp = { version = "0.1", path = "/crow/crates/crow-acp" }

            [dev-dependencies]
            crow-plugin-replay = { version = "0.1", path = "/crow/crates/crow-plugin-replay" }
            tempfile = "3"
            tokio = { version = "1", features = ["macros", "rt-multi-thread"] }

            [workspace]
        "#]]
        .assert_eq(&text);
        let text = manifest(&names, &Source::Published, false);
        assert!(!text.contains("path") && !text.contains("[workspace]"), "{text}");
    }

    #[test]
    fn nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("mine"), "").unwrap();
        let refused = run(&Source::Published, "word-count", dir.path().to_str()).unwrap_err();
        assert!(refused.what.contains("is there already"), "{refused}");
    }
}
