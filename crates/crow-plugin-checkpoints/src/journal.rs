//! What is kept of a session, in `CROW_HOME/checkpoints/SESSION`: a log of lines of JSON, to which is only added, and the
//! contents of files, each under its digest. Both are readable by the user alone.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crow_acp::digest_bytes;
use serde::{Deserialize, Serialize};

/// The log of a session.
const LOG: &str = "log.jsonl";

/// The directory of the contents.
const OBJECTS: &str = "objects";

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line {
    /// A run that changes files begins.
    Run { number: u32, at: i64, prompt: String },
    /// What a file was before the run changed it.
    Before { path: PathBuf, before: Before },
    /// What the run made of it: its digest, if it is there.
    After { path: PathBuf, digest: Option<String> },
    /// The run started a command, and nobody knows what that changed.
    Command,
    /// The runs from this number on were undone.
    Undone { from: u32, at: i64 },
}

/// What a file was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Before {
    /// It was not there.
    Absent,
    /// This content, and its permissions.
    Kept { digest: String, mode: u32 },
    /// It was not kept: why.
    Skipped(String),
}

/// A run that changed files.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Run {
    pub(crate) number: u32,
    pub(crate) at: i64,
    pub(crate) prompt: String,
    pub(crate) files: BTreeMap<PathBuf, Change>,
    pub(crate) commands: bool,
    pub(crate) undone: bool,
}

/// What a run did to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) before: Before,
    /// The digest of what it left there; `None` if it left no file.
    pub(crate) after: Option<String>,
}

/// The journal of a session.
#[derive(Debug)]
pub(crate) struct Journal {
    directory: PathBuf,
    runs: Vec<Run>,
}

impl Journal {
    /// The journal of a session, as far as there is one. Makes nothing.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn open(home: &Path, session: &str) -> io::Result<Self> {
        let directory = directory(home, session);
        let text = match fs::read_to_string(directory.join(LOG)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let mut journal = Self { directory, runs: Vec::new() };
        // A line that a crash cut short is the last, and tells of nothing that had happened.
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).for_each(|line| journal.apply(line));
        Ok(journal)
    }

    /// The runs that changed files, the oldest first.
    pub(crate) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Where the session's things are.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// A run begins to change files.
    pub(crate) fn begin(&mut self, prompt: &str) -> io::Result<()> {
        let number = self.runs.last().map_or(1, |run| run.number + 1);
        self.write(Line::Run { number, at: now(), prompt: prompt.to_owned() })
    }

    /// Whether the current run has kept what this file was.
    pub(crate) fn has(&self, path: &Path) -> bool {
        self.runs.last().is_some_and(|run| run.files.contains_key(path))
    }

    /// Keeps what a file is before the current run changes it.
    pub(crate) fn keep(&mut self, path: &Path, largest: u64) -> io::Result<Before> {
        let before = match read(path, largest) {
            Ok(None) => Before::Absent,
            Ok(Some(content)) => Before::Kept { digest: self.store(&content)?, mode: mode(path) },
            Err(error) => Before::Skipped(error.to_string()),
        };
        self.write(Line::Before { path: path.to_owned(), before: before.clone() })?;
        Ok(before)
    }

    /// Notes what the current run has made of a file.
    pub(crate) fn changed(&mut self, path: &Path) -> io::Result<()> {
        self.write(Line::After { path: path.to_owned(), digest: digest(path) })
    }

    /// Notes that the current run has started a command.
    pub(crate) fn command(&mut self) -> io::Result<()> {
        if self.runs.last().is_some_and(|run| !run.commands) { self.write(Line::Command) } else { Ok(()) }
    }

    /// Notes that the runs from `from` on were undone.
    pub(crate) fn undone(&mut self, from: u32) -> io::Result<()> {
        self.write(Line::Undone { from, at: now() })
    }

    /// Keeps a content under its digest.
    pub(crate) fn store(&self, content: &[u8]) -> io::Result<String> {
        let digest = digest_bytes(content);
        let object = self.object(&digest);
        if !object.exists() {
            private_directory(&self.directory.join(OBJECTS))?;
            let new = object.with_extension("new");
            private_file(&new)?.write_all(content)?;
            fs::rename(&new, &object)?;
        }
        Ok(digest)
    }

    /// A content that was kept.
    pub(crate) fn load(&self, digest: &str) -> io::Result<Vec<u8>> {
        let content = fs::read(self.object(digest))?;
        if digest_bytes(&content) == digest {
            return Ok(content);
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "what was kept is damaged"))
    }

    /// Where a content is.
    pub(crate) fn object(&self, digest: &str) -> PathBuf {
        // A colon is no part of a file's name everywhere.
        self.directory.join(OBJECTS).join(digest.replace(':', "-"))
    }

    fn write(&mut self, line: Line) -> io::Result<()> {
        private_directory(&self.directory)?;
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut text = serde_json::to_string(&line)?;
        text.push('\n');
        options.open(self.directory.join(LOG))?.write_all(text.as_bytes())?;
        self.apply(line);
        Ok(())
    }

    fn apply(&mut self, line: Line) {
        match line {
            Line::Run { number, at, prompt } => {
                let files = BTreeMap::new();
                self.runs.push(Run { number, at, prompt, files, commands: false, undone: false });
            }
            Line::Undone { from, .. } => {
                self.runs.iter_mut().filter(|run| run.number >= from).for_each(|run| run.undone = true);
            }
            Line::Before { path, before } => {
                if let Some(run) = self.runs.last_mut() {
                    let after = if let Before::Kept { digest, .. } = &before { Some(digest.clone()) } else { None };
                    run.files.entry(path).or_insert(Change { before, after });
                }
            }
            Line::After { path, digest } => {
                if let Some(change) = self.runs.last_mut().and_then(|run| run.files.get_mut(&path)) {
                    change.after = digest;
                }
            }
            Line::Command => {
                if let Some(run) = self.runs.last_mut() {
                    run.commands = true;
                }
            }
        }
    }
}

/// Where the things of all sessions are.
pub(crate) fn root(home: &Path) -> PathBuf {
    home.join("checkpoints")
}

/// Where the things of a session are. Ids of other stores may be anything, and must not lead anywhere else.
pub(crate) fn directory(home: &Path, session: &str) -> PathBuf {
    let is_plain = !session.is_empty() && session.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    let name = if is_plain { session.to_owned() } else { digest_bytes(session.as_bytes()).replace(':', "-") };
    root(home).join(name)
}

/// The digest of a file as it is now; `None` if there is none.
pub(crate) fn digest(path: &Path) -> Option<String> {
    crow_acp::digest_file(path).ok()
}

/// A file's content; `None` if there is no file.
fn read(path: &Path, largest: u64) -> io::Result<Option<Vec<u8>>> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !metadata.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    if metadata.len() > largest {
        return Err(io::Error::other(format!("it is larger than {largest} bytes (`max_file_bytes`)")));
    }
    fs::read(path).map(Some)
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).map_or(0o644, |metadata| metadata.permissions().mode() & 0o7777)
}

#[cfg(not(unix))]
fn mode(_path: &Path) -> u32 {
    0o644
}

fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn private_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
