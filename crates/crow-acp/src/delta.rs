//! Deltas: the fragments of a model's answer on their way to the client.

use crate::tool::BoxFuture;

/// One fragment of a model's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delta {
    /// What it is a fragment of.
    pub kind: DeltaKind,
    /// The fragment. For tool calls, of the arguments' JSON text. Empty on a delta that only ends its block.
    pub text: String,
    /// The block of this kind ends here: an impl of `on_stream_delta` that held text back releases it now.
    pub done: bool,
}

impl Delta {
    /// A fragment of the answer's text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { kind: DeltaKind::Text, text: text.into(), done: false }
    }

    /// A fragment of the model's reasoning.
    pub fn thought(text: impl Into<String>) -> Self {
        Self { kind: DeltaKind::Thought { signature: None }, text: text.into(), done: false }
    }

    /// A fragment of the `index`-th tool call of the answer. `id` and `name` come with the first fragment, `name` may
    /// come in pieces.
    pub fn tool_call(index: usize, id: Option<String>, name: Option<String>, arguments: impl Into<String>) -> Self {
        Self { kind: DeltaKind::ToolCall { index, id, name }, text: arguments.into(), done: false }
    }

    /// Whether `on_stream_delta` may change it: tool calls and signed reasoning must reach the log as they are.
    pub fn is_read_only(&self) -> bool {
        matches!(self.kind, DeltaKind::ToolCall { .. } | DeltaKind::Thought { signature: Some(_) })
    }
}

/// What a [`Delta`] is a fragment of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeltaKind {
    /// The answer's text.
    Text,
    /// The model's reasoning.
    Thought {
        /// Opaque; to be returned to the model unchanged. On the delta that ends the block, or on every one.
        signature: Option<String>,
    },
    /// A tool call.
    ToolCall {
        /// Which call of the answer, from 0.
        index: usize,
        /// The id the provider gave it, if any.
        id: Option<String>,
        /// The tool's name.
        name: Option<String>,
    },
}

/// Where fragments go. The run loop's own sink shows them to the user and assembles the message; a wrapper of
/// `call_llm` may put one of its own in front (a recorder, a rate limit).
pub trait DeltaSink: Send {
    /// Takes a fragment.
    ///
    /// # Errors
    /// [`DeltaRefused`] if the run cannot go on with it.
    fn accept(&mut self, delta: Delta) -> Result<(), DeltaRefused>;

    /// Resolves when the sink has room again; a fast model waits here for a slow client. `None`: there is room.
    fn room(&mut self) -> Option<BoxFuture<'_, ()>> {
        None
    }

    /// Whether the user sees the answer. Not that of a plugin that asked a model for itself.
    fn is_shown(&self) -> bool {
        true
    }
}

/// A fragment was refused: an impl of `on_stream_delta` failed, so that the fragment was withheld, and the run ends.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct DeltaRefused(pub String);

/// The sink that a provider writes to.
pub struct Deltas<'a> {
    sink: &'a mut dyn DeltaSink,
}

impl std::fmt::Debug for Deltas<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deltas").finish_non_exhaustive()
    }
}

impl<'a> Deltas<'a> {
    /// Deltas that go to `sink`.
    pub fn new(sink: &'a mut dyn DeltaSink) -> Self {
        Self { sink }
    }

    /// The same sink for a shorter time: what a wrapper hands on.
    pub fn reborrow(&mut self) -> Deltas<'_> {
        Deltas { sink: self.sink }
    }

    /// Hands over one fragment, and waits while the client is behind.
    ///
    /// # Errors
    /// [`DeltaRefused`]: stop, and return the error.
    pub async fn push(&mut self, delta: Delta) -> Result<(), DeltaRefused> {
        self.sink.accept(delta)?;
        if let Some(room) = self.sink.room() {
            room.await;
        }
        Ok(())
    }
}

impl DeltaSink for Deltas<'_> {
    fn accept(&mut self, delta: Delta) -> Result<(), DeltaRefused> {
        self.sink.accept(delta)
    }

    fn room(&mut self) -> Option<BoxFuture<'_, ()>> {
        self.sink.room()
    }

    fn is_shown(&self) -> bool {
        self.sink.is_shown()
    }
}
