//! `[plugins.command-hooks]`.

use serde::Deserialize;

/// The configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Seconds that a command may take if its file does not say.
    pub(crate) timeout: u64,
    /// What becomes of what a gate was to decide on if the gate cannot be run.
    pub(crate) gate_failure: GateFailure,
    /// Bytes of a command's output, and as many of its errors, that are read; the rest is dropped.
    pub(crate) output_limit: usize,
    /// How often `Stop` commands may keep one run going.
    pub(crate) stop_limit: u32,
    /// Whether the `hooks` of a project's `.claude/settings.json` count, once they are trusted.
    pub(crate) claude: bool,
}

/// What a gate that cannot be run decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum GateFailure {
    Deny,
    Allow,
}

impl Default for Settings {
    fn default() -> Self {
        Self { timeout: 60, gate_failure: GateFailure::Deny, output_limit: 64 * 1024, stop_limit: 5, claude: true }
    }
}
