//! The writer: the one thread that changes the store. It keeps what is to be written in a queue, writes it in few
//! transactions, and does its housekeeping when nobody waits.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crow_acp::{Event, EventKind, Secrets, SessionSummary};
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use crate::database::{self, locks};
use crate::error::StoreError;
use crate::lease::Leases;
use crate::options::Options;
use crate::write;

/// Where an answer goes. Whoever asked may have stopped waiting; then it goes nowhere.
type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// After so many bytes the log beside the database is merged into it, at the next quiet moment.
const CHECKPOINT: usize = 1 << 20;

/// How long nothing must have happened before that: it waits for the disk, and a message that comes then waits with it.
const QUIET: Duration = Duration::from_secs(1);

/// After so many it is done even if there is no quiet moment: the next process has to read all of it before it can begin.
const CHECKPOINT_OVERDUE: usize = 8 << 20;

/// Bytes of that log which a transaction takes besides its events: whole pages of each table and index it touches.
const TRANSACTION: usize = 32 << 10;

/// How long to wait at least before a write that failed is tried again unasked.
const RETRY: Duration = Duration::from_secs(1);

/// What the writer is asked to do.
pub(crate) enum Job {
    /// Take the session's lease and make its row. Without a reply, a refusal comes with the first commit.
    Start { summary: SessionSummary, reply: Option<Reply<()>> },
    /// Write the event soon.
    Append { session: Arc<str>, event: Event },
    /// Write the event now.
    Commit { session: Arc<str>, event: Event, reply: Reply<()> },
    /// Write what waits.
    Flush { reply: Reply<()> },
    /// Take the lease of a session that is in the store. `false`: it is not.
    Lease { session: Arc<str>, reply: Reply<bool> },
    /// Give the lease back.
    End { session: Arc<str> },
    /// Forget a session. `false`: there was none.
    Delete { session: Arc<str>, reply: Reply<bool> },
    /// Write what waits, close the file, end the thread.
    Close { reply: Reply<()> },
}

/// What waits to be written.
enum Change {
    Session(SessionSummary),
    Event { session: Arc<str>, event: Event },
}

/// The thread's state.
pub(crate) struct Writer {
    path: PathBuf,
    options: Options,
    secrets: Secrets,
    leases: Leases,
    /// `None` until it is needed, and again after a failure that may pass.
    connection: Option<Connection>,
    /// In the order of the log.
    waiting: Vec<Change>,
    /// When what waits must be written; set with the first that waits.
    due: Option<Instant>,
    /// Sessions whose lease could not be had: their events go nowhere until a commit gets it.
    refused: HashMap<Arc<str>, SessionSummary>,
    /// Sessions that were deleted while they were open: late events of theirs must not fail.
    deleted: HashSet<Arc<str>>,
    /// The last write failed: only those who wait for it, and time, make for another try.
    failing: bool,
    /// An event that could not be stored, until somebody is told.
    lost: Option<StoreError>,
    /// Bytes written since the last checkpoint, about.
    written: usize,
    chores: Chores,
}

/// What is to be done when nobody waits.
#[derive(Default)]
struct Chores {
    /// The sessions that are too old are not dropped yet.
    prune: bool,
    /// There may be events that the search index lacks.
    index: bool,
}

impl Writer {
    pub(crate) fn new(path: PathBuf, options: Options, secrets: Secrets) -> Self {
        Self {
            leases: Leases::new(locks(&path)),
            chores: Chores { prune: true, index: options.search },
            path,
            options,
            secrets,
            connection: None,
            waiting: Vec::new(),
            due: None,
            refused: HashMap::new(),
            deleted: HashSet::new(),
            failing: false,
            lost: None,
            written: 0,
        }
    }

    /// Works until it is told to close, or nobody is left to tell it.
    pub(crate) fn run(mut self, jobs: &Receiver<Job>) {
        // Whoever comes first finds the database open. A failure is told to whoever needs the database.
        let _ = self.open();
        loop {
            match self.next(jobs) {
                Ok(Job::Close { reply }) => {
                    let done = self.flush();
                    self.close();
                    let _ = reply.send(done);
                    return;
                }
                Ok(job) => {
                    self.work(job);
                    if self.written >= CHECKPOINT_OVERDUE {
                        let _ = self.checkpoint();
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.pause(),
                Err(RecvTimeoutError::Disconnected) => {
                    let _ = self.flush();
                    return self.close();
                }
            }
        }
    }

    /// Waits for a job: until what waits is due, or for a quiet moment if there are chores.
    fn next(&self, jobs: &Receiver<Job>) -> Result<Job, RecvTimeoutError> {
        let wait = match self.due {
            Some(due) => due.saturating_duration_since(Instant::now()),
            None if self.chores.prune || self.chores.index => self.options.flush_interval(),
            None if self.written >= CHECKPOINT => self.options.flush_interval().max(QUIET),
            None => return jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        jobs.recv_timeout(wait)
    }

    fn work(&mut self, job: Job) {
        match job {
            Job::Start { summary, reply } => {
                let done = self.start(summary);
                if let Some(reply) = reply {
                    let _ = reply.send(done);
                }
            }
            Job::Append { session, event } => {
                let partial = matches!(event.kind, EventKind::Partial { .. });
                self.wait(session, event);
                // Partial answers come seldom, and are all that is left of an answer after a crash.
                if !self.failing && (partial || self.waiting.len() >= self.options.flush_events.get()) {
                    let _ = self.flush();
                }
            }
            Job::Commit { session, event, reply } => {
                let done = self.commit(session, event);
                let _ = reply.send(done);
            }
            Job::Flush { reply } => {
                let done = self.flush().and_then(|()| self.lost.take().map_or(Ok(()), Err));
                let _ = reply.send(done);
            }
            Job::Lease { session, reply } => {
                let done = self.lease(session);
                let _ = reply.send(done);
            }
            Job::End { session } => {
                let _ = self.flush();
                self.refused.remove(&session);
                self.leases.release(&session);
            }
            Job::Delete { session, reply } => {
                let done = self.delete(session);
                let _ = reply.send(done);
            }
            Job::Close { .. } => unreachable!("the loop answers it"),
        }
    }

    fn commit(&mut self, session: Arc<str>, event: Event) -> Result<(), StoreError> {
        if let Some(summary) = self.refused.get(&session).cloned() {
            self.start(summary)?;
        }
        if self.deleted.contains(&session) {
            return Err(StoreError::UnknownSession { session: session.to_string() });
        }
        self.wait(session, event);
        let written = self.flush();
        // Whoever asked takes the failure as a refusal. What was refused must not turn up in the log later; something
        // has to, because its number is taken.
        if let (Err(reason), Some(Change::Event { event, .. })) = (&written, self.waiting.last_mut()) {
            event.kind = EventKind::Refused { excluded: event.seq, reason: reason.to_string() };
        }
        written
    }

    fn start(&mut self, mut summary: SessionSummary) -> Result<(), StoreError> {
        summary.title = summary.title.map(|title| self.secrets.scrub(&title).into_owned());
        let id: Arc<str> = summary.id.as_str().into();
        if let Err(error) = self.leases.take(&id) {
            self.refused.insert(id, summary);
            return Err(error);
        }
        self.refused.remove(&id);
        self.deleted.remove(&id);
        self.waiting.push(Change::Session(summary));
        self.be_due();
        Ok(())
    }

    fn lease(&mut self, session: Arc<str>) -> Result<bool, StoreError> {
        self.flush()?;
        let path = self.path.clone();
        let known = write::key_of(self.open()?, &session).map_err(|error| StoreError::sqlite(&path, &error))?.is_some();
        if known {
            self.leases.take(&session)?;
            self.refused.remove(&session);
        }
        Ok(known)
    }

    fn delete(&mut self, session: Arc<str>) -> Result<bool, StoreError> {
        self.flush()?;
        self.leases.take(&session)?;
        let path = self.path.clone();
        let connection = self.open()?;
        let done = write::delete(connection, &session).map_err(|error| StoreError::sqlite(&path, &error));
        self.leases.release(&session);
        if done.is_ok() {
            self.deleted.insert(session);
        }
        done
    }

    /// Puts an event at the end of the queue. One of the same number that was not written yet gives way to it.
    fn wait(&mut self, session: Arc<str>, event: Event) {
        if self.refused.contains_key(&session) || self.deleted.contains(&session) {
            return;
        }
        let same = self.waiting.iter().rposition(|change| match change {
            Change::Event { session: other, event: waiting } => *other == session && waiting.seq == event.seq,
            Change::Session(_) => false,
        });
        if let Some(at) = same {
            self.waiting.remove(at);
        }
        self.waiting.push(Change::Event { session, event });
        self.be_due();
    }

    fn be_due(&mut self) {
        let interval = self.options.flush_interval();
        let interval = if self.failing { interval.max(RETRY) } else { interval };
        self.due.get_or_insert_with(|| Instant::now() + interval);
    }

    /// Writes what waits, in one transaction. What cannot be written now stays and is tried again; an event that never
    /// can be is dropped. The error is that of the transaction, or of the last event.
    fn flush(&mut self) -> Result<(), StoreError> {
        self.due = None;
        if self.waiting.is_empty() {
            return Ok(());
        }
        let written = self.write_waiting();
        self.failing = written.is_err();
        if self.failing {
            self.be_due();
        } else {
            self.waiting.clear();
            self.written += TRANSACTION;
            self.chores.index = self.options.search;
        }
        written?
    }

    fn write_waiting(&mut self) -> Result<Result<(), StoreError>, StoreError> {
        self.open()?;
        let Self { connection: Some(connection), waiting, path, secrets, written, lost, .. } = self else {
            return Err(StoreError::Closed);
        };
        let sqlite = |error: rusqlite::Error| StoreError::sqlite(path, &error);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
        let mut last = Ok(());
        for change in waiting.iter() {
            last = match change {
                Change::Session(summary) => write::session(&transaction, summary).map_err(sqlite),
                Change::Event { session, event } => {
                    append(&transaction, path, session, event, secrets).map(|bytes| *written += bytes)
                }
            };
            match &last {
                Err(error) if error.concerns_one_event() => *lost = Some(error.clone()),
                Err(error) => return Err(error.clone()),
                Ok(()) => {}
            }
        }
        transaction.commit().map_err(sqlite)?;
        Ok(last)
    }

    /// Nobody has asked for anything for a while.
    fn pause(&mut self) {
        if self.due.is_some() {
            let _ = self.flush();
            return;
        }
        // One chore at a time: somebody may be waiting after it. One that fails is given up until there is reason to
        // try again; what makes it fail will fail where somebody is told, too.
        let done = if self.chores.prune {
            self.prune()
        } else if self.chores.index {
            self.index()
        } else {
            self.checkpoint()
        };
        if done.is_err() {
            self.chores = Chores::default();
        }
    }

    fn prune(&mut self) -> Result<(), StoreError> {
        self.chores.prune = false;
        let (path, retention) = (self.path.clone(), self.options.retention());
        let outdated =
            write::outdated(self.open()?, retention, now()).map_err(|error| StoreError::sqlite(&path, &error))?;
        for session in outdated {
            // Not those that are open, here or elsewhere.
            if !self.leases.holds(&session) && self.leases.take(&session).is_ok() {
                let done = write::delete(self.open()?, &session);
                self.leases.release(&session);
                done.map_err(|error| StoreError::sqlite(&path, &error))?;
            }
        }
        Ok(())
    }

    fn index(&mut self) -> Result<(), StoreError> {
        let path = self.path.clone();
        self.chores.index = write::index(self.open()?).map_err(|error| StoreError::sqlite(&path, &error))?;
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        self.written = 0;
        let path = self.path.clone();
        let connection = self.open()?;
        database::checkpoint(connection).map_err(|error| StoreError::sqlite(&path, &error))
    }

    fn open(&mut self) -> Result<&mut Connection, StoreError> {
        if self.connection.is_none() {
            self.connection = Some(database::open(&self.path, self.options.busy_timeout())?);
            // A store that has just been made, or was left by a process that was killed, deserves a checkpoint soon.
            self.written = CHECKPOINT;
        }
        self.connection.as_mut().ok_or(StoreError::Closed)
    }

    fn close(&mut self) {
        self.connection = None;
        self.leases.release_all();
    }
}

/// Writes one event and gives the bytes it took.
fn append(
    connection: &Connection,
    path: &Path,
    session: &str,
    event: &Event,
    secrets: &Secrets,
) -> Result<usize, StoreError> {
    let unreadable = |error: &serde_json::Error| StoreError::Unreadable {
        session: session.to_owned(),
        seq: event.seq,
        detail: error.to_string(),
    };
    let data = serde_json::to_string(event).map_err(|error| unreadable(&error))?;
    match secrets.scrub(&data) {
        Cow::Borrowed(data) => write::event(connection, path, session, event, data)?,
        // What follows from the event must not hold the secret either: a title is made of the prompt's words.
        Cow::Owned(data) => {
            let scrubbed = serde_json::from_str(&data).map_err(|error| unreadable(&error))?;
            write::event(connection, path, session, &scrubbed, &data)?;
        }
    }
    Ok(data.len())
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
