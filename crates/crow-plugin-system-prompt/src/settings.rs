//! The section `[plugins.system-prompt]`.

use std::path::PathBuf;

use serde::Deserialize;

/// What can be configured.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Replaces the role section.
    pub(crate) role: Option<String>,
    /// A section of its own, for standing instructions.
    pub(crate) append: Option<String>,
    /// Replaces all sections of this plugin.
    pub(crate) template: Option<String>,
    /// A file to read `template` from; relative paths start at `CROW_HOME`.
    pub(crate) template_file: Option<PathBuf>,
    /// How deep the directory tree goes; 0 leaves it out.
    pub(crate) tree_depth: usize,
    /// How many lines the directory tree may have.
    pub(crate) tree_entries: usize,
    /// How many bytes of instruction files are read, all together.
    pub(crate) agents_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            role: None,
            append: None,
            template: None,
            template_file: None,
            tree_depth: 3,
            tree_entries: 200,
            agents_bytes: 64 * 1024,
        }
    }
}
