//! What has to be looked up on disk for the prompt: once for each session, away from everything that waits.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::agents;
use crate::settings::Settings;
use crate::tree::{Bounds, display_tree};

/// How long the directory tree may take.
const TREE_TIME: Duration = Duration::from_millis(300);

/// What the facts are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) home: PathBuf,
    pub(crate) project: PathBuf,
    /// The working directory, then the additional ones.
    pub(crate) roots: Vec<PathBuf>,
    pub(crate) ignore: Vec<String>,
    pub(crate) settings: Settings,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) workspace: String,
    pub(crate) environment: String,
    pub(crate) date: String,
    pub(crate) agents: String,
    pub(crate) tree: String,
    /// The text of the configured template, if there is one.
    pub(crate) template: Option<Template>,
}

/// A template, and what errors call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) name: String,
    pub(crate) source: String,
}

impl Place {
    /// Looks everything up.
    ///
    /// # Errors
    /// The template's file cannot be read.
    pub(crate) fn look_up(&self) -> Result<Facts, String> {
        let cwd = self.roots.first().map_or(Path::new(""), PathBuf::as_path);
        let date = jiff::Zoned::now().date().to_string();
        let bounds = Bounds { depth: self.settings.tree_depth, entries: self.settings.tree_entries, time: TREE_TIME };
        Ok(Facts {
            workspace: cwd.display().to_string(),
            environment: self.environment(&date),
            date,
            agents: agents::display(&agents::chain(&self.home, &self.project, cwd, self.settings.agents_bytes)),
            tree: if bounds.depth == 0 { String::new() } else { display_tree(cwd, &self.ignore, bounds) },
            template: self.template()?,
        })
    }

    fn environment(&self, date: &str) -> String {
        let mut lines = Vec::new();
        for (at, root) in self.roots.iter().enumerate() {
            let what = if at == 0 { "Working directory" } else { "Further directory of the workspace" };
            lines.push(format!("{what}: {}", root.display()));
        }
        let git = self.project.join(".git");
        if git.exists() {
            let head = std::fs::read_to_string(git.join("HEAD")).unwrap_or_default();
            let branch = head.trim().strip_prefix("ref: refs/heads/");
            let branch = branch.map(|branch| format!(", on the branch {branch}")).unwrap_or_default();
            lines.push(format!("Git work tree: {}{branch}", self.project.display()));
        }
        lines.push(format!("Operating system: {} ({})", std::env::consts::OS, std::env::consts::ARCH));
        lines.push(format!("Date: {date}"));
        lines.join("\n")
    }

    fn template(&self) -> Result<Option<Template>, String> {
        if let Some(source) = &self.settings.template {
            return Ok(Some(Template { name: "plugins.system-prompt.template".into(), source: source.clone() }));
        }
        let Some(file) = &self.settings.template_file else { return Ok(None) };
        let path = self.home.join(file);
        let name = path.display().to_string();
        match std::fs::read_to_string(&path) {
            Ok(source) => Ok(Some(Template { name, source })),
            Err(error) => Err(format!("the template of the system prompt, {name}, cannot be read: {error}")),
        }
    }
}
