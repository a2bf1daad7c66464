//! Finds the files: the user's, and those of the project that are trusted.

use std::fs;
use std::path::{Path, PathBuf};

use crow_acp::{Agent, ProjectItem, Session, digest_bytes};

use crate::file::File;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 256 * 1024;

/// Most files of a directory.
const FILES: usize = 500;

/// Directories nested deeper are left out.
const DEEPEST: usize = 6;

/// A command and where it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Without the slash: `test`, `git:commit`.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    /// It is a project's.
    pub(crate) of_project: bool,
}

/// The commands of a session. A project's go before the user's of the same name.
pub(crate) fn find(agent: &Agent, session: &Session, claude: bool) -> Vec<Found> {
    let config = session.config();
    let own = config.home().join("commands");
    let root = config.project().unwrap_or(session.cwd()).to_owned();
    let mut found: Vec<Found> = Vec::new();
    for place in places(&root, session.cwd(), claude).into_iter().filter(|place| !same(place, &own)) {
        for (name, path, text) in files(&place) {
            let file = File::read(&text);
            let item = ProjectItem {
                kind: "command".to_owned(),
                name: format!("/{name}"),
                path: path.clone(),
                digest: digest_bytes(text.as_bytes()),
                summary: file.about(),
            };
            if agent.trust().admits(session, item) && !found.iter().any(|other| other.name == name) {
                found.push(Found { name, path, file, of_project: true });
            }
        }
    }
    for (name, path, text) in files(&own) {
        if !found.iter().any(|other| other.name == name) {
            found.push(Found { name, path, file: File::read(&text), of_project: false });
        }
    }
    found
}

/// Where a project may have commands: nearest to the work first.
fn places(root: &Path, cwd: &Path, claude: bool) -> Vec<PathBuf> {
    let mut places = Vec::new();
    for directory in [cwd, root] {
        for name in [".crow/commands", ".claude/commands"].into_iter().take(if claude { 2 } else { 1 }) {
            let place = directory.join(name);
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
    places
}

fn same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// The command files below a directory: name, path and text. What cannot be a command's name is left out.
fn files(directory: &Path) -> Vec<(String, PathBuf, String)> {
    let mut found = Vec::new();
    walk(directory, "", 0, &mut found);
    found
}

fn walk(directory: &Path, prefix: &str, depth: usize, found: &mut Vec<(String, PathBuf, String)>) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()).filter(|stem| is_name(stem)) else {
            continue;
        };
        let name = format!("{prefix}{stem}");
        let Ok(metadata) = fs::metadata(&path) else {
            continue;
        };
        if metadata.is_dir() && depth < DEEPEST {
            walk(&path, &format!("{name}:"), depth + 1, found);
        } else if metadata.is_file()
            && path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("md"))
            && metadata.len() <= LARGEST
            && found.len() < FILES
            && let Ok(text) = fs::read_to_string(&path)
        {
            found.push((name, path, text));
        }
    }
}

/// Whether a command may be called so: what the agent reads as a name.
fn is_name(stem: &str) -> bool {
    !stem.is_empty() && stem.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
}
