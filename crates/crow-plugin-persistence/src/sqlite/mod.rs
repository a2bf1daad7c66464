//! The store in a SQLite file: the default, with nothing to install.

mod database;
mod lease;
mod read;
mod schema;
mod write;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crow_acp::{Secrets, SessionQuery, SessionRecord, SessionSummary};
use rusqlite::{Connection, TransactionBehavior};

pub(crate) use schema::VERSION;

use crate::backend::{Backend, Change, Reader, Written, stored};
use crate::error::StoreError;
use crate::options::Options;
use crate::search::Hit;
use lease::Leases;

/// Bytes of the log beside the database which a transaction takes besides its events: whole pages of each table and index
/// it touches.
const TRANSACTION: usize = 32 << 10;

/// What changes the file.
#[derive(Debug)]
pub(crate) struct Sqlite {
    path: PathBuf,
    busy_timeout: Duration,
    leases: Leases,
    /// `None` until it is needed, and again after a failure that may pass.
    connection: Option<Connection>,
}

impl Sqlite {
    /// The store at `path`; it is not opened yet.
    pub(crate) fn new(path: PathBuf, options: &Options) -> Self {
        let leases = Leases::new(database::locks(&path));
        Self { path, busy_timeout: options.busy_timeout(), leases, connection: None }
    }

    /// Does `work` on the connection, and says of its error where it happened.
    fn on<T>(&mut self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        self.open()?;
        let connection = self.connection.as_mut().ok_or(StoreError::Closed)?;
        work(connection).map_err(|error| StoreError::sqlite(&self.path, &error))
    }
}

impl Backend for Sqlite {
    fn open(&mut self) -> Result<bool, StoreError> {
        if self.connection.is_some() {
            return Ok(false);
        }
        self.connection = Some(database::open(&self.path, self.busy_timeout)?);
        Ok(true)
    }

    fn take(&mut self, session: &str) -> Result<(), StoreError> {
        self.leases.take(session)
    }

    fn release(&mut self, session: &str) {
        self.leases.release(session);
    }

    fn holds(&self, session: &str) -> bool {
        self.leases.holds(session)
    }

    fn write(&mut self, changes: &[Change], secrets: &Secrets) -> Result<Written, StoreError> {
        self.open()?;
        let Self { connection: Some(connection), path, .. } = self else { return Err(StoreError::Closed) };
        let sqlite = |error: rusqlite::Error| StoreError::sqlite(path, &error);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
        let mut written = Written { bytes: TRANSACTION, ..Written::default() };
        for change in changes {
            written.note(match change {
                Change::Session(summary) => write::session(&transaction, summary).map_err(sqlite).map(|()| 0),
                Change::Event { session, event } => stored(session, event, secrets).and_then(|(event, data)| {
                    write::event(&transaction, path, session, &event, &data).map(|()| data.len())
                }),
            })?;
        }
        transaction.commit().map_err(sqlite)?;
        Ok(written)
    }

    fn knows(&mut self, session: &str) -> Result<bool, StoreError> {
        self.on(|connection| write::key_of(connection, session)).map(|key| key.is_some())
    }

    fn record(&mut self, session: &str) -> Result<Option<SessionRecord>, StoreError> {
        self.open()?;
        let Self { connection: Some(connection), path, .. } = self else { return Err(StoreError::Closed) };
        read::record(connection, path, session)
    }

    fn delete(&mut self, session: &str) -> Result<bool, StoreError> {
        self.on(|connection| write::delete(connection, session))
    }

    fn outdated(&mut self, age: Option<Duration>, now: i64) -> Result<Vec<String>, StoreError> {
        self.on(|connection| read::outdated(connection, age, now))
    }

    fn index(&mut self) -> Result<bool, StoreError> {
        self.on(write::index)
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        self.on(|connection| database::checkpoint(connection))
    }

    fn close(&mut self) {
        self.connection = None;
        self.leases.release_all();
    }
}

/// Indexes what is not indexed yet, without leaving a long log behind for the next process to read.
fn index_all(mut connection: Connection) {
    const BATCHES: usize = 50;
    for batch in 1.. {
        let more = matches!(write::index(&mut connection), Ok(true));
        if !more || batch % BATCHES == 0 {
            let _ = database::checkpoint(&connection);
        }
        if !more {
            return;
        }
    }
}

/// What reads the file, on a connection of its own, so that a long log keeps nobody from writing.
#[derive(Debug)]
pub(crate) struct Reading {
    path: PathBuf,
    options: Options,
    connection: Connection,
}

impl Reading {
    /// `None`: there is no store yet.
    pub(crate) fn open(path: &Path, options: &Options) -> Result<Option<Self>, StoreError> {
        let connection = database::open_read_only(path, options.busy_timeout())?;
        Ok(connection.map(|connection| Self { path: path.to_owned(), options: options.clone(), connection }))
    }

    fn failed(&self, error: &rusqlite::Error) -> StoreError {
        StoreError::sqlite(&self.path, error)
    }
}

impl Reader for Reading {
    fn sessions(&mut self, query: &SessionQuery) -> Result<Vec<SessionSummary>, StoreError> {
        read::sessions(&self.connection, query).map_err(|error| self.failed(&error))
    }

    fn session(&mut self, id: &str) -> Result<Option<SessionSummary>, StoreError> {
        read::session(&self.connection, id).map_err(|error| self.failed(&error))
    }

    fn sessions_beginning(&mut self, prefix: &str) -> Result<Vec<SessionSummary>, StoreError> {
        read::sessions_beginning(&self.connection, prefix).map_err(|error| self.failed(&error))
    }

    fn record(&mut self, id: &str) -> Result<Option<SessionRecord>, StoreError> {
        read::record(&mut self.connection, &self.path, id)
    }

    fn search(&mut self, words: &str, limit: usize) -> Result<Vec<Hit>, StoreError> {
        // What the last agent had no time to index. Where that cannot be written, what is indexed is what there is.
        if self.options.search
            && let Ok(true) = read::lags(&self.connection)
            && let Ok(connection) = database::open(&self.path, self.options.busy_timeout())
        {
            index_all(connection);
        }
        read::search(&self.connection, words, limit).map_err(|error| self.failed(&error))
    }

    fn outdated(&mut self, age: Option<Duration>, now: i64) -> Result<Vec<String>, StoreError> {
        read::outdated(&self.connection, age, now).map_err(|error| self.failed(&error))
    }
}
