//! What a terminal has printed and nobody has taken yet.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// While somebody listens, printing waits at this; while nobody does, the oldest goes.
const MOST: usize = 64 << 10;

/// Bytes between the task that reads the terminal and the command that shows them.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    filled: Notify,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    listeners: usize,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds bytes. Never lets a job in the background wait for somebody to look at what it prints.
    pub(super) async fn put(&self, bytes: &[u8]) {
        loop {
            // Made before looking, so that a change between looking and waiting is not missed.
            let emptied = self.emptied.notified();
            {
                let mut state = self.lock();
                if state.listeners == 0 || state.bytes.len() < MOST {
                    state.bytes.extend_from_slice(bytes);
                    if state.listeners == 0 {
                        let excess = state.bytes.len().saturating_sub(MOST);
                        state.bytes.drain(..excess);
                    }
                    drop(state);
                    self.filled.notify_one();
                    return;
                }
            }
            emptied.await;
        }
    }

    /// Everything that has come; waits until there is something.
    pub(super) async fn take(&self) -> Vec<u8> {
        loop {
            let filled = self.filled.notified();
            let bytes = std::mem::take(&mut self.lock().bytes);
            if !bytes.is_empty() {
                self.emptied.notify_waiters();
                return bytes;
            }
            filled.await;
        }
    }

    /// Says that somebody takes what comes, for as long as the value lives.
    pub(super) fn listen(self: &std::sync::Arc<Self>) -> Listening {
        self.lock().listeners += 1;
        Listening(std::sync::Arc::clone(self))
    }
}

/// Somebody listens.
#[derive(Debug)]
pub(super) struct Listening(std::sync::Arc<Inbox>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.lock().listeners -= 1;
        self.0.emptied.notify_waiters();
    }
}
