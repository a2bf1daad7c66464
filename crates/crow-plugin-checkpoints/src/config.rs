//! `[plugins.checkpoints]`.

use serde::Deserialize;

/// The configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Bytes of the largest file that is kept.
    pub(crate) max_file_bytes: u64,
    /// Bytes that the contents of all sessions may take together; the oldest sessions go first.
    pub(crate) max_total_bytes: u64,
    /// Days after which a session's contents go.
    pub(crate) keep_days: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_file_bytes: 10 << 20, max_total_bytes: 1 << 30, keep_days: 30 }
    }
}
