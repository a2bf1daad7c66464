//! What can be undone of a session, for commands and other programs: the session need not be open.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::journal::Journal;
use crate::undo::{self, Report};

/// Why something could not be undone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// What was kept cannot be read or written.
    #[error("what was kept of the session cannot be used: {0}")]
    Io(#[from] std::io::Error),
    /// No prompt of the session changed files that were not brought back already.
    #[error("there is nothing to undo: no prompt of this session changed a file with the agent's tools")]
    Nothing,
    /// There is no such prompt.
    #[error("there is no prompt {0} that changed files")]
    NoSuchPrompt(u32),
}

/// A prompt that changed files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Prompt {
    /// Counted from 1, among the prompts that changed files.
    pub number: u32,
    /// When it changed the first, in milliseconds since the Unix epoch.
    pub at: i64,
    /// How it begins.
    pub text: String,
    /// The files it changed.
    pub files: Vec<PathBuf>,
    /// It was undone.
    pub undone: bool,
}

/// What can be undone of a session.
#[derive(Debug)]
pub struct History(Journal);

impl History {
    /// What is kept of `session` in `home`, the directory `CROW_HOME`. Nothing is made.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(home: &Path, session: &str) -> Result<Self, CheckpointError> {
        Ok(Self(Journal::open(home, session)?))
    }

    /// The prompts that changed files, the oldest first.
    pub fn prompts(&self) -> Vec<Prompt> {
        let prompts = self.0.runs().iter().map(|run| Prompt {
            number: run.number,
            at: run.at,
            text: run.prompt.clone(),
            files: run.files.keys().cloned().collect(),
            undone: run.undone,
        });
        prompts.collect()
    }

    /// The number of the prompt that is `count` prompts back, 1 for the last: of those that are not undone.
    ///
    /// # Errors
    /// There is nothing to undo, or less than that.
    pub fn back(&self, count: u32) -> Result<u32, CheckpointError> {
        let open: Vec<u32> = self.0.runs().iter().filter(|run| !run.undone).map(|run| run.number).collect();
        let at = open.len().checked_sub(count.max(1) as usize);
        match (at, open.first()) {
            (Some(at), _) => Ok(open[at]),
            (None, Some(first)) => Ok(*first),
            (None, None) => Err(CheckpointError::Nothing),
        }
    }

    /// The files that somebody changed after the prompts from `from` on had.
    pub fn conflicts(&self, from: u32) -> Vec<PathBuf> {
        undo::conflicts(&self.0, from)
    }

    /// Brings all files back to before the prompt `from`. A file that somebody changed since is left alone, unless with
    /// `force`, which keeps a copy of it.
    ///
    /// # Errors
    /// There is no such prompt, or what was kept cannot be used. What goes wrong with one file is in the report.
    pub fn undo(&mut self, from: u32, force: bool) -> Result<Report, CheckpointError> {
        if !self.0.runs().iter().any(|run| run.number == from) {
            return Err(CheckpointError::NoSuchPrompt(from));
        }
        Ok(undo::undo(&mut self.0, from, force)?)
    }
}
