//! The way to the one thread that all Python code of plugins runs on: the thread of an asyncio event loop.
//!
//! Jobs wait in a queue, and a byte through a socket wakes the loop, which takes them in order. Whoever posts a job needs
//! no GIL and waits for nothing, whatever the plugins do.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use pyo3::prelude::*;
use tokio::runtime::{Builder, Handle, Runtime};

/// How long the loop may take to look at a job before plugins count as stuck.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long the loop's own thread may take to end.
const FAREWELL: Duration = Duration::from_millis(500);

/// What the loop is to do.
pub(crate) type Job = Box<dyn FnOnce(Python<'_>) + Send>;

/// The one queue of this process.
static COURIER: OnceLock<Courier> = OnceLock::new();

/// Rust's threads for hosts that have none of their own running.
static RUNTIME: LazyLock<Option<Runtime>> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(2).thread_name("crow").enable_all().build().ok());

/// Rust's own threads: those that run already, else some of our own.
pub(crate) fn runtime() -> PyResult<Handle> {
    if let Ok(handle) = Handle::try_current() {
        return Ok(handle);
    }
    if let Some(handle) = COURIER.get().and_then(|courier| courier.runtime.get()) {
        return Ok(handle.clone());
    }
    let none = || pyo3::exceptions::PyRuntimeError::new_err("the system gives no threads");
    RUNTIME.as_ref().map(|runtime| runtime.handle().clone()).ok_or_else(none)
}

/// Jobs for the thread of the event loop.
#[derive(Debug)]
pub(crate) struct Courier {
    jobs: Mutex<Queue>,
    bell: UnixStream,
    ear: UnixStream,
    /// The loop's thread, while there is a loop.
    thread: Mutex<Option<ThreadId>>,
    /// Whether the loop's own thread was started.
    own: Mutex<Option<thread::JoinHandle<()>>>,
    /// Where Rust's tasks run that Python starts from its own thread.
    runtime: OnceLock<Handle>,
    stuck: AtomicBool,
}

#[derive(Default)]
struct Queue(VecDeque<Job>);

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Queue").field(&self.0.len()).finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Courier {
    /// The one of this process.
    ///
    /// # Panics
    /// The system has no file descriptors left.
    pub(crate) fn get() -> &'static Self {
        COURIER.get_or_init(|| {
            let (bell, ear) = match UnixStream::pair() {
                Ok(pair) => pair,
                Err(error) => panic!("no socket to wake Python with: {error}"),
            };
            for end in [&bell, &ear] {
                // A full pipe has woken the loop already; an empty one must not stop it.
                if let Err(error) = end.set_nonblocking(true) {
                    tracing::error!("the socket that wakes Python: {error}");
                }
            }
            Self {
                jobs: Mutex::default(),
                bell,
                ear,
                thread: Mutex::new(None),
                own: Mutex::new(None),
                runtime: OnceLock::new(),
                stuck: AtomicBool::new(false),
            }
        })
    }

    /// Has the loop do `job`, after those that wait already.
    pub(crate) fn post(&self, job: impl FnOnce(Python<'_>) + Send + 'static) {
        let first = {
            let mut jobs = lock(&self.jobs);
            jobs.0.push_back(Box::new(job));
            jobs.0.len() == 1
        };
        if first {
            let _ = (&self.bell).write(&[1]);
        }
    }

    /// Whether this is the loop's thread.
    pub(crate) fn is_here(&self) -> bool {
        *lock(&self.thread) == Some(thread::current().id())
    }

    /// Whether there is a loop.
    pub(crate) fn is_running(&self) -> bool {
        lock(&self.thread).is_some()
    }

    /// Whether plugins hold the loop up.
    pub(crate) fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Relaxed)
    }

    /// Remembers where Rust's tasks run.
    pub(crate) fn remember_runtime(&self) {
        if let Ok(handle) = Handle::try_current() {
            let _ = self.runtime.set(handle);
        }
    }

    /// Starts a thread with a loop of its own, unless there is a loop.
    pub(crate) fn start(&'static self) {
        let mut own = lock(&self.own);
        if self.is_running() || own.is_some() {
            return;
        }
        let started = thread::Builder::new().name("crow-python".into()).spawn(|| {
            Python::attach(|py| {
                let ran = py.import("crow_acp._runtime").and_then(|runtime| runtime.call_method0("run_loop"));
                if let Err(error) = ran {
                    tracing::error!("Python's event loop ended: {error}");
                }
            });
        });
        match started {
            Ok(thread) => *own = Some(thread),
            Err(error) => tracing::error!("no thread for Python: {error}"),
        }
    }

    /// Ends the loop of our own, if it can be ended.
    pub(crate) fn stop(&self) {
        let Some(thread) = lock(&self.own).take() else { return };
        self.post(|py| {
            let stopped = py.import("crow_acp._runtime").and_then(|runtime| runtime.call_method0("stop"));
            if let Err(error) = stopped {
                tracing::error!("Python's event loop does not stop: {error}");
            }
        });
        let end = std::time::Instant::now() + FAREWELL;
        while !thread.is_finished() && std::time::Instant::now() < end {
            thread::sleep(Duration::from_millis(2));
        }
        if !thread.is_finished() {
            self.stuck.store(true, Ordering::Relaxed);
        }
    }

    /// Waits until the loop has done what it was given so far.
    ///
    /// # Errors
    /// It does not within a time that any plugin should leave it.
    pub(crate) async fn answers(&self) -> Result<(), tokio::time::error::Elapsed> {
        let (done, answered) = tokio::sync::oneshot::channel::<()>();
        self.post(move |_| drop(done));
        // It ends by being dropped.
        tokio::time::timeout(2 * PATIENCE, answered).await.map(drop)
    }

    /// Looks whether the loop still does what it is asked to; `stuck` is called if not, and `well` when it does again.
    pub(crate) fn check(&'static self, stuck: impl FnOnce() + Send + 'static, well: impl FnOnce() + Send + 'static) {
        let Ok(runtime) = runtime() else { return };
        let answered = Arc::new(AtomicBool::new(false));
        let answer = answered.clone();
        self.post(move |_| {
            answer.store(true, Ordering::Relaxed);
            if self.stuck.swap(false, Ordering::Relaxed) {
                well();
            }
        });
        runtime.spawn(async move {
            tokio::time::sleep(PATIENCE).await;
            if !answered.load(Ordering::Relaxed) && !self.stuck.swap(true, Ordering::Relaxed) {
                stuck();
            }
        });
    }
}

/// Tells the courier that the loop runs on this thread, and gives the file descriptor to listen at.
#[pyfunction]
pub(crate) fn attach() -> i32 {
    let courier = Courier::get();
    *lock(&courier.thread) = Some(thread::current().id());
    courier.ear.as_raw_fd()
}

/// Tells the courier that there is no loop any more.
#[pyfunction]
pub(crate) fn detach() {
    *lock(&Courier::get().thread) = None;
}

/// Does the jobs that wait. Called by the loop.
#[pyfunction]
pub(crate) fn drain(py: Python<'_>) {
    let courier = Courier::get();
    let mut bytes = [0; 64];
    while matches!((&courier.ear).read(&mut bytes), Ok(64)) {}
    loop {
        let jobs = std::mem::take(&mut lock(&courier.jobs).0);
        if jobs.is_empty() {
            return;
        }
        for job in jobs {
            job(py);
        }
    }
}
