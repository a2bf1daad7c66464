//! The ACP server: an agent at one end of a connection, an editor at the other.
//!
//! ```text
//! input ─▶ reader ─▶ connection (official crate) ─▶ requests ─▶ sessions, prompts ─▶ Agent
//! output ◀─ outbox ◀──────────┴─ responses                        Peer (Client) ◀─────┘ updates
//! ```
//! Updates go straight to the outbox, responses through the connection; what must come after a response waits until
//! that is in the outbox too.

mod capabilities;
mod commands;
mod connection;
mod content;
mod errors;
mod order;
mod outbox;
mod params;
mod peer;
mod port;
mod projection;
mod prompts;
mod reader;
mod requests;
mod sessions;
mod stdio;
mod terminal;

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use self::outbox::Outbox;
use crate::agent::Agent;

pub use self::stdio::{serve_blocking, serve_stdio};

/// The most messages that wait between the reader and the connection; a client that sends faster waits.
const INCOMING: usize = 64;

/// Why a connection ended other than by the end of input.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The input could not be read.
    #[error("reading from the client failed: {0}")]
    Read(#[source] io::Error),
    /// The output could not be written, or the client does not read it any more.
    #[error("writing to the client failed: {0}")]
    Write(#[source] io::Error),
    /// The protocol's own machinery failed.
    #[error("the connection failed: {0}")]
    Connection(String),
}

/// Serves `agent` over a pair of streams until the input ends, then shuts it down. Must be called within a Tokio runtime.
///
/// # Errors
/// See [`ServeError`].
pub async fn serve(
    agent: Agent,
    reader: impl AsyncRead + Send + Unpin + 'static,
    writer: impl AsyncWrite + Send + Unpin + 'static,
) -> Result<(), ServeError> {
    let (sender, incoming) = mpsc::channel(INCOMING);
    let outbox = Arc::new(Outbox::default());
    let reading = tokio::spawn(reader::read_lines(reader, sender));
    let writing = tokio::spawn({
        let outbox = outbox.clone();
        async move { outbox::write_lines(&outbox, writer).await }
    });
    let served = connection::run(agent, incoming, &outbox).await;
    outbox.close();
    let written = writing.await;
    // Only still at work if the writer failed first: its input may never end.
    reading.abort();
    let read = reading.await;
    written.unwrap_or(Ok(())).map_err(ServeError::Write)?;
    read.unwrap_or(Ok(())).map_err(ServeError::Read)?;
    served
}
