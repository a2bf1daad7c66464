//! The fragments of an answer on their way through impls of `on_stream_delta` in Python: in batches, so that a fast model
//! does not wake Python for every word.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crow_acp::crow_hooks::{BoxError, Next, Outcome};
use crow_acp::{
    BoxFuture, CallLlm, CallLlmArgs, Delta, DeltaKind, DeltaRefused, DeltaSink, Deltas, OnStreamDelta, Session,
};
use tokio::sync::{Notify, oneshot};

use crate::bridge::Bridge;
use crate::courier::Courier;

/// How long fragments are gathered.
const BATCH: Duration = Duration::from_millis(16);

/// How many fragments may wait before the model does.
const ROOM: usize = 512;

/// How long a batch may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs what is inside `call_llm` with the listeners in Python between it and the client.
pub(crate) async fn around(bridge: &Arc<Bridge>, mut next: Next<'_, CallLlm>) -> Outcome<CallLlm> {
    if !bridge.listeners.hooks().has_impls(OnStreamDelta) || !next.args.deltas.is_shown() {
        return next.run().await;
    }
    let feed = Arc::new(Feed::default());
    let mut sink = Gathering(feed.clone());
    let session = next.args.session.clone();
    let mut outer = None;
    let run = next.with(|args| {
        let CallLlmArgs { agent, session, request, deltas } = args;
        outer = Some(deltas);
        CallLlmArgs { agent, session, request, deltas: Deltas::new(&mut sink) }
    });
    let Some(outer) = outer else { return run.await };
    let mut pump = pin!(pump(bridge, &session, &feed, outer));
    let result = tokio::select! {
        biased;
        ended = &mut pump => {
            ended?;
            return Err("the listeners ended before the answer did".into());
        }
        result = run => result,
    };
    feed.with(|inside| inside.closed = true);
    feed.came.notify_one();
    pump.await?;
    result
}

/// Fragments that wait.
#[derive(Debug, Default)]
struct Feed {
    inside: Mutex<Inside>,
    came: Notify,
    taken: Notify,
}

#[derive(Debug, Default)]
struct Inside {
    waiting: Vec<Delta>,
    closed: bool,
}

impl Feed {
    fn with<T>(&self, look: impl FnOnce(&mut Inside) -> T) -> T {
        look(&mut self.inside.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The next batch, not before `earliest`; nothing once it is closed and empty.
    async fn batch(&self, earliest: Instant) -> Option<Vec<Delta>> {
        loop {
            let (empty, closed) = self.with(|inside| (inside.waiting.is_empty(), inside.closed));
            if empty && closed {
                return None;
            }
            if !empty {
                if !closed {
                    tokio::time::sleep_until(earliest.into()).await;
                }
                let batch = self.with(|inside| std::mem::take(&mut inside.waiting));
                self.taken.notify_one();
                return Some(batch);
            }
            self.came.notified().await;
        }
    }
}

/// Where the model's fragments go.
struct Gathering(Arc<Feed>);

impl DeltaSink for Gathering {
    fn accept(&mut self, delta: Delta) -> Result<(), DeltaRefused> {
        self.0.with(|inside| match inside.waiting.last_mut() {
            Some(last) if is_more(last, &delta) => {
                last.text.push_str(&delta.text);
                last.done = delta.done;
            }
            _ => inside.waiting.push(delta),
        });
        self.0.came.notify_one();
        Ok(())
    }

    fn room(&mut self) -> Option<BoxFuture<'_, ()>> {
        let full = self.0.with(|inside| inside.waiting.len() >= ROOM);
        full.then(|| Box::pin(self.0.taken.notified()) as BoxFuture<'_, ()>)
    }
}

/// Whether a fragment only adds to the one before.
fn is_more(last: &Delta, delta: &Delta) -> bool {
    let plain = |delta: &Delta| !delta.is_read_only();
    !last.done && plain(last) && plain(delta) && same_block(&last.kind, &delta.kind)
}

fn same_block(one: &DeltaKind, other: &DeltaKind) -> bool {
    match (one, other) {
        (DeltaKind::ToolCall { index: one, .. }, DeltaKind::ToolCall { index: other, .. }) => one == other,
        _ => std::mem::discriminant(one) == std::mem::discriminant(other),
    }
}

/// Takes batch after batch through the listeners to the client.
async fn pump(bridge: &Arc<Bridge>, session: &Session, feed: &Feed, mut outer: Deltas<'_>) -> Result<(), BoxError> {
    let mut earliest = Instant::now();
    // The block that the last fragment belonged to: at its end, listeners release what they held back.
    let mut block: Option<DeltaKind> = None;
    loop {
        let batch = feed.batch(earliest).await;
        earliest = Instant::now() + BATCH;
        let ended = batch.is_none();
        let mut deltas = Vec::new();
        for delta in batch.unwrap_or_default() {
            deltas.extend(end_of(&mut block, Some(&delta.kind)));
            block = (!delta.done).then(|| delta.kind.clone());
            deltas.push(delta);
        }
        if ended {
            deltas.extend(end_of(&mut block, None));
        }
        for delta in listen(bridge, session, deltas).await? {
            outer.push(delta).await?;
        }
        if ended {
            return Ok(());
        }
    }
}

/// What ends the block, if another begins.
fn end_of(block: &mut Option<DeltaKind>, next: Option<&DeltaKind>) -> Option<Delta> {
    if block.as_ref().zip(next).is_some_and(|(block, next)| same_block(block, next)) {
        return None;
    }
    let mut end = match block.take()? {
        DeltaKind::Text => Delta::text(""),
        DeltaKind::Thought { .. } => Delta::thought(""),
        _ => return None,
    };
    end.done = true;
    Some(end)
}

/// Has the listeners see a batch. The ends of blocks are for them alone, but for what they release.
async fn listen(bridge: &Arc<Bridge>, session: &Session, deltas: Vec<Delta>) -> Result<Vec<Delta>, BoxError> {
    if deltas.is_empty() {
        return Ok(deltas);
    }
    if Courier::get().is_stuck() {
        return Err("plugins in Python are suspended because one of them blocks, and one of them edits answers".into());
    }
    let (answer, heard) = oneshot::channel();
    let (listeners, session) = (bridge.listeners.hooks(), session.clone());
    Courier::get().post(move |_| {
        let each = deltas.into_iter().map(|mut delta| {
            let read_only = delta.is_read_only().then(|| delta.text.clone());
            let end = delta.done && delta.text.is_empty();
            listeners.on_stream_delta(&session, &mut delta)?;
            if let Some(text) = read_only {
                delta.text = text;
            }
            if end {
                // The loop marks the ends of blocks itself.
                delta.done = false;
            }
            Ok((!(end && delta.text.is_empty())).then_some(delta))
        });
        let edited: Result<Vec<Option<Delta>>, crow_acp::crow_hooks::HookError> = each.collect();
        // Nobody waits any more if the run was cancelled.
        let _ = answer.send(edited.map(|deltas| deltas.into_iter().flatten().collect::<Vec<_>>()));
    });
    match tokio::time::timeout(PATIENCE, heard).await {
        Ok(Ok(edited)) => Ok(edited?),
        Ok(Err(_)) => Err("Python's event loop ended".into()),
        Err(_) => {
            bridge.check();
            Err("the plugins in Python that listen to the answer did not answer in time".into())
        }
    }
}
