//! What the plugin keeps of each session: its shell.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::shell::Shell;

/// The sessions that have run a command.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<String, Arc<Terminal>>>);

impl Sessions {
    /// The terminal of a session. Nothing is started.
    pub(crate) fn terminal(&self, session: &str) -> Arc<Terminal> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(sessions.entry(session.to_owned()).or_default())
    }

    /// Ends a session's shell and everything it started.
    pub(crate) async fn end(&self, session: &str) {
        let terminal = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(session);
        if let Some(terminal) = terminal {
            terminal.close().await;
        }
    }

    /// Ends all shells.
    pub(crate) async fn end_all(&self) {
        let terminals: Vec<_> = self.0.lock().unwrap_or_else(PoisonError::into_inner).drain().collect();
        // Each takes a moment in which the others can go as well.
        let closing: Vec<_> =
            terminals.into_iter().map(|(_, terminal)| tokio::spawn(async move { terminal.close().await })).collect();
        for closed in closing {
            let _ = closed.await;
        }
    }
}

/// The terminal of a session: a shell that waits for the next command, or none. While a command runs its call owns the
/// shell, so that dropping the call ends it.
#[derive(Debug, Default)]
pub(crate) struct Terminal(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    shell: Option<Shell>,
    cwd: Option<PathBuf>,
    closed: bool,
}

impl Terminal {
    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The shell, if one waits.
    pub(crate) fn take(&self) -> Option<Shell> {
        let mut shell = self.lock().shell.take()?;
        shell.is_alive().then_some(shell)
    }

    /// Keeps a shell for the next command; if the session has ended meanwhile, or another shell waits, it ends.
    pub(crate) fn keep(&self, shell: Shell) {
        let mut waiting = self.lock();
        waiting.cwd = Some(shell.cwd().to_owned());
        if !waiting.closed && waiting.shell.is_none() {
            waiting.shell = Some(shell);
        }
    }

    /// The directory in which a new shell is to start: where the last one was, if that is still there.
    pub(crate) fn cwd(&self, session: &Path) -> PathBuf {
        let last = self.lock().cwd.clone().filter(|last| last.is_dir());
        last.unwrap_or_else(|| session.to_owned())
    }

    async fn close(&self) {
        let shell = {
            let mut waiting = self.lock();
            waiting.closed = true;
            waiting.shell.take()
        };
        if let Some(shell) = shell {
            shell.close().await;
        }
    }
}
