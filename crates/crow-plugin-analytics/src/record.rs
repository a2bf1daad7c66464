//! What is recorded: one row for each thing that happened. No row holds anything that anybody said.

use std::sync::Arc;
use std::time::Duration;

use crow_acp::Usage;

/// Where something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The session's id.
    pub(crate) session: Arc<str>,
    /// The root of the session's project.
    pub(crate) project: Arc<str>,
    /// The run; `None` if no prompt was being answered.
    pub(crate) run: Option<i64>,
}

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Record {
    /// A request to a model.
    Request(Box<Request>),
    /// A tool call.
    Tool(ToolCall),
    /// A run is over.
    Run(Run),
    /// A conversation was made shorter.
    Compaction(Compaction),
    /// What hooks took since the last time.
    Hooks(Vec<HookTally>),
}

/// A request to a model, whatever became of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    pub(crate) at: i64,
    pub(crate) place: Place,
    pub(crate) model: String,
    /// Which turn of the run it is; `None`: a plugin asked.
    pub(crate) turn: Option<u32>,
    /// 1, or more if it was put again.
    pub(crate) attempt: u32,
    pub(crate) usage: Usage,
    /// The provider did not tell the usage.
    pub(crate) estimated: bool,
    /// US dollars; `None`: the price is not known.
    pub(crate) cost: Option<f64>,
    pub(crate) first: Option<Duration>,
    pub(crate) took: Duration,
    /// Why the model stopped.
    pub(crate) finish: Option<&'static str>,
    /// What went wrong, in one word.
    pub(crate) error: Option<&'static str>,
}

/// A tool call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ToolCall {
    pub(crate) at: i64,
    pub(crate) place: Place,
    /// The name it was registered under; not what a model made up.
    pub(crate) tool: String,
    pub(crate) ended: ToolEnd,
    /// How long it ran, if it did.
    pub(crate) took: Option<Duration>,
}

/// How a tool call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ToolEnd {
    Completed,
    Failed,
    Cancelled,
    /// It never ran: a gate denied it, or it could not be called.
    Denied,
}

impl ToolEnd {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Denied => "denied",
        }
    }
}

/// A run that is over.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Run {
    pub(crate) at: i64,
    pub(crate) place: Place,
    /// ACP's stop reason, or `error`.
    pub(crate) ended: &'static str,
    pub(crate) turns: u32,
    pub(crate) took: Duration,
}

/// A compaction.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Compaction {
    pub(crate) at: i64,
    pub(crate) place: Place,
    pub(crate) cause: &'static str,
    pub(crate) before: u64,
    pub(crate) after: u64,
}

/// What the impl of one plugin for one hook took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HookTally {
    pub(crate) plugin: Arc<str>,
    pub(crate) hook: &'static str,
    /// A wrapper's time includes what it wraps.
    pub(crate) wrapper: bool,
    pub(crate) calls: u64,
    pub(crate) errors: u64,
    pub(crate) total: Duration,
    pub(crate) longest: Duration,
}
