//! Everything on its way to the client, in order: a queue that producers never block on, and the writer that empties it.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::port::RpcMessage;
use super::port::schema::{ContentBlock, SessionNotification, SessionUpdate};
use super::terminal;
use crate::tool::BoxFuture;

/// Most lines for one write: enough to make system calls rare, few enough that a reader never waits for long.
const BATCH: usize = 64;

/// From so many waiting lines on, adjacent fragments of one message are joined: the client is behind.
const JOIN: usize = 64;

/// The longest text that joining makes, in bytes.
const LONGEST_JOINED: usize = 16 * 1024;

/// From so many waiting lines on, producers of streams wait.
const FULL: usize = 512;

/// The write buffer is given back above this size, in bytes: one huge message must not stay in memory.
const LARGEST_KEPT: usize = 1024 * 1024;

/// A line on its way. Serialised by the writer, once, away from the producers.
#[derive(Debug)]
pub(super) enum Line {
    /// A `session/update`.
    Update(Box<SessionNotification>),
    /// A response, or a request of ours.
    Message(Box<RpcMessage>),
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    /// How many lines wait; a copy for those who only want to know whether there is room.
    waiting: AtomicUsize,
    work: Notify,
    room: Notify,
    /// Cancelled when nobody reads any more.
    abandoned: CancellationToken,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Line>,
    closed: bool,
}

impl Outbox {
    /// Queues a line; after [`close`](Self::close), drops it.
    pub(super) fn push(&self, line: Line) {
        {
            let mut state = self.state();
            if state.closed {
                return;
            }
            let line = if state.lines.len() >= JOIN { join(state.lines.back_mut(), line) } else { Some(line) };
            let Some(line) = line else { return };
            state.lines.push_back(line);
            self.waiting.store(state.lines.len(), Ordering::Relaxed);
        }
        self.work.notify_one();
    }

    /// `Some` while the client is so far behind that producers of streams should wait.
    pub(super) fn room(&self) -> Option<BoxFuture<'_, ()>> {
        if self.waiting.load(Ordering::Relaxed) < FULL {
            return None;
        }
        Some(Box::pin(async {
            loop {
                let room = self.room.notified();
                if self.waiting.load(Ordering::Relaxed) < FULL {
                    return;
                }
                room.await;
            }
        }))
    }

    /// Takes no more lines. The writer still writes those that wait, then ends.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.work.notify_one();
    }

    /// Closes and forgets what waits: nobody can read it any more.
    fn abandon(&self) {
        let mut state = self.state();
        state.closed = true;
        state.lines.clear();
        self.waiting.store(0, Ordering::Relaxed);
        drop(state);
        self.room.notify_waiters();
        self.abandoned.cancel();
    }

    /// Resolves when lines cannot be written any more.
    pub(super) async fn abandoned(&self) {
        self.abandoned.cancelled().await;
    }

    /// Waits for lines and moves up to [`BATCH`] of them to `batch`. False: closed, and none are left.
    async fn take(&self, batch: &mut Vec<Line>) -> bool {
        loop {
            {
                let mut state = self.state();
                if !state.lines.is_empty() {
                    let before = state.lines.len();
                    batch.extend(state.lines.drain(..before.min(BATCH)));
                    let left = state.lines.len();
                    self.waiting.store(left, Ordering::Relaxed);
                    if before >= FULL && left < FULL {
                        self.room.notify_waiters();
                    }
                    return true;
                }
                if state.closed {
                    return false;
                }
            }
            self.work.notified().await;
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes what comes through `outbox` to `writer` until it is closed, one write for each batch.
pub(super) async fn write_lines(outbox: &Outbox, mut writer: impl AsyncWrite + Unpin) -> io::Result<()> {
    let mut batch = Vec::with_capacity(BATCH);
    let mut buffer = Vec::new();
    while outbox.take(&mut batch).await {
        for line in batch.drain(..) {
            let start = buffer.len();
            if let Err(error) = line.write(&mut buffer) {
                // Only a value that JSON cannot express gets here, for example a path that is not Unicode.
                buffer.truncate(start);
                tracing::error!(%error, "a message to the client could not be written as JSON");
            }
        }
        let written = async {
            writer.write_all(&buffer).await?;
            writer.flush().await
        };
        if let Err(error) = written.await {
            outbox.abandon();
            return Err(error);
        }
        buffer.clear();
        if buffer.capacity() > LARGEST_KEPT {
            buffer = Vec::new();
        }
    }
    writer.shutdown().await
}

impl Line {
    fn write(&self, buffer: &mut Vec<u8>) -> serde_json::Result<()> {
        #[derive(Serialize)]
        struct Update<'a> {
            jsonrpc: &'static str,
            method: &'static str,
            params: &'a SessionNotification,
        }
        match self {
            Self::Update(params) => {
                let update = Update { jsonrpc: "2.0", method: "session/update", params };
                serde_json::to_writer(&mut *buffer, &update)?;
            }
            Self::Message(message) => serde_json::to_writer(&mut *buffer, message)?,
        }
        buffer.push(b'\n');
        Ok(())
    }
}

/// Appends `line` to the one before it if both are fragments of the same thing; else gives it back.
fn join(last: Option<&mut Line>, line: Line) -> Option<Line> {
    let (Some(Line::Update(last)), Line::Update(next)) = (last, &line) else { return Some(line) };
    if last.session_id != next.session_id {
        return Some(line);
    }
    let joined = match (&mut last.update, &next.update) {
        (SessionUpdate::AgentMessageChunk(last), SessionUpdate::AgentMessageChunk(next))
        | (SessionUpdate::AgentThoughtChunk(last), SessionUpdate::AgentThoughtChunk(next))
            if last.message_id == next.message_id =>
        {
            match (&mut last.content, &next.content) {
                (ContentBlock::Text(last), ContentBlock::Text(next)) => append(&mut last.text, &next.text),
                _ => false,
            }
        }
        (SessionUpdate::ToolCallUpdate(last), SessionUpdate::ToolCallUpdate(next))
            if last.tool_call_id == next.tool_call_id =>
        {
            match (terminal::appended_mut(last), terminal::appended(next)) {
                (Some(last), Some(next)) => append(last, next),
                _ => false,
            }
        }
        _ => false,
    };
    (!joined).then_some(line)
}

fn append(last: &mut String, next: &str) -> bool {
    let fits = last.len() + next.len() <= LONGEST_JOINED;
    if fits {
        last.push_str(next);
    }
    fits
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::port::schema::{ContentChunk, MessageId, Meta, ToolCallUpdate, ToolCallUpdateFields};
    use super::*;

    fn text(message: &str, text: &str) -> Line {
        let chunk = ContentChunk::new(text.into()).message_id(MessageId::new(message));
        Line::Update(Box::new(SessionNotification::new("s", SessionUpdate::AgentMessageChunk(chunk))))
    }

    fn output(data: &str) -> Line {
        let mut meta = Meta::new();
        terminal::output(&mut meta, "c", data.into());
        let update = ToolCallUpdate::new("c", ToolCallUpdateFields::new()).meta(meta);
        Line::Update(Box::new(SessionNotification::new("s", SessionUpdate::ToolCallUpdate(update))))
    }

    async fn written(outbox: &Outbox) -> Vec<serde_json::Value> {
        outbox.close();
        let mut bytes = Vec::new();
        write_lines(outbox, &mut bytes).await.unwrap();
        bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    #[tokio::test]
    async fn nothing_is_joined_while_the_client_keeps_up() {
        let outbox = Outbox::default();
        for _ in 0..JOIN {
            outbox.push(text("m", "a"));
        }
        let lines = written(&outbox).await;
        assert_eq!(lines.len(), JOIN);
        assert_eq!(
            lines[0],
            serde_json::json!({ "jsonrpc": "2.0", "method": "session/update", "params": { "sessionId": "s", "update": {
                "sessionUpdate": "agent_message_chunk", "messageId": "m", "content": { "type": "text", "text": "a" },
            } } })
        );
    }

    #[tokio::test]
    async fn under_pressure_fragments_of_one_message_are_joined_and_none_are_lost() {
        let outbox = Outbox::default();
        for _ in 0..JOIN {
            outbox.push(text("m", "a"));
            outbox.push(text("m", "b"));
        }
        for _ in 0..10 {
            outbox.push(text("n", "c"));
        }
        for _ in 0..10 {
            outbox.push(output("d"));
        }
        let lines = written(&outbox).await;
        assert_eq!(lines.len(), JOIN + 2);
        let update = |n: usize| &lines[n]["params"]["update"];
        let whole: String = (0..JOIN).map(|n| update(n)["content"]["text"].as_str().unwrap()).collect();
        assert_eq!(whole, "ab".repeat(JOIN));
        assert_eq!(update(JOIN)["content"]["text"], "c".repeat(10));
        assert_eq!(update(JOIN + 1)["_meta"]["terminal_output"]["data"], "d".repeat(10));
    }

    #[tokio::test]
    async fn joining_has_a_bound() {
        let outbox = Outbox::default();
        for _ in 0..JOIN + 40 {
            outbox.push(text("m", &"a".repeat(LONGEST_JOINED / 4)));
        }
        assert!(written(&outbox).await.len() >= JOIN + 9);
    }

    #[tokio::test]
    async fn producers_wait_while_the_queue_is_full() {
        let outbox = std::sync::Arc::new(Outbox::default());
        assert!(outbox.room().is_none());
        for n in 0..FULL {
            outbox.push(text(&n.to_string(), "a"));
        }
        let mut waiting = outbox.room().expect("full");
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut waiting).await.is_err());
        let (mut reader, writer) = tokio::io::duplex(64);
        let lines = outbox.clone();
        let writing = tokio::spawn(async move { write_lines(&lines, writer).await });
        let reading = tokio::spawn(async move { tokio::io::copy(&mut reader, &mut tokio::io::sink()).await });
        tokio::time::timeout(Duration::from_secs(5), waiting).await.expect("room again");
        outbox.close();
        writing.await.unwrap().unwrap();
        reading.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_client_that_is_gone_blocks_nobody() {
        let outbox = Outbox::default();
        let (reader, writer) = tokio::io::duplex(16);
        drop(reader);
        for n in 0..FULL {
            outbox.push(text(&n.to_string(), "a"));
        }
        let waiting = outbox.room().expect("full");
        assert!(write_lines(&outbox, writer).await.is_err());
        waiting.await;
        outbox.abandoned().await;
        outbox.push(text("m", "a"));
        assert!(outbox.state().lines.is_empty());
    }
}
