//! Brings files back, and says what was done and what was not.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::journal::{self, Before, Journal};

/// What became of a file, or would.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fate {
    /// It has its earlier content again.
    PutBack,
    /// It was made by the agent and is gone.
    Deleted,
    /// It has its earlier content already.
    AsItWas,
    /// Somebody changed it after the agent had, so that it was left alone.
    LeftAlone,
    /// Somebody had changed it after the agent had, and it has its earlier content all the same. What it was before is
    /// kept here.
    Overwritten {
        /// The copy; `None` if there was no file.
        copy: Option<PathBuf>,
    },
    /// It cannot be brought back: why.
    Lost {
        /// Why.
        reason: String,
    },
}

/// A file and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Undone {
    /// The file.
    pub path: PathBuf,
    /// What became of it.
    #[serde(flatten)]
    pub fate: Fate,
}

/// What an undo did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The first prompt that was undone, with all that came after it.
    pub from: u32,
    /// The files, by path.
    pub files: Vec<Undone>,
    /// One of the prompts started commands in the terminal: what those changed is not covered.
    pub commands: bool,
}

impl Report {
    /// The report as a list for people, in Markdown. Paths in `cwd` are relative to it.
    pub fn in_words(&self, cwd: &Path) -> String {
        let mut lines: Vec<String> = self.files.iter().map(|file| file.in_words(cwd)).collect();
        if self.commands {
            lines
                .push("\nCommands were run in the terminal as well: what those changed is as they left it.".to_owned());
        }
        lines.join("\n")
    }

    /// Whether every file is as it was before.
    pub fn is_complete(&self) -> bool {
        !self.files.iter().any(|file| matches!(file.fate, Fate::LeftAlone | Fate::Lost { .. }))
    }
}

impl Undone {
    fn in_words(&self, cwd: &Path) -> String {
        let path = shown(&self.path, cwd);
        match &self.fate {
            Fate::PutBack => format!("- put back `{path}`"),
            Fate::Deleted => format!("- deleted `{path}`, which Crow had made"),
            Fate::AsItWas => format!("- `{path}` is as it was already"),
            Fate::LeftAlone => {
                format!("- left `{path}` alone: it was changed after Crow's last edit (`--force` overwrites it)")
            }
            Fate::Overwritten { copy: Some(copy) } => {
                format!(
                    "- overwrote `{path}`, which was changed after Crow's last edit; a copy is in `{}`",
                    copy.display()
                )
            }
            Fate::Overwritten { copy: None } => {
                format!("- put back `{path}`, which was removed after Crow's last edit")
            }
            Fate::Lost { reason } => format!("- `{path}` cannot be brought back: {reason}"),
        }
    }
}

/// A path as people read it. Those that are kept are canonical.
pub(crate) fn shown(path: &Path, cwd: &Path) -> String {
    let cwd = cwd.canonicalize().unwrap_or_else(|_| cwd.to_owned());
    path.strip_prefix(cwd).unwrap_or(path).display().to_string()
}

/// What a file is to become.
#[derive(Debug)]
struct Step {
    path: PathBuf,
    /// Before the first of the runs that are undone.
    target: Before,
    /// What the last of them left there.
    left: Option<String>,
}

/// The files that somebody changed after the runs from `from` on had.
pub(crate) fn conflicts(journal: &Journal, from: u32) -> Vec<PathBuf> {
    let is_conflict = |step: &Step| {
        let now = journal::digest(&step.path);
        now != step.left && !is(&step.target, now.as_deref())
    };
    steps(journal, from).into_iter().filter(is_conflict).map(|step| step.path).collect()
}

/// Undoes the runs from `from` on. With `force`, files that somebody changed since are overwritten, too.
///
/// # Errors
/// The journal cannot be written. What goes wrong with a file is in the report.
pub(crate) fn undo(journal: &mut Journal, from: u32, force: bool) -> io::Result<Report> {
    let commands = journal.runs().iter().any(|run| run.number >= from && !run.undone && run.commands);
    let files: Vec<Undone> = steps(journal, from)
        .into_iter()
        .map(|step| {
            let fate =
                bring_back(journal, &step, force).unwrap_or_else(|error| Fate::Lost { reason: error.to_string() });
            Undone { path: step.path, fate }
        })
        .collect();
    let report = Report { from, files, commands };
    // What was left alone may be undone by a second try, with force.
    if !report.files.iter().any(|file| file.fate == Fate::LeftAlone) {
        journal.undone(from)?;
    }
    Ok(report)
}

fn steps(journal: &Journal, from: u32) -> Vec<Step> {
    let mut steps: BTreeMap<PathBuf, Step> = BTreeMap::new();
    for run in journal.runs().iter().filter(|run| run.number >= from && !run.undone) {
        for (path, change) in &run.files {
            let step = steps.entry(path.clone()).or_insert_with(|| Step {
                path: path.clone(),
                target: change.before.clone(),
                left: None,
            });
            step.left.clone_from(&change.after);
        }
    }
    steps.into_values().collect()
}

/// Whether a file with this digest is what it was.
fn is(target: &Before, now: Option<&str>) -> bool {
    match target {
        Before::Absent => now.is_none(),
        Before::Kept { digest, .. } => now == Some(digest),
        Before::Skipped(_) => false,
    }
}

fn bring_back(journal: &Journal, step: &Step, force: bool) -> io::Result<Fate> {
    let Step { path, target, left } = step;
    if let Before::Skipped(reason) = target {
        return Ok(Fate::Lost { reason: reason.clone() });
    }
    let now = journal::digest(path);
    if is(target, now.as_deref()) {
        return Ok(Fate::AsItWas);
    }
    let was_changed = now != *left;
    if was_changed && !force {
        return Ok(Fate::LeftAlone);
    }
    let copy = if was_changed && now.is_some() {
        let digest = journal.store(&fs::read(path)?)?;
        Some(journal.object(&digest))
    } else {
        None
    };
    match target {
        Before::Kept { digest, mode } => replace(path, &journal.load(digest)?, *mode)?,
        Before::Absent | Before::Skipped(_) => fs::remove_file(path)?,
    }
    Ok(match target {
        _ if was_changed => Fate::Overwritten { copy },
        Before::Absent => Fate::Deleted,
        _ => Fate::PutBack,
    })
}

/// Puts a content in a file's place, as a whole or not at all.
fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = directory.join(format!(".{name}.crow-undo-{}", std::process::id()));
    let written = (|| {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&new)?;
        file.write_all(content)?;
        #[cfg(unix)]
        fs::set_permissions(&new, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
        #[cfg(not(unix))]
        let _ = mode;
        fs::rename(&new, path)
    })();
    if written.is_err() {
        // It may not be there at all.
        let _ = fs::remove_file(&new);
    }
    written
}
