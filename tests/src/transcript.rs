//! Every message that passed between the client and the agent, in order.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;

/// Who sent a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The client, to the agent.
    ToAgent,
    /// The agent, to the client.
    FromAgent,
}

/// One message.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Who sent it.
    pub way: Way,
    /// When it was sent or had been read.
    pub at: Instant,
    /// The whole JSON-RPC message.
    pub message: Value,
}

impl Entry {
    /// The `update` of a `session/update` for `session`.
    pub fn update(&self, session: &str) -> Option<&Value> {
        let params = &self.message["params"];
        (self.way == Way::FromAgent && self.message["method"] == "session/update" && params["sessionId"] == session)
            .then(|| &params["update"])
    }

    /// Whether this is the agent's answer to the request `id`.
    pub fn answers(&self, id: &Value) -> bool {
        self.way == Way::FromAgent && self.message.get("method").is_none() && &self.message["id"] == id
    }

    /// Whether this is a request or notification of the agent with this method.
    pub fn is_from_agent(&self, method: &str) -> bool {
        self.way == Way::FromAgent && self.message["method"] == method
    }
}

/// The messages so far; grows while the client lives.
#[derive(Debug, Clone, Default)]
pub struct Transcript(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    log: Mutex<Log>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Log {
    entries: Vec<Entry>,
    /// Lines of the agent's stdout that are no JSON-RPC message.
    noise: Vec<String>,
    closed: bool,
}

impl Transcript {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, way: Way, message: Value) {
        self.lock().entries.push(Entry { way, at: Instant::now(), message });
        self.0.changed.notify_all();
    }

    pub(crate) fn add_noise(&self, line: &str) {
        self.lock().noise.push(line.to_owned());
    }

    /// Says that the agent's stdout ended.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.0.changed.notify_all();
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Whether nothing was said yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy of the messages from number `from` on.
    pub fn since(&self, from: usize) -> Vec<Entry> {
        self.lock().entries.get(from..).map(<[Entry]>::to_vec).unwrap_or_default()
    }

    /// Lines on the agent's stdout that are no JSON-RPC message.
    pub fn noise(&self) -> Vec<String> {
        self.lock().noise.clone()
    }

    /// Waits for the first message from number `from` on for which `probe` has a value.
    ///
    /// `None` when `limit` is over, or the agent's stdout ended without one.
    pub fn wait<T>(&self, from: usize, limit: Duration, probe: impl Fn(&Entry) -> Option<T>) -> Option<T> {
        let end = Instant::now() + limit;
        let mut seen = from;
        let mut log = self.lock();
        loop {
            if let Some(found) = log.entries.get(seen..).unwrap_or_default().iter().find_map(&probe) {
                return Some(found);
            }
            seen = log.entries.len().max(from);
            let left = end.checked_duration_since(Instant::now())?;
            if log.closed {
                return None;
            }
            log = self.0.changed.wait_timeout(log, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The last messages, one a line, shortened: for a failure's message.
    pub fn tail(&self, count: usize) -> String {
        let log = self.lock();
        let start = log.entries.len().saturating_sub(count);
        let lines = log.entries[start..].iter().map(|entry| {
            let arrow = if entry.way == Way::ToAgent { "->" } else { "<-" };
            let text: String = entry.message.to_string().chars().take(400).collect();
            format!("  {arrow} {text}\n")
        });
        lines.collect()
    }
}
