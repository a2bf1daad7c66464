//! Updates: what clients are told of a session. Upserts by id, apart from the state of the run, so that each version of
//! the protocol is a projection of them.

use std::path::PathBuf;

use serde_json::Value;

use crate::event::ToolEvent;
use crate::message::Part;
use crate::options::{Command, ConfigOption};
use crate::tool::{Location, ToolContent, ToolKind, ToolStatus};

/// One piece of news about a session.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Update {
    /// Part of a message of the user's: sent on a replay only.
    UserMessage {
        /// The message it belongs to.
        message_id: String,
        /// The part.
        part: Part,
    },
    /// Text to append to a message of the agent's.
    AgentMessage {
        /// The message it belongs to.
        message_id: String,
        /// What to append.
        text: String,
    },
    /// Text to append to the agent's visible reasoning.
    AgentThought {
        /// The message it belongs to.
        message_id: String,
        /// What to append.
        text: String,
    },
    /// A tool call appears or changes.
    ToolCall(Box<ToolCallUpdate>),
    /// Output to append to the terminal that a tool call shows.
    TerminalOutput {
        /// The call.
        call_id: String,
        /// What to append.
        data: String,
    },
    /// The plan, whole.
    Plan(Vec<PlanEntry>),
    /// The slash commands, whole.
    Commands(Vec<Command>),
    /// The mode that is now on.
    Mode(String),
    /// The config options, whole.
    ConfigOptions(Vec<ConfigOption>),
    /// The session's title or the time of its last change.
    SessionInfo {
        /// The title, if it changed.
        title: Option<String>,
        /// Milliseconds since the epoch.
        updated_at: i64,
    },
    /// The context in use.
    Usage {
        /// Tokens in the context now, not a running total.
        used: u64,
        /// The window, in tokens.
        size: u64,
        /// US dollars this session has cost so far, if known.
        cost: Option<f64>,
    },
    /// The conversation is being made shorter for the model, or was.
    Compaction(CompactionUpdate),
    /// Something to tell the user that is not part of the conversation.
    Notice(Notice),
}

/// A compaction begins (the first with its id) or is over.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompactionUpdate {
    /// The compaction: unique within the session, the same on a replay.
    pub compaction_id: String,
    /// How far it is.
    pub state: CompactionState,
    /// The estimated tokens of the conversation before and after, if it has just been done.
    pub tokens: Option<(u64, u64)>,
}

impl CompactionUpdate {
    /// The compaction `compaction_id` is in `state`.
    pub fn new(compaction_id: impl Into<String>, state: CompactionState) -> Self {
        Self { compaction_id: compaction_id.into(), state, tokens: None }
    }
}

/// How far a compaction is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CompactionState {
    /// It is under way.
    InProgress,
    /// It is done.
    Completed {
        /// What stands for what is gone.
        summary: String,
    },
    /// It did not come about: the conversation is as it was.
    Failed {
        /// Why: a plugin's veto, or what went wrong.
        reason: String,
    },
    /// The user cancelled it.
    Cancelled,
}

/// A tool call appears (the first with its id) or changes; what is `None` stays.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct ToolCallUpdate {
    /// The call.
    pub call_id: String,
    /// The tool's name.
    pub name: Option<String>,
    /// One line.
    pub title: Option<String>,
    /// Its kind.
    pub kind: Option<ToolKind>,
    /// Its state.
    pub state: Option<ToolState>,
    /// Replaces the content.
    pub content: Option<Vec<ToolContent>>,
    /// Replaces the locations.
    pub locations: Option<Vec<Location>>,
    /// The arguments.
    pub raw_input: Option<Value>,
    /// The raw result.
    pub raw_output: Option<Value>,
    /// A command starts whose output will follow: what runs, and where.
    pub terminal: Option<(String, PathBuf)>,
}

impl ToolCallUpdate {
    /// An update of the call `call_id` that changes nothing yet.
    pub fn new(call_id: impl Into<String>) -> Self {
        Self { call_id: call_id.into(), ..Self::default() }
    }

    /// The whole of a call that has ended, for a replay.
    pub fn from_event(event: &ToolEvent) -> Self {
        Self {
            call_id: event.call.id.clone(),
            name: Some(event.call.name.clone()),
            title: Some(event.title.clone()),
            kind: Some(event.kind),
            state: Some(event.status.into()),
            content: Some(event.content.clone()),
            locations: Some(event.locations.clone()),
            raw_input: Some(event.call.arguments.clone()),
            raw_output: None,
            terminal: None,
        }
    }
}

/// The state of a tool call as a client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ToolState {
    /// Its arguments are still coming, or it waits for permission.
    Pending,
    /// It runs.
    InProgress,
    /// It worked.
    Completed,
    /// It failed, was denied or cancelled.
    Failed,
}

impl From<ToolStatus> for ToolState {
    fn from(status: ToolStatus) -> Self {
        match status {
            ToolStatus::Completed => Self::Completed,
            ToolStatus::Failed | ToolStatus::Cancelled => Self::Failed,
        }
    }
}

/// An entry of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlanEntry {
    /// What is to be done.
    pub content: String,
    /// How far it is.
    pub status: PlanStatus,
}

impl PlanEntry {
    /// An entry.
    pub fn new(content: impl Into<String>, status: PlanStatus) -> Self {
        Self { content: content.into(), status }
    }
}

/// How far a [`PlanEntry`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanStatus {
    /// Not begun.
    Pending,
    /// Under way.
    InProgress,
    /// Done.
    Completed,
}

/// Something to tell the user that is not part of the conversation: a fallback, a retry, a plugin that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Notice {
    /// How bad it is.
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// More, if there is more.
    pub description: Option<String>,
}

impl Notice {
    /// A notice of one line.
    pub fn new(severity: Severity, title: impl Into<String>) -> Self {
        Self { severity, title: title.into(), description: None }
    }
}

/// How bad a [`Notice`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// For information.
    Info,
    /// Something is not as it should be; the work goes on.
    Warning,
    /// Something failed.
    Error,
}
