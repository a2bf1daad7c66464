//! The writer: the one thread that changes the store. It keeps what is to be written in a queue, writes it in few
//! transactions, and does its housekeeping when nobody waits.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crow_acp::{Event, EventKind, Secrets, SessionRecord, SessionSummary};
use tokio::sync::oneshot;

use crate::backend::{Backend, Change, backend};
use crate::error::StoreError;
use crate::location::Location;
use crate::options::Options;
use crate::repair;

/// Where an answer goes. Whoever asked may have stopped waiting; then it goes nowhere.
type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// After so many bytes the log beside the database is merged into it, at the next quiet moment.
const CHECKPOINT: usize = 1 << 20;

/// How long nothing must have happened before that: it waits for the disk, and a message that comes then waits with it.
const QUIET: Duration = Duration::from_secs(1);

/// After so many it is done even if there is no quiet moment: the next process has to read all of it before it can begin.
const CHECKPOINT_OVERDUE: usize = 8 << 20;

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
    /// Make a copy of a session, under another id and with its own lease. `None`: there is none.
    Fork { session: Arc<str>, copy: Arc<str>, reply: Reply<Option<SessionRecord>> },
    /// Forget a session. `false`: there was none.
    Delete { session: Arc<str>, reply: Reply<bool> },
    /// Write what waits, close the file, end the thread.
    Close { reply: Reply<()> },
}

/// The thread's state.
pub(crate) struct Writer {
    options: Options,
    secrets: Secrets,
    backend: Box<dyn Backend>,
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
    pub(crate) fn new(location: &Location, options: Options, secrets: Secrets) -> Self {
        Self {
            backend: backend(location, &options),
            chores: Chores { prune: true, index: options.search },
            options,
            secrets,
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
                    self.backend.close();
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
                    return self.backend.close();
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
                self.backend.release(&session);
            }
            Job::Fork { session, copy, reply } => {
                let done = self.fork(&session, copy);
                let _ = reply.send(done);
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
        if let Err(error) = self.backend.take(&id) {
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
        self.open()?;
        let known = self.backend.knows(&session)?;
        if known {
            self.backend.take(&session)?;
            self.refused.remove(&session);
        }
        Ok(known)
    }

    /// The copy is whole or not there: it is written in one transaction.
    fn fork(&mut self, session: &str, copy: Arc<str>) -> Result<Option<SessionRecord>, StoreError> {
        self.flush()?;
        self.open()?;
        let Some(mut record) = self.backend.record(session)? else { return Ok(None) };
        let at = now();
        // Where the original is in the middle of something, the copy begins with what it has so far.
        repair::repair(&mut record.events, at);
        let mut summary = SessionSummary::new(&*copy, &record.summary.cwd, at);
        summary.title = record.summary.title.take();
        summary.model = record.summary.model.take();
        summary.parent = Some(session.to_owned());
        self.backend.take(&copy)?;
        let events = record.events.iter().map(|event| Change::Event { session: copy.clone(), event: event.clone() });
        let changes: Vec<Change> = std::iter::once(Change::Session(summary.clone())).chain(events).collect();
        match self.write(&changes) {
            Ok(()) => Ok(Some(SessionRecord::new(summary, record.events))),
            Err(error) => {
                self.backend.release(&copy);
                Err(error)
            }
        }
    }

    fn delete(&mut self, session: Arc<str>) -> Result<bool, StoreError> {
        self.flush()?;
        self.open()?;
        self.backend.take(&session)?;
        let done = self.backend.delete(&session);
        self.backend.release(&session);
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
        let waiting = std::mem::take(&mut self.waiting);
        let written = self.open().and_then(|()| self.backend.write(&waiting, &self.secrets));
        self.failing = written.is_err();
        match written {
            Ok(written) => {
                self.written += written.bytes;
                self.chores.index = self.options.search;
                self.lost = written.lost.or_else(|| self.lost.take());
                written.last
            }
            Err(error) => {
                self.waiting = waiting;
                self.be_due();
                Err(error)
            }
        }
    }

    /// Writes what does not wait.
    fn write(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let written = self.backend.write(changes, &self.secrets)?;
        self.written += written.bytes;
        self.chores.index = self.options.search;
        written.lost.map_or(Ok(()), Err)
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
        self.open()?;
        for session in self.backend.outdated(self.options.retention(), now())? {
            // Not those that are open, here or elsewhere.
            if !self.backend.holds(&session) && self.backend.take(&session).is_ok() {
                let done = self.backend.delete(&session);
                self.backend.release(&session);
                done?;
            }
        }
        Ok(())
    }

    fn index(&mut self) -> Result<(), StoreError> {
        self.open()?;
        self.chores.index = self.backend.index()?;
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        self.written = 0;
        self.open()?;
        self.backend.checkpoint()
    }

    fn open(&mut self) -> Result<(), StoreError> {
        if self.backend.open()? {
            // A store that has just been made, or was left by a process that was killed, deserves a checkpoint soon.
            self.written = CHECKPOINT;
        }
        Ok(())
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
