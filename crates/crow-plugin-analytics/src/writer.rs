//! The recorder: a thread that opens the database when the first record comes and writes behind everybody's back.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::budget::Totals;
use crate::database::{self, AnalyticsError};
use crate::record::Record;

/// How long records wait for others.
const BATCH: Duration = Duration::from_millis(500);

/// Records that are kept while the database cannot be written. Later ones are lost.
const MOST_WAITING: usize = 20_000;

type Reply<T> = oneshot::Sender<Result<T, AnalyticsError>>;

enum Job {
    Record(Record),
    /// Everything before is on disk when this is answered.
    Flush(Reply<()>),
    /// What was used up so far: by a run, by its session, today.
    Totals {
        run: i64,
        session: String,
        reply: Reply<Used>,
    },
    Close(Reply<()>),
}

/// What was used up.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Used {
    pub(crate) run: Totals,
    pub(crate) session: Totals,
    pub(crate) day: Totals,
}

/// The way to the thread. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    jobs: Sender<Job>,
}

impl Recorder {
    /// Starts the thread. It touches no file before the first record.
    pub(crate) fn start(path: PathBuf, retention_days: u32) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel();
        let writer = Writer { path, retention_days, connection: None, waiting: Vec::new(), told: false };
        std::thread::Builder::new().name("crow-analytics".into()).spawn(move || writer.run(&queue))?;
        Ok(Self { jobs })
    }

    /// Records something, soon.
    pub(crate) fn record(&self, record: Record) {
        self.send(Job::Record(record));
    }

    /// Waits until everything is on disk.
    pub(crate) async fn flush(&self) -> Result<(), AnalyticsError> {
        self.ask(Job::Flush).await
    }

    /// What was used up so far, everything recorded before included.
    pub(crate) async fn used(&self, run: i64, session: &str) -> Result<Used, AnalyticsError> {
        let session = session.to_owned();
        self.ask(|reply| Job::Totals { run, session, reply }).await
    }

    /// Writes what waits and closes the file.
    pub(crate) async fn close(&self) -> Result<(), AnalyticsError> {
        match self.ask(Job::Close).await {
            Err(AnalyticsError::Closed) => Ok(()),
            done => done,
        }
    }

    async fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, AnalyticsError> {
        let (reply, answer) = oneshot::channel();
        self.send(job(reply));
        answer.await.unwrap_or(Err(AnalyticsError::Closed))
    }

    /// After the end there is nobody to send to, and nothing more to be said than `ask` says.
    fn send(&self, job: Job) {
        let _ = self.jobs.send(job);
    }
}

struct Writer {
    path: PathBuf,
    retention_days: u32,
    connection: Option<Connection>,
    waiting: Vec<Record>,
    /// The log knows that writing fails.
    told: bool,
}

impl Writer {
    fn run(mut self, queue: &Receiver<Job>) {
        let mut due: Option<Instant> = None;
        loop {
            let next = match due {
                None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => queue.recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            match next {
                Ok(Job::Record(record)) => {
                    if self.waiting.len() < MOST_WAITING {
                        self.waiting.push(record);
                    }
                    due.get_or_insert_with(|| Instant::now() + BATCH);
                    continue;
                }
                Ok(Job::Flush(reply)) => drop(reply.send(self.write())),
                Ok(Job::Totals { run, session, reply }) => {
                    let used = self.write().and_then(|()| self.used(run, &session));
                    drop(reply.send(used));
                }
                Ok(Job::Close(reply)) => {
                    drop(reply.send(self.write()));
                    return;
                }
                Err(RecvTimeoutError::Timeout) => drop(self.write()),
                Err(RecvTimeoutError::Disconnected) => {
                    drop(self.write());
                    return;
                }
            }
            due = None;
        }
    }

    /// Writes what waits. What cannot be written waits for the next time.
    fn write(&mut self) -> Result<(), AnalyticsError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let written = self.try_write();
        match &written {
            Ok(()) => {
                self.waiting.clear();
                self.told = false;
            }
            Err(error) if !std::mem::replace(&mut self.told, true) => tracing::warn!("analytics: {error}"),
            Err(_) => {}
        }
        written
    }

    fn try_write(&mut self) -> Result<(), AnalyticsError> {
        let failed = |path: &Path, error: &rusqlite::Error| AnalyticsError::sqlite(path, error);
        let connection = match &mut self.connection {
            Some(connection) => connection,
            slot => slot.insert(database::open(&self.path, self.retention_days)?),
        };
        database::write(connection, &self.waiting).map_err(|error| failed(&self.path, &error))
    }

    fn used(&mut self, run: i64, session: &str) -> Result<Used, AnalyticsError> {
        // Nothing was recorded by this process: others may have.
        let connection = match &mut self.connection {
            Some(connection) => connection,
            slot => slot.insert(database::open(&self.path, self.retention_days)?),
        };
        let sums = |which: &str, parameters: &[&dyn rusqlite::ToSql]| Totals::query(connection, which, parameters);
        let used = || -> rusqlite::Result<Used> {
            Ok(Used {
                run: sums("session = ?1 AND run = ?2", &[&session, &run])?,
                session: sums("session = ?1", &[&session])?,
                day: sums("at >= unixepoch('now', 'localtime', 'start of day', 'utc') * 1000", &[])?,
            })
        };
        used().map_err(|error| AnalyticsError::sqlite(&self.path, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Place, Request};
    use crow_acp::Usage;

    fn request(session: &str, run: i64, at: i64, cost: Option<f64>) -> Record {
        let place = Place { session: session.into(), project: "/p".into(), run: Some(run) };
        Record::Request(Box::new(Request {
            at,
            place,
            model: "a/b".into(),
            turn: Some(1),
            attempt: 1,
            usage: Usage::new(10, 5),
            estimated: false,
            cost,
            first: None,
            took: Duration::from_millis(1),
            finish: None,
            error: None,
        }))
    }

    #[tokio::test]
    async fn what_was_used_up_counts_what_was_just_recorded() {
        let directory = tempfile::tempdir().unwrap();
        let recorder = Recorder::start(directory.path().join("a.db"), 0).unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
        recorder.record(request("s", 1, now, Some(0.5)));
        recorder.record(request("s", 2, now, None));
        recorder.record(request("s", 2, now - 3 * 86_400_000, Some(1.0)));
        recorder.record(request("other", 3, now, Some(0.25)));
        let used = recorder.used(2, "s").await.unwrap();
        assert_eq!(used.run, Totals { money: 1.0, unpriced: 1, tokens: 30, turns: 2 });
        assert_eq!(used.session, Totals { money: 1.5, unpriced: 1, tokens: 45, turns: 3 });
        assert_eq!(used.day, Totals { money: 0.75, unpriced: 1, tokens: 45, turns: 3 });
        recorder.close().await.unwrap();
        assert!(matches!(recorder.flush().await, Err(AnalyticsError::Closed)));
    }

    #[tokio::test]
    async fn no_record_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let recorder = Recorder::start(directory.path().join("a.db"), 0).unwrap();
        recorder.flush().await.unwrap();
        recorder.close().await.unwrap();
        assert!(!directory.path().join("a.db").exists());
    }

    #[tokio::test]
    async fn records_wait_until_they_can_be_written() {
        let directory = tempfile::tempdir().unwrap();
        // A file where the directory should be.
        let blocked = directory.path().join("home");
        std::fs::write(&blocked, "").unwrap();
        let recorder = Recorder::start(blocked.join("a.db"), 0).unwrap();
        recorder.record(request("s", 1, 1, None));
        assert!(recorder.flush().await.is_err());
        std::fs::remove_file(&blocked).unwrap();
        recorder.flush().await.unwrap();
        assert_eq!(recorder.used(1, "s").await.unwrap().run.tokens, 15);
    }
}
