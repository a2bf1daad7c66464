//! The store for the command line: no agent, no runtime, nothing written unless it is asked for.

use std::time::Duration;

use crow_acp::{Config, Secrets, SessionQuery, SessionRecord, SessionSummary};

use crate::backend::{self, Backend, Change, Reader};
use crate::error::StoreError;
use crate::location::Location;
use crate::options::Options;
use crate::repair;
use crate::search::Hit;
use crate::writer::now;

/// The sessions of a store, to be looked at, searched, exported and removed.
///
/// Looking at sessions that another Crow is working on is possible; removing them is not.
#[derive(Debug, Clone)]
pub struct Archive {
    location: Location,
    options: Options,
    secrets: Secrets,
}

impl Archive {
    /// The store at `location`. `None`: there is none yet.
    ///
    /// # Errors
    /// It cannot be opened, and why.
    pub fn open(location: &Location, options: &Options) -> Result<Option<Self>, StoreError> {
        let archive = Self { location: location.clone(), options: options.clone(), secrets: Secrets::default() };
        Ok(archive.read(|_| Ok(()))?.map(|()| archive))
    }

    /// The store that the configuration names. `None`: there is none yet.
    ///
    /// # Errors
    /// It cannot be opened, and why.
    pub fn of(config: &Config) -> Result<Option<Self>, StoreError> {
        let archive = Self::to_be(config)?;
        Ok(archive.read(|_| Ok(()))?.map(|()| archive))
    }

    /// The store that the configuration names, whether there is one or not: what is written makes it.
    ///
    /// # Errors
    /// [`StoreError::Configuration`]: there is no telling which.
    pub fn to_be(config: &Config) -> Result<Self, StoreError> {
        let options = Options::of(config)?;
        Ok(Self { location: options.location(config.home()), options, secrets: config.secrets().clone() })
    }

    /// Where it is.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// How long the configuration says that sessions are kept, if it does.
    pub fn retention(&self) -> Option<Duration> {
        self.options.retention()
    }

    /// The sessions that `query` asks for, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub fn list(&self, query: &SessionQuery) -> Result<Vec<SessionSummary>, StoreError> {
        Ok(self.read(|reader| reader.sessions(query))?.unwrap_or_default())
    }

    /// The one session whose id is `id` or begins with it. `None`: none does, or several do.
    ///
    /// # Errors
    /// The database failed.
    pub fn find(&self, id: &str) -> Result<Option<SessionSummary>, StoreError> {
        let found = self.read(|reader| {
            let exact = reader.session(id)?;
            if exact.is_some() || id.is_empty() {
                return Ok(exact);
            }
            let mut beginning = reader.sessions_beginning(id)?;
            Ok(if beginning.len() == 1 { beginning.pop() } else { None })
        });
        Ok(found?.flatten())
    }

    /// A session with its whole log; what a killed process left unfinished is shown as it would be loaded. `None`: the
    /// store does not have it.
    ///
    /// # Errors
    /// The database failed.
    pub fn record(&self, id: &str) -> Result<Option<SessionRecord>, StoreError> {
        let mut record = self.read(|reader| reader.record(id))?.flatten();
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
        Ok(self.read(|reader| reader.search(words, limit))?.unwrap_or_default())
    }

    /// Forgets a session. `false`: the store does not have it.
    ///
    /// # Errors
    /// [`StoreError::InUse`]: a Crow is working on it. Or the database failed.
    pub fn delete(&self, id: &str) -> Result<bool, StoreError> {
        self.change(|backend| delete(backend, id))
    }

    /// The sessions that nothing happened to for `age`, and those of which nothing was said for a day.
    ///
    /// # Errors
    /// The database failed.
    pub fn outdated(&self, age: Duration) -> Result<Vec<String>, StoreError> {
        Ok(self.read(|reader| reader.outdated(Some(age), now()))?.unwrap_or_default())
    }

    /// Forgets the [outdated](Self::outdated) sessions, except those that a Crow is working on. Gives their ids.
    ///
    /// # Errors
    /// The database failed.
    pub fn prune(&self, age: Duration) -> Result<Vec<String>, StoreError> {
        let outdated = self.outdated(age)?;
        if outdated.is_empty() {
            return Ok(outdated);
        }
        self.change(|backend| {
            let mut pruned = Vec::new();
            for id in outdated {
                match delete(backend, &id) {
                    Ok(_) => pruned.push(id),
                    Err(StoreError::InUse { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(pruned)
        })
    }

    /// Puts in a session as a whole, secrets left out. `false`: the store has one of this id already, which stays as it is.
    ///
    /// # Errors
    /// The database failed; then nothing of the session is in the store.
    pub fn insert(&self, record: SessionRecord) -> Result<bool, StoreError> {
        Ok(self.insert_all(vec![record])?.pop().unwrap_or(false))
    }

    /// Puts in sessions, as [`insert`](Self::insert) does, and says of each whether it is new.
    ///
    /// # Errors
    /// The database failed; sessions before the one it failed at are in the store.
    pub fn insert_all(&self, records: Vec<SessionRecord>) -> Result<Vec<bool>, StoreError> {
        /// Bytes after which the log beside a file is merged into it.
        const CHECKPOINT: usize = 8 << 20;
        self.change(|backend| {
            let mut new = Vec::new();
            let mut bytes = 0;
            for mut record in records {
                backend.open()?;
                let known = backend.knows(&record.summary.id)?;
                if !known {
                    let id = record.summary.id.as_str().into();
                    record.summary.title = record.summary.title.map(|title| self.secrets.scrub(&title).into_owned());
                    let session = std::iter::once(Change::Session(record.summary));
                    let events = record.events.into_iter();
                    let events = events.map(|event| Change::Event { session: std::sync::Arc::clone(&id), event });
                    let changes: Vec<Change> = session.chain(events).collect();
                    let written = backend.write(&changes, &self.secrets)?;
                    written.lost.map_or(Ok(()), Err)?;
                    bytes += written.bytes;
                    if bytes > CHECKPOINT {
                        backend.checkpoint()?;
                        bytes = 0;
                    }
                }
                new.push(!known);
            }
            Ok(new)
        })
    }

    /// Reads on a connection for the purpose. `None`: there is no store.
    fn read<T: Send>(
        &self,
        work: impl FnOnce(&mut dyn Reader) -> Result<T, StoreError> + Send,
    ) -> Result<Option<T>, StoreError> {
        self.apart(|| match backend::reader(&self.location, &self.options)? {
            Some(mut reader) => work(&mut *reader).map(Some),
            None => Ok(None),
        })
    }

    /// Changes things on a connection for the purpose; its leases end with it.
    fn change<T: Send>(
        &self,
        work: impl FnOnce(&mut dyn Backend) -> Result<T, StoreError> + Send,
    ) -> Result<T, StoreError> {
        self.apart(|| {
            let mut backend = backend::backend(&self.location, &self.options);
            let done = work(&mut *backend);
            if done.is_ok() {
                // Nobody waits for an answer: the next process need not read what this one has written.
                let _ = backend.checkpoint();
            }
            backend.close();
            done
        })
    }

    /// On a thread of its own: the caller may be one that drives an asynchronous runtime, and the client of a database
    /// server waits in a runtime of its own.
    fn apart<T: Send>(&self, work: impl FnOnce() -> Result<T, StoreError> + Send) -> Result<T, StoreError> {
        let done = std::thread::scope(|scope| scope.spawn(work).join());
        let ended = |_| StoreError::Database { store: self.location.clone(), detail: "it ended with a panic".into() };
        done.unwrap_or_else(|panic| Err(ended(panic)))
    }
}

fn delete(backend: &mut dyn Backend, id: &str) -> Result<bool, StoreError> {
    backend.open()?;
    backend.take(id)?;
    let done = backend.delete(id);
    backend.release(id);
    done
}
