//! `trust.json` in `CROW_HOME`: what the user trusts. Private, changed under a lock, replaced as a whole.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{ProjectItem, canonical};
use crate::state::now;

/// The format this version writes and reads.
const VERSION: u32 = 1;

/// Why what is trusted could not be read or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The file cannot be read or written.
    #[error("{}: {error}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// What is in it is no trust file.
    #[error("{}: {error}; nothing is trusted until it is repaired or removed", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        error: serde_json::Error,
    },
    /// A newer Crow wrote it.
    #[error("{} was written by a newer version of Crow (format {found}); this one reads format {VERSION}", .path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
}

/// Something that is trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TrustedItem {
    /// What it is.
    pub kind: String,
    /// What it is called.
    pub name: String,
    /// Where it comes from: relative to the project if it is in there, else absolute.
    pub path: PathBuf,
    /// The digest of the content that is trusted.
    pub digest: String,
    /// When the user trusted it, in milliseconds since the Unix epoch.
    pub at: i64,
}

impl TrustedItem {
    /// The item as it would be kept for `project`, a canonical path.
    pub(super) fn of(project: &Path, item: &ProjectItem) -> Self {
        let path = canonical(&item.path);
        let path = path.strip_prefix(project).map(Path::to_owned).unwrap_or(path);
        let (kind, name, digest) = (item.kind.clone(), item.name.clone(), item.digest.clone());
        Self { kind, name, path, digest, at: now() }
    }

    /// Whether both are the same thing, whatever its content.
    pub(super) fn is_same_thing(&self, other: &Self) -> bool {
        (&self.kind, &self.name, &self.path) == (&other.kind, &other.name, &other.path)
    }
}

/// What is in the file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    version: u32,
    #[serde(default)]
    projects: BTreeMap<PathBuf, Vec<TrustedItem>>,
}

/// The version alone, to be read before anything else is understood.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

#[derive(Debug)]
pub(super) struct Store {
    file: PathBuf,
}

impl Store {
    pub(super) fn new(home: &Path) -> Self {
        Self { file: home.join("trust.json") }
    }

    pub(super) fn items(&self, project: &Path) -> Result<Vec<TrustedItem>, TrustError> {
        Ok(self.read()?.projects.remove(project).unwrap_or_default())
    }

    pub(super) fn projects(&self) -> Result<Vec<(PathBuf, Vec<TrustedItem>)>, TrustError> {
        Ok(self.read()?.projects.into_iter().collect())
    }

    pub(super) fn add(&self, project: &Path, items: Vec<TrustedItem>) -> Result<(), TrustError> {
        self.change(|contents| {
            let known = contents.projects.entry(project.to_owned()).or_default();
            for item in items {
                known.retain(|other| !other.is_same_thing(&item));
                known.push(item);
            }
        })
    }

    pub(super) fn remove(&self, project: &Path) -> Result<usize, TrustError> {
        if !self.read()?.projects.contains_key(project) {
            return Ok(0);
        }
        self.change(|contents| contents.projects.remove(project).map_or(0, |items| items.len()))
    }

    /// Other processes may change it at the same time.
    fn change<T>(&self, change: impl FnOnce(&mut Contents) -> T) -> Result<T, TrustError> {
        let home = self.file.parent().unwrap_or(Path::new("."));
        make_private_directory(home).map_err(|error| io(home, error))?;
        let lock_file = self.file.with_extension("lock");
        let lock = private_file(&lock_file, false).map_err(|error| io(&lock_file, error))?;
        lock.lock().map_err(|error| io(&lock_file, error))?;
        let mut contents = self.read()?;
        contents.version = VERSION;
        let changed = change(&mut contents);
        self.write(&contents)?;
        // The lock goes with its file.
        Ok(changed)
    }

    fn read(&self) -> Result<Contents, TrustError> {
        let text = match std::fs::read(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Contents::default()),
            Err(error) => return Err(io(&self.file, error)),
        };
        let malformed = |error| TrustError::Malformed { path: self.file.clone(), error };
        let Versioned { version } = serde_json::from_slice(&text).map_err(malformed)?;
        if version > VERSION {
            return Err(TrustError::TooNew { path: self.file.clone(), found: version });
        }
        serde_json::from_slice(&text).map_err(malformed)
    }

    fn write(&self, contents: &Contents) -> Result<(), TrustError> {
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

fn io(path: &Path, error: std::io::Error) -> TrustError {
    TrustError::Io { path: path.to_owned(), error }
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
