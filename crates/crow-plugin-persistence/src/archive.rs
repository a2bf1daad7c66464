//! The store for the command line: no agent, no runtime, nothing written unless it is asked for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crow_acp::{Config, SessionQuery, SessionRecord, SessionSummary};
use rusqlite::Connection;

use crate::database::{self, locks};
use crate::error::StoreError;
use crate::lease::Leases;
use crate::options::Options;
use crate::read::{self, Hit};
use crate::repair;
use crate::write;
use crate::writer::now;

/// The sessions on disk, to be looked at, searched, exported and removed.
///
/// Looking at sessions that another Crow is working on is possible; removing them is not.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    options: Options,
    connection: Connection,
}

impl Archive {
    /// Opens the store at `path` for reading. `None`: there is none yet.
    ///
    /// # Errors
    /// It cannot be opened, and why.
    pub fn open(path: &Path, options: &Options) -> Result<Option<Self>, StoreError> {
        let connection = database::open_read_only(path, options.busy_timeout())?;
        Ok(connection.map(|connection| Self { path: path.to_owned(), options: options.clone(), connection }))
    }

    /// Opens the store that the configuration names, for reading. `None`: there is none yet.
    ///
    /// # Errors
    /// It cannot be opened, and why.
    pub fn of(config: &Config) -> Result<Option<Self>, StoreError> {
        let options = Options::of(config)?;
        Self::open(&options.database(config.home()), &options)
    }

    /// The sessions that `query` asks for, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub fn list(&self, query: &SessionQuery) -> Result<Vec<SessionSummary>, StoreError> {
        read::sessions(&self.connection, query).map_err(|error| self.failed(&error))
    }

    /// The one session whose id is `id` or begins with it. `None`: none does, or several do.
    ///
    /// # Errors
    /// The database failed.
    pub fn find(&self, id: &str) -> Result<Option<SessionSummary>, StoreError> {
        let exact = read::session(&self.connection, id).map_err(|error| self.failed(&error))?;
        if exact.is_some() || id.is_empty() {
            return Ok(exact);
        }
        let mut beginning = read::sessions_beginning(&self.connection, id).map_err(|error| self.failed(&error))?;
        Ok(if beginning.len() == 1 { beginning.pop() } else { None })
    }

    /// A session with its whole log; what a killed process left unfinished is shown as it would be loaded. `None`: the
    /// store does not have it.
    ///
    /// # Errors
    /// The database failed.
    pub fn record(&mut self, id: &str) -> Result<Option<SessionRecord>, StoreError> {
        let mut record = read::record(&mut self.connection, &self.path, id)?;
        if let Some(record) = &mut record {
            repair::repair(&mut record.events, record.summary.updated_at);
        }
        Ok(record)
    }

    /// The newest events in which all of `words` occur, at most `limit`. The last word may be the beginning of one.
    ///
    /// # Errors
    /// The database failed.
    pub fn search(&self, words: &str, limit: usize) -> Result<Vec<Hit>, StoreError> {
        // What the last agent had no time to index. Where that cannot be written, what is indexed is what there is.
        if self.options.search
            && let Ok(mut connection) = self.open_to_write()
        {
            while matches!(write::index(&mut connection), Ok(true)) {}
        }
        read::search(&self.connection, words, limit).map_err(|error| self.failed(&error))
    }

    /// Forgets a session. `false`: the store does not have it.
    ///
    /// # Errors
    /// [`StoreError::InUse`]: a Crow is working on it. Or the database failed.
    pub fn delete(&self, id: &str) -> Result<bool, StoreError> {
        let mut leases = Leases::new(locks(&self.path));
        leases.take(id)?;
        write::delete(&mut self.open_to_write()?, id).map_err(|error| self.failed(&error))
    }

    /// Forgets the sessions that nothing happened to for `age`, except those that a Crow is working on, and those of which
    /// nothing was said for a day. Gives their ids.
    ///
    /// # Errors
    /// The database failed.
    pub fn prune(&self, age: Duration) -> Result<Vec<String>, StoreError> {
        let outdated = write::outdated(&self.connection, Some(age), now()).map_err(|error| self.failed(&error))?;
        let mut pruned = Vec::new();
        for id in outdated {
            match self.delete(&id) {
                Ok(_) => pruned.push(id),
                Err(StoreError::InUse { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(pruned)
    }

    fn open_to_write(&self) -> Result<Connection, StoreError> {
        database::open(&self.path, self.options.busy_timeout())
    }

    fn failed(&self, error: &rusqlite::Error) -> StoreError {
        StoreError::sqlite(&self.path, error)
    }
}
