//! The store as the async world sees it: nothing here waits for the disk on the runtime's threads.

use std::sync::Arc;
use std::sync::mpsc::{self, Sender};

use crow_acp::{Event, Secrets, SessionQuery, SessionRecord, SessionSummary};
use tokio::sync::oneshot;

use crate::backend::{self, Reader};
use crate::error::StoreError;
use crate::location::Location;
use crate::options::Options;
use crate::repair;
use crate::search::Hit;
use crate::writer::{Job, Writer, now};

/// The session store of this process. Cheap to clone; the database is closed when it is told to, or the last clone goes.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use crow_acp::{Event, EventKind, Message, Secrets, SessionSummary};
/// use crow_plugin_persistence::{Options, Store};
///
/// let directory = tempfile::tempdir().unwrap();
/// let store = Store::start(directory.path().join("crow.db").into(), Options::default(), Secrets::default())?;
/// store.start_session(SessionSummary::new("s1", "/work", 1));
/// store.commit("s1", Event::new(1, 1, EventKind::User { message: Message::user("hello") })).await?;
/// let record = store.load("s1").await?.unwrap();
/// assert_eq!(record.events.len(), 1);
/// # store.close().await?;
/// # Ok::<(), crow_plugin_persistence::StoreError>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Store {
    location: Arc<Location>,
    options: Arc<Options>,
    jobs: Sender<Job>,
}

impl Store {
    /// Starts the thread that opens the database at `location`, made if there is none, and writes to it. Returns at once:
    /// if the database cannot be opened, those who need it are told. Values that `secrets` knows are never written.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(location: Location, options: Options, secrets: Secrets) -> Result<Self, StoreError> {
        let (jobs, queue) = mpsc::channel();
        let writer_options = options.clone();
        let writer_location = location.clone();
        std::thread::Builder::new()
            .name("crow-store".into())
            // The connection to a server belongs to the thread that makes it.
            .spawn(move || Writer::new(&writer_location, writer_options, secrets).run(&queue))
            .map_err(|error| StoreError::Database { store: location.clone(), detail: error.to_string() })?;
        Ok(Self { location: Arc::new(location), options: Arc::new(options), jobs })
    }

    /// A session begins: takes its lease and makes its row, in the background. If another process has the lease, the
    /// first [`commit`](Self::commit) says so, and nothing of this process's session is stored.
    pub fn start_session(&self, summary: SessionSummary) {
        self.send(Job::Start { summary, reply: None });
    }

    /// As [`start_session`](Self::start_session), but waits for the lease.
    ///
    /// # Errors
    /// [`StoreError::InUse`]: another process works on the session.
    pub async fn resume_session(&self, summary: SessionSummary) -> Result<(), StoreError> {
        self.ask(|reply| Job::Start { summary, reply: Some(reply) }).await
    }

    /// A session ends in this process: others may have it.
    pub fn end_session(&self, id: &str) {
        self.send(Job::End { session: id.into() });
    }

    /// Appends an event to a session's log, soon: with `flush_events` others, after `flush_interval_ms`, or with the next
    /// [`commit`](Self::commit) or [`flush`](Self::flush). A partial answer is written at once and gives way to the
    /// event of the same number.
    pub fn append(&self, session: &str, event: Event) {
        self.send(Job::Append { session: session.into(), event });
    }

    /// Appends an event and waits until it, and all before it, would survive the end of the process.
    ///
    /// # Errors
    /// It is not stored, and why. If the reason passes, the log says under its number that it was refused.
    pub async fn commit(&self, session: &str, event: Event) -> Result<(), StoreError> {
        let session = session.into();
        self.ask(|reply| Job::Commit { session, event, reply }).await
    }

    /// Waits until all that was appended would survive the end of the process.
    ///
    /// # Errors
    /// Something is not stored, and why.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.ask(|reply| Job::Flush { reply }).await
    }

    /// A session with its whole log, for going on with it: takes the lease, and repairs what the end of another process
    /// left unfinished, in the store too. `None`: the store does not have it.
    ///
    /// # Errors
    /// [`StoreError::InUse`]: another process works on the session. Or the database failed.
    pub async fn load(&self, id: &str) -> Result<Option<SessionRecord>, StoreError> {
        let session: Arc<str> = id.into();
        let leased = session.clone();
        if !self.ask(|reply| Job::Lease { session: leased, reply }).await? {
            return Ok(None);
        }
        let loaded = self.load_leased(&session).await;
        if loaded.is_err() {
            self.end_session(id);
        }
        loaded
    }

    async fn load_leased(&self, session: &Arc<str>) -> Result<Option<SessionRecord>, StoreError> {
        let id = session.clone();
        let record = self.read(move |reader| reader.record(&id)).await?;
        let Some(mut record) = record.flatten() else { return Ok(None) };
        let repaired = repair::repair(&mut record.events, now());
        if !repaired.is_empty() {
            for event in repaired {
                self.send(Job::Append { session: session.clone(), event });
            }
            self.flush().await?;
        }
        Ok(Some(record))
    }

    /// The sessions that `query` asks for, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn list(&self, query: SessionQuery) -> Result<Vec<SessionSummary>, StoreError> {
        self.flush().await?;
        Ok(self.read(move |reader| reader.sessions(&query)).await?.unwrap_or_default())
    }

    /// The newest events in which all of `words` occur, at most `limit`. The last word may be the beginning of one.
    ///
    /// # Errors
    /// The database failed.
    pub async fn search(&self, words: &str, limit: usize) -> Result<Vec<Hit>, StoreError> {
        self.flush().await?;
        let words = words.to_owned();
        Ok(self.read(move |reader| reader.search(&words, limit)).await?.unwrap_or_default())
    }

    /// Makes a copy of the session `id` under the id `copy`, takes its lease and gives it as it would be loaded. The
    /// original may be open, here or elsewhere. `None`: the store does not have it.
    ///
    /// # Errors
    /// The database failed; then there is no copy.
    pub async fn fork(&self, id: &str, copy: &str) -> Result<Option<SessionRecord>, StoreError> {
        let (session, copy) = (id.into(), copy.into());
        self.ask(|reply| Job::Fork { session, copy, reply }).await
    }

    /// Forgets a session. `false`: the store does not have it.
    ///
    /// # Errors
    /// [`StoreError::InUse`]: another process works on it. Or the database failed.
    pub async fn delete(&self, id: &str) -> Result<bool, StoreError> {
        let session = id.into();
        self.ask(|reply| Job::Delete { session, reply }).await
    }

    /// Writes what waits, closes the file and gives all leases back. Afterwards everything fails with
    /// [`StoreError::Closed`]; closing again does nothing.
    ///
    /// # Errors
    /// Something could not be written, and why.
    pub async fn close(&self) -> Result<(), StoreError> {
        match self.ask(|reply| Job::Close { reply }).await {
            Err(StoreError::Closed) => Ok(()),
            done => done,
        }
    }

    /// Reads on a connection of its own, so that a long log keeps nobody from writing. `None`: there is no store.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<Option<T>, StoreError> {
        let (location, options) = (self.location.clone(), self.options.clone());
        let reading = tokio::task::spawn_blocking(move || match backend::reader(&location, &options)? {
            Some(mut reader) => work(&mut *reader).map(Some),
            None => Ok(None),
        });
        let failed = |detail: String| StoreError::Database { store: Location::clone(&self.location), detail };
        reading.await.unwrap_or_else(|error| Err(failed(error.to_string())))
    }

    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Job) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(job(reply));
        // The thread drops what it does not answer when it ends.
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// After the store was closed there is nobody to send to, and nothing more to be said than `ask` says.
    fn send(&self, job: Job) {
        let _ = self.jobs.send(job);
    }
}
