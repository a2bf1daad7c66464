//! Events: the append-only log of a session. Whatever reached the model is in it, and a replay needs nothing else.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::message::Message;
use crate::model::{ModelId, Usage};
use crate::tool::{Location, ToolCall, ToolContent, ToolKind, ToolStatus};

/// One entry of a session's log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// Counted from 1 within the session, without gaps; a partial event shares the number of the one that replaces it.
    pub seq: u64,
    /// Milliseconds since the Unix epoch.
    pub at: i64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

impl Event {
    /// An event; hosts and stores that rebuild a log use it.
    pub fn new(seq: u64, at: i64, kind: EventKind) -> Self {
        Self { seq, at, kind }
    }
}

/// What an [`Event`] tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// The user's message, committed before the model is asked.
    User {
        /// As it stands in the session, after `before_prompt`.
        message: Message,
    },
    /// A message that a plugin put in, as it said it.
    Injected {
        /// The message, with its owner.
        message: Message,
    },
    /// The model's answer so far, at most every 200 ms while it streams. The `assistant` event with the same `seq`
    /// replaces it.
    Partial {
        /// What has arrived.
        message: Message,
    },
    /// The model's answer.
    Assistant {
        /// Text, reasoning and tool calls.
        message: Message,
        /// The model that gave it.
        model: ModelId,
        /// Its tokens.
        usage: Usage,
        /// What it cost in US dollars, if known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cost: Option<f64>,
    },
    /// A tool call and its result.
    Tool(Box<ToolEvent>),
    /// A slash command that was answered without the model.
    Command {
        /// What the user typed.
        message: Message,
        /// The answer.
        reply: Message,
    },
    /// The prompt was refused: the user's message stays in the log and never reaches the model.
    Refused {
        /// The `seq` of the user's message that is excluded.
        excluded: u64,
        /// Why.
        reason: String,
    },
    /// The run ended with an error.
    Error {
        /// What the user was told.
        message: String,
    },
    /// The user cancelled the run.
    Cancelled {
        /// What had arrived of the answer under way.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<Message>,
    },
    /// The history before this point was replaced for the model (never in the log).
    Compacted {
        /// What stands for it: the messages as the model now sees them.
        messages: Vec<Message>,
        /// The summary, as shown to the user.
        summary: String,
        /// The id of the compaction. Logs from before it had one have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
    },
    /// The title, mode, model or an option changed.
    Settings(Settings),
    /// `&mut` hooks changed what the model sees.
    Edited {
        /// The hook.
        hook: String,
        /// The plugins whose impls ran, in call order.
        plugins: Vec<String>,
        /// Hash of the argument before.
        before: u64,
        /// Hash of the argument after.
        after: u64,
    },
}

/// A tool call with all that a replay must show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolEvent {
    /// The call as it ran.
    pub call: ToolCall,
    /// The arguments as the model wrote them, if a hook rewrote them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_arguments: Option<String>,
    /// Its title.
    pub title: String,
    /// Its kind.
    pub kind: ToolKind,
    /// How it ended.
    pub status: ToolStatus,
    /// The files it touched.
    pub locations: Vec<Location>,
    /// What the user saw.
    pub content: Vec<ToolContent>,
    /// What the model reads.
    pub message: Message,
}

impl ToolEvent {
    /// An event of `call` that ended with `status`; title and kind default to the tool's name and `other`.
    pub fn new(call: ToolCall, status: ToolStatus, message: Message) -> Self {
        Self {
            original_arguments: None,
            title: call.name.clone(),
            kind: ToolKind::Other,
            status,
            locations: Vec::new(),
            content: Vec::new(),
            message,
            call,
        }
    }
}

/// What of a session's settings changed; the rest is `None`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Settings {
    /// The title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelId>,
    /// The mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// A config option: its id and value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub option: Option<(String, String)>,
}

/// What a store knows of a session, without its events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SessionSummary {
    /// The session's id.
    pub id: String,
    /// Its working directory, absolute.
    pub cwd: PathBuf,
    /// Its title, once it has one.
    pub title: Option<String>,
    /// Its model, once it has asked one.
    pub model: Option<ModelId>,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
    /// Milliseconds since the Unix epoch.
    pub updated_at: i64,
    /// The session it was forked from.
    pub parent: Option<String>,
}

impl SessionSummary {
    /// A summary of a session that was made and last changed at `at` (milliseconds since the epoch).
    pub fn new(id: impl Into<String>, cwd: impl Into<PathBuf>, at: i64) -> Self {
        Self { id: id.into(), cwd: cwd.into(), title: None, model: None, created_at: at, updated_at: at, parent: None }
    }
}

/// A session as a store gives it back: the answer to `load_session`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SessionRecord {
    /// What is known of it.
    pub summary: SessionSummary,
    /// Its whole log, by `seq`.
    pub events: Vec<Event>,
}

impl SessionRecord {
    /// A record.
    pub fn new(summary: SessionSummary, events: Vec<Event>) -> Self {
        Self { summary, events }
    }
}

/// What `list_sessions` is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SessionQuery {
    /// Only sessions of this working directory.
    pub cwd: Option<PathBuf>,
    /// Only sessions last changed before this (milliseconds since the epoch), or at it with a smaller id: the cursor.
    pub before: Option<(i64, String)>,
    /// At most so many.
    pub limit: usize,
}

impl SessionQuery {
    /// The newest `limit` sessions of all directories.
    pub fn newest(limit: usize) -> Self {
        Self { cwd: None, before: None, limit }
    }
}
