//! Keeps what files are before a call changes them, and notes what it made of them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crow_acp::{Access, Notice, Session, Severity};

use crate::config::Settings;
use crate::journal::{Before, Journal};
use crate::prune;

/// A prompt is known by so many characters of it.
const PROMPT: usize = 80;

/// What is kept on a session.
#[derive(Debug, Default)]
pub(crate) struct State(Mutex<Current>);

/// The run under way.
#[derive(Debug, Default)]
struct Current {
    prompt: String,
    /// Open once the run has changed a file.
    journal: Option<Journal>,
    /// It has started a command before that.
    commands: bool,
    /// The session's share is used up, and the user knows.
    full: bool,
}

impl State {
    pub(crate) fn of(session: &Session) -> Arc<Self> {
        if let Some(state) = session.get::<Self>() {
            return state;
        }
        session.insert(Self::default());
        session.get::<Self>().unwrap_or_default()
    }

    fn with<T>(&self, look: impl FnOnce(&mut Current) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A run begins. The journal is read anew with its first edit: an undo may have come between, from anywhere.
    pub(crate) fn begin(&self, prompt: &str) {
        let line = prompt.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        let prompt = line.chars().take(PROMPT).collect();
        self.with(|current| *current = Current { prompt, ..Current::default() });
    }
}

/// A call under way that changes files.
#[derive(Debug)]
pub(crate) struct Watch {
    state: Arc<State>,
    files: Vec<PathBuf>,
}

impl Watch {
    /// Looks at what the call `id` says it will reach. `None`: it writes no file.
    pub(crate) async fn begin(session: &Session, id: &str) -> Option<Self> {
        let access = session.preview(id).map(|preview| preview.access).unwrap_or_default();
        let state = State::of(session);
        if access.iter().any(|access| matches!(access, Access::Execute { .. })) {
            // Where nothing is kept, nothing can be noted; the next edit of the run makes up for it.
            state.with(|current| {
                current.commands = true;
                current.journal.as_mut().map(Journal::command)
            });
        }
        let files: Vec<PathBuf> = access
            .into_iter()
            .filter_map(|access| if let Access::Write { path } = access { Some(path) } else { None })
            .collect();
        if files.is_empty() {
            return None;
        }
        let (own, paths, of) = (Arc::clone(&state), files.clone(), session.clone());
        let kept = tokio::task::spawn_blocking(move || own.with(|current| current.keep(&of, &paths))).await;
        for trouble in kept.unwrap_or_default() {
            session.notify(Notice::new(Severity::Warning, trouble));
        }
        Some(Self { state, files })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.state.with(|current| {
            let Some(journal) = &mut current.journal else {
                return;
            };
            for file in self.files.iter().filter(|file| file.is_absolute()) {
                // What cannot be noted is a file that somebody changed: an undo leaves it alone.
                let _ = journal.changed(file);
            }
        });
    }
}

impl Current {
    /// Keeps what these files are, and gives what the user should know.
    fn keep(&mut self, session: &Session, paths: &[PathBuf]) -> Vec<String> {
        match self.try_keep(session, paths) {
            Ok(troubles) => troubles,
            Err(error) => vec![format!("what is changed now cannot be undone: {error}")],
        }
    }

    fn try_keep(&mut self, session: &Session, paths: &[PathBuf]) -> std::io::Result<Vec<String>> {
        let config = session.config();
        // Bad values were refused at the start.
        let settings: Settings = config.plugin("checkpoints").unwrap_or_default();
        let mut troubles = Vec::new();
        if self.journal.is_none() {
            let mut journal = Journal::open(config.home(), session.id())?;
            prune::prune(config.home(), journal.directory(), &settings);
            journal.begin(&self.prompt)?;
            if self.commands {
                journal.command()?;
            }
            self.journal = Some(journal);
        }
        let Some(journal) = &mut self.journal else {
            return Ok(troubles);
        };
        for path in paths {
            if journal.has(path) {
                continue;
            }
            let room = settings.max_total_bytes.saturating_sub(prune::size(journal.directory()));
            let largest = settings.max_file_bytes.min(room);
            if let Before::Skipped(reason) = journal.keep(path, largest)? {
                let is_full = largest < settings.max_file_bytes;
                if is_full && std::mem::replace(&mut self.full, true) {
                    continue;
                }
                let reason =
                    if is_full { "what is kept of the session has reached `max_total_bytes`" } else { &reason };
                troubles.push(format!("changes of {} cannot be undone: {reason}", path.display()));
            }
        }
        Ok(troubles)
    }
}
