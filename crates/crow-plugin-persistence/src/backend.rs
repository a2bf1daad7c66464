//! The seam between the store and its databases: what one that keeps sessions can do. Above it nobody knows which it is.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crow_acp::{Event, Secrets, SessionQuery, SessionRecord, SessionSummary};

use crate::error::StoreError;
use crate::location::Location;
use crate::options::Options;
use crate::search::Hit;
use crate::{postgres, sqlite};

/// What waits to be written.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// The session's row, made unless there is one; an existing one gets the directory.
    Session(SessionSummary),
    /// The next event of a log, with what follows from it.
    Event { session: Arc<str>, event: Event },
}

/// What became of a transaction that was committed.
#[derive(Debug)]
pub(crate) struct Written {
    /// Bytes of events, about.
    pub(crate) bytes: usize,
    /// Whether the last change is in it.
    pub(crate) last: Result<(), StoreError>,
    /// A change that is not, because of itself.
    pub(crate) lost: Option<StoreError>,
}

impl Default for Written {
    fn default() -> Self {
        Self { bytes: 0, last: Ok(()), lost: None }
    }
}

impl Written {
    /// Notes what became of the next change; the error is one that stops them all.
    pub(crate) fn note(&mut self, change: Result<usize, StoreError>) -> Result<(), StoreError> {
        self.last = match change {
            Ok(bytes) => {
                self.bytes += bytes;
                Ok(())
            }
            Err(error) if error.concerns_one_event() => {
                self.lost = Some(error.clone());
                Err(error)
            }
            Err(error) => return Err(error),
        };
        Ok(())
    }
}

/// One connection that changes the store, and the leases of this process. It opens itself where it has to.
pub(crate) trait Backend: Send {
    /// Connects, unless connected; the store is made or migrated if need be. True: it has just been opened.
    fn open(&mut self) -> Result<bool, StoreError>;

    /// Takes the lease of a session, unless this process has it.
    fn take(&mut self, session: &str) -> Result<(), StoreError>;

    /// Gives the lease back, if this process has it.
    fn release(&mut self, session: &str);

    /// Whether this process has the lease.
    fn holds(&self, session: &str) -> bool;

    /// Writes the changes in one transaction.
    fn write(&mut self, changes: &[Change], secrets: &Secrets) -> Result<Written, StoreError>;

    /// Whether the session is in the store.
    fn knows(&mut self, session: &str) -> Result<bool, StoreError>;

    /// A session with its whole log, as it was written.
    fn record(&mut self, session: &str) -> Result<Option<SessionRecord>, StoreError>;

    /// Forgets a session. False: there was none.
    fn delete(&mut self, session: &str) -> Result<bool, StoreError>;

    /// The sessions that nothing happened to for `age`, and those a day old in which nothing was ever said.
    fn outdated(&mut self, age: Option<Duration>, now: i64) -> Result<Vec<String>, StoreError>;

    /// Adds some more events to the search index. True: there may be more.
    fn index(&mut self) -> Result<bool, StoreError>;

    /// Does what a database wants done when nobody waits, after so many bytes were written.
    fn checkpoint(&mut self) -> Result<(), StoreError>;

    /// Closes the connection and gives all leases back.
    fn close(&mut self);
}

/// A connection that only reads.
pub(crate) trait Reader {
    /// The sessions that `query` asks for, newest first.
    fn sessions(&mut self, query: &SessionQuery) -> Result<Vec<SessionSummary>, StoreError>;

    /// A session's summary.
    fn session(&mut self, id: &str) -> Result<Option<SessionSummary>, StoreError>;

    /// The sessions whose id begins with `prefix`, at most two.
    fn sessions_beginning(&mut self, prefix: &str) -> Result<Vec<SessionSummary>, StoreError>;

    /// A session with its whole log, as it was written.
    fn record(&mut self, id: &str) -> Result<Option<SessionRecord>, StoreError>;

    /// The newest events in which all of `words` occur, at most `limit`.
    fn search(&mut self, words: &str, limit: usize) -> Result<Vec<Hit>, StoreError>;

    /// The sessions that nothing happened to for `age`, and those a day old in which nothing was ever said.
    fn outdated(&mut self, age: Option<Duration>, now: i64) -> Result<Vec<String>, StoreError>;
}

/// What changes the store at `location`. Nothing is opened yet.
pub(crate) fn backend(location: &Location, options: &Options) -> Box<dyn Backend> {
    match location {
        Location::File(path) => Box::new(sqlite::Sqlite::new(path.clone(), options)),
        Location::Server(server) => Box::new(postgres::Postgres::new(server.clone(), options)),
    }
}

/// What reads the store at `location`. `None`: there is no store yet.
pub(crate) fn reader(location: &Location, options: &Options) -> Result<Option<Box<dyn Reader>>, StoreError> {
    match location {
        Location::File(path) => {
            Ok(sqlite::Reading::open(path, options)?.map(|reading| Box::new(reading) as Box<dyn Reader>))
        }
        Location::Server(server) => {
            Ok(postgres::Reading::open(server, options)?.map(|reading| Box::new(reading) as Box<dyn Reader>))
        }
    }
}

/// An event as it is stored: without secrets, and as JSON.
pub(crate) fn stored<'a>(
    session: &str,
    event: &'a Event,
    secrets: &Secrets,
) -> Result<(Cow<'a, Event>, String), StoreError> {
    let unreadable = |error: &serde_json::Error| StoreError::Unreadable {
        session: session.to_owned(),
        seq: event.seq,
        detail: error.to_string(),
    };
    let data = serde_json::to_string(event).map_err(|error| unreadable(&error))?;
    match secrets.scrub(&data) {
        Cow::Borrowed(_) => Ok((Cow::Borrowed(event), data)),
        // What follows from the event must not hold the secret either: a title is made of the prompt's words.
        Cow::Owned(data) => {
            let scrubbed = serde_json::from_str(&data).map_err(|error| unreadable(&error))?;
            Ok((Cow::Owned(scrubbed), data))
        }
    }
}
