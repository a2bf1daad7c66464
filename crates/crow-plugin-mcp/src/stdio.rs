//! Messages over a program's standard input and output, one a line. A line that is no message is passed over and noted;
//! whoever sends without end is read at a bounded pace, so that it waits and we do not.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rmcp::RoleClient;
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::time::{Instant, sleep_until};

/// The longest line that is read, in bytes.
const LONGEST: usize = 16 << 20;

/// How much is read in a second: messages, and bytes of them.
const MESSAGES: u32 = 1_000;
const BYTES: usize = 64 << 20;

/// What is odd about a server, for whoever asks how it does. Each thing is noted once.
#[derive(Debug, Default)]
pub(crate) struct Remarks(Mutex<Vec<String>>);

impl Remarks {
    /// Notes something, unless something of the same beginning is noted already.
    pub(crate) fn note(&self, beginning: &str, rest: impl FnOnce() -> String) {
        let mut remarks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !remarks.iter().any(|remark| remark.starts_with(beginning)) {
            remarks.push(format!("{beginning}{}", rest()));
        }
    }

    /// What was noted so far.
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets what was noted: the server starts anew.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// How much was read in the present second.
#[derive(Debug)]
pub(crate) struct Pace {
    since: Instant,
    messages: u32,
    bytes: usize,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { since: Instant::now(), messages: 0, bytes: 0 }
    }

    /// Counts what was read: bytes, and messages that ended with them.
    pub(crate) fn count(&mut self, bytes: usize, messages: u32) {
        let now = Instant::now();
        if now.duration_since(self.since) >= Duration::from_secs(1) {
            *self = Self { since: now, messages: 0, bytes: 0 };
        }
        self.messages += messages;
        self.bytes += bytes;
    }

    /// Waits for the next second if this one is used up. May be dropped and called again.
    pub(crate) async fn keep(&self, remarks: &Remarks) {
        let next = self.since + Duration::from_secs(1);
        if (self.messages >= MESSAGES || self.bytes >= BYTES) && Instant::now() < next {
            remarks.note("it floods us with messages", || ", so that it is read slowly".into());
            sleep_until(next).await;
        }
    }
}

/// The two pipes of a program.
pub(crate) struct Stdio {
    from: BufReader<ChildStdout>,
    /// What was read of a line so far: reading may be interrupted at any time.
    line: Vec<u8>,
    /// The rest of a line that is too long.
    skipping: bool,
    to: Arc<tokio::sync::Mutex<Option<ChildStdin>>>,
    pace: Pace,
    remarks: Arc<Remarks>,
}

impl Stdio {
    pub(crate) fn new(stdin: ChildStdin, stdout: ChildStdout, remarks: Arc<Remarks>) -> Self {
        Self {
            from: BufReader::new(stdout),
            line: Vec::new(),
            skipping: false,
            to: Arc::new(tokio::sync::Mutex::new(Some(stdin))),
            pace: Pace::new(),
            remarks,
        }
    }

    /// Reads up to the end of a line into `self.line`; false at the end of all.
    async fn read_line(&mut self) -> bool {
        loop {
            self.pace.keep(&self.remarks).await;
            let Ok(available) = self.from.fill_buf().await else { return false };
            if available.is_empty() {
                return false;
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let ends = end.is_some();
            let taken = end.map_or(available.len(), |at| at + 1);
            if self.line.len() + taken > LONGEST {
                self.skipping = true;
                self.line = Vec::new();
            }
            if !self.skipping {
                self.line.extend_from_slice(&available[..taken]);
            }
            self.from.consume(taken);
            self.pace.count(taken, u32::from(ends));
            if ends {
                return true;
            }
        }
    }
}

impl Transport<RoleClient> for Stdio {
    type Error = io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), io::Error>> + Send + 'static {
        let to = Arc::clone(&self.to);
        async move {
            let mut line = serde_json::to_vec(&message)?;
            line.push(b'\n');
            let mut to = to.lock().await;
            let to = to.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
            to.write_all(&line).await?;
            to.flush().await
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            if !self.read_line().await {
                return None;
            }
            let too_long = std::mem::take(&mut self.skipping);
            let message = serde_json::from_slice(self.line.trim_ascii());
            match message {
                Ok(message) => {
                    // One large answer must not hold its memory for good.
                    self.line.clear();
                    self.line.shrink_to(64 * 1024);
                    return Some(message);
                }
                Err(_) if too_long => {
                    self.remarks.note("it sent a message", || format!(" of more than {} MiB", LONGEST >> 20));
                }
                Err(_) if self.line.trim_ascii().is_empty() => {}
                Err(_) => {
                    let text = String::from_utf8_lossy(&self.line[..self.line.len().min(1024)]).into_owned();
                    self.remarks
                        .note("it prints what is no MCP message", || format!(": `{}`", crate::text::short(&text)));
                }
            }
            self.line.clear();
        }
    }

    async fn close(&mut self) -> Result<(), io::Error> {
        // A server that does not read holds the lock; it is ended by other means.
        if let Ok(mut to) = self.to.try_lock() {
            to.take();
        }
        Ok(())
    }
}

/// Any other transport, read at the same pace.
pub(crate) struct Paced<T> {
    inner: T,
    pace: Pace,
    remarks: Arc<Remarks>,
}

impl<T> Paced<T> {
    pub(crate) fn new(inner: T, remarks: Arc<Remarks>) -> Self {
        Self { inner, pace: Pace::new(), remarks }
    }
}

impl<T: Transport<RoleClient>> Transport<RoleClient> for Paced<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), T::Error>> + Send + 'static {
        self.inner.send(message)
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        self.pace.keep(&self.remarks).await;
        let message = self.inner.receive().await?;
        self.pace.count(0, 1);
        Some(message)
    }

    async fn close(&mut self) -> Result<(), T::Error> {
        self.inner.close().await
    }
}
