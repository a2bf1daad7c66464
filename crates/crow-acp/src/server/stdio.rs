//! Standard input and output: each has a thread of its own, because neither can be waited for without one everywhere.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::outbox::{self, Outbox};
use super::{INCOMING, ServeError, connection, reader};
use crate::agent::Agent;

/// Serves `agent` on standard input and output until the input ends, then shuts it down. Must be called within a
/// multi-threaded Tokio runtime; nothing else may write to standard output.
///
/// # Errors
/// See [`ServeError`].
pub async fn serve_stdio(agent: Agent) -> Result<(), ServeError> {
    serve_blocking(agent, io::stdin(), io::stdout()).await
}

/// Serves `agent` on a pair of streams that block, until the input ends, then shuts it down. Must be called within a
/// multi-threaded Tokio runtime.
///
/// # Errors
/// See [`ServeError`].
pub async fn serve_blocking(
    agent: Agent,
    input: impl Read + Send + Unpin + 'static,
    output: impl Write + Send + Unpin + 'static,
) -> Result<(), ServeError> {
    let (sender, incoming) = mpsc::channel(INCOMING);
    let outbox = Arc::new(Outbox::default());
    let (read_ended, mut read) = oneshot::channel();
    let runtime = Handle::current();
    let reading = thread::Builder::new().name("crow-stdin".into()).spawn(move || {
        // Nobody may listen any more.
        let _ = read_ended.send(runtime.block_on(reader::read_lines(Blocking(input), sender)));
    });
    reading.map_err(ServeError::Read)?;
    let (write_ended, written) = oneshot::channel();
    let runtime = Handle::current();
    let lines = outbox.clone();
    let writing = thread::Builder::new().name("crow-stdout".into()).spawn(move || {
        let _ = write_ended.send(runtime.block_on(outbox::write_lines(&lines, Blocking(output))));
    });
    writing.map_err(ServeError::Write)?;

    let served = connection::run(agent, incoming, &outbox).await;
    outbox.close();
    written.await.unwrap_or(Ok(())).map_err(ServeError::Write)?;
    // The reader may sit in a read that never ends; then there is nothing to learn from it.
    read.try_recv().unwrap_or(Ok(())).map_err(ServeError::Read)?;
    served
}

/// A blocking stream for code that is written for asynchronous ones, on a thread that may block.
struct Blocking<T>(T);

impl<T: Read + Unpin> AsyncRead for Blocking<T> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.0.read(buffer.initialize_unfilled()) {
                Ok(read) => {
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl<T: Write + Unpin> AsyncWrite for Blocking<T> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.0.write(data) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.flush())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}
