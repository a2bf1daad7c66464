//! `permissions.json` in `CROW_HOME`: the rules of every project. Private, changed under a lock, replaced as a whole.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::rule::{Rule, Rules};

/// The format this plugin writes and reads.
const VERSION: u32 = 1;

/// Why the rules could not be read or kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("{}: {error}", .path.display())]
    Io { path: PathBuf, error: std::io::Error },
    #[error("{}: {error}", .path.display())]
    Malformed { path: PathBuf, error: serde_json::Error },
    #[error("{} was written by a newer version of Crow (format {found}); this one reads format {VERSION}", .path.display())]
    TooNew { path: PathBuf, found: u32 },
}

/// What is in the file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    version: u32,
    #[serde(default)]
    projects: BTreeMap<PathBuf, Rules>,
}

/// The version alone, to be read before anything else is understood.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// Which of the two "always" the user chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Always {
    Allow,
    Deny,
}

#[derive(Debug, Clone)]
pub(crate) struct Store {
    file: PathBuf,
}

impl Store {
    /// The rules in the directory `home`.
    pub(crate) fn new(home: &Path) -> Self {
        Self { file: home.join("permissions.json") }
    }

    /// The rules of a project; none if there is no file.
    pub(crate) fn rules(&self, project: &Path) -> Result<Rules, StoreError> {
        Ok(self.read()?.projects.remove(project).unwrap_or_default())
    }

    /// Adds rules to those of a project. Other processes may do the same at the same time.
    pub(crate) fn remember(&self, project: &Path, always: Always, rules: &[Rule]) -> Result<(), StoreError> {
        let home = self.file.parent().unwrap_or(Path::new("."));
        make_private_directory(home).map_err(|error| io(home, error))?;
        let lock_file = self.file.with_extension("lock");
        let lock = private_file(&lock_file, false).map_err(|error| io(&lock_file, error))?;
        lock.lock().map_err(|error| io(&lock_file, error))?;

        let mut contents = self.read()?;
        contents.version = VERSION;
        let known = contents.projects.entry(project.to_owned()).or_default();
        let (list, opposite) = match always {
            Always::Allow => (&mut known.allow, &mut known.deny),
            Always::Deny => (&mut known.deny, &mut known.allow),
        };
        opposite.retain(|rule| !rules.contains(rule));
        for rule in rules {
            if !list.contains(rule) {
                list.push(rule.clone());
            }
        }
        self.write(&contents)
        // The lock goes with its file.
    }

    fn read(&self) -> Result<Contents, StoreError> {
        let text = match std::fs::read(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Contents::default()),
            Err(error) => return Err(io(&self.file, error)),
        };
        let malformed = |error| StoreError::Malformed { path: self.file.clone(), error };
        let Versioned { version } = serde_json::from_slice(&text).map_err(malformed)?;
        if version > VERSION {
            return Err(StoreError::TooNew { path: self.file.clone(), found: version });
        }
        serde_json::from_slice(&text).map_err(malformed)
    }

    fn write(&self, contents: &Contents) -> Result<(), StoreError> {
        // Nobody else writes it while the lock is held; what an earlier crash left behind is overwritten.
        let new = self.file.with_extension("new");
        let written = (|| {
            let mut file = private_file(&new, true)?;
            serde_json::to_writer_pretty(&mut file, contents)?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            std::fs::rename(&new, &self.file)
        })();
        written.map_err(|error| io(&new, error))
    }
}

fn io(path: &Path, error: std::io::Error) -> StoreError {
    StoreError::Io { path: path.to_owned(), error }
}

fn private_file(path: &Path, truncate: bool) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(truncate);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn make_private_directory(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(tool: &str) -> Rule {
        Rule::Tool { tool: tool.into() }
    }

    #[test]
    fn rules_are_kept_by_project_and_only_for_the_user() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().join("not/there/yet");
        let store = Store::new(&home);
        assert_eq!(store.rules(Path::new("/p")).unwrap(), Rules::default());
        let rules = [
            rule("a"),
            Rule::Path { tool: "edit".into(), path: "/p/src".into() },
            Rule::Command { program: "cargo".into(), argument: Some("test".into()) },
            Rule::Command { program: "make".into(), argument: None },
            Rule::Host { tool: "fetch".into(), host: "docs.rs".into() },
        ];
        store.remember(Path::new("/p"), Always::Allow, &rules).unwrap();
        store.remember(Path::new("/p"), Always::Allow, &rules[..1]).unwrap();
        assert_eq!(store.rules(Path::new("/p")).unwrap().allow, rules);
        assert_eq!(store.rules(Path::new("/q")).unwrap(), Rules::default());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&home.join("permissions.json")), 0o600);
            assert_eq!(mode(&home), 0o700);
        }
    }

    #[test]
    fn the_last_word_counts() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::new(home.path());
        let project = Path::new("/p");
        store.remember(project, Always::Allow, &[rule("a")]).unwrap();
        store.remember(project, Always::Deny, &[rule("a")]).unwrap();
        assert_eq!(store.rules(project).unwrap(), Rules { allow: vec![], deny: vec![rule("a")] });
        store.remember(project, Always::Allow, &[rule("a")]).unwrap();
        assert_eq!(store.rules(project).unwrap(), Rules { allow: vec![rule("a")], deny: vec![] });
    }

    #[test]
    fn a_file_that_is_not_understood_is_an_error_and_stays_as_it_is() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("permissions.json");
        let store = Store::new(home.path());
        for (text, expected) in [
            ("{", "permissions.json: EOF"),
            ("{\"version\": 9, \"what\": 1}", "newer version of Crow (format 9)"),
            ("{\"version\": 1, \"projekts\": {}}", "unknown field `projekts`"),
        ] {
            std::fs::write(&file, text).unwrap();
            assert!(store.rules(Path::new("/p")).unwrap_err().to_string().contains(expected));
            assert!(store.remember(Path::new("/p"), Always::Allow, &[rule("a")]).is_err());
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        }
    }

    #[test]
    fn nothing_is_lost_when_many_write_at_once() {
        let home = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let store = Store::new(home.path());
                scope.spawn(move || {
                    for number in 0..10 {
                        let rules = [rule(&format!("{writer}-{number}"))];
                        store.remember(Path::new("/p"), Always::Allow, &rules).unwrap();
                        // A reader never sees half a file.
                        store.rules(Path::new("/p")).unwrap();
                    }
                });
            }
        });
        assert_eq!(Store::new(home.path()).rules(Path::new("/p")).unwrap().allow.len(), 80);
    }
}
