//! The project's own `.crow/config.toml`. A cloned repository is untrusted input: its file may set only what can do no
//! harm, nothing in it is expanded, and whatever is wrong with it is a notice.

use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::tree::{self, Entry, Node, Source, Table, Value};
use super::{Config, PROJECT, USER};
use crate::model::ModelId;
use crate::update::{Notice, Severity};

/// The largest project file that is read, in bytes.
const LARGEST: u64 = 256 * 1024;

/// How many ignored keys a notice names.
const NAMED: usize = 8;

impl Config {
    /// This configuration as it is for the project around `cwd`, and what the user should know about it.
    ///
    /// Each `.crow/config.toml` from the root of the git work tree down to `cwd` is laid on (outside of a work tree, only
    /// that of `cwd`). A project is not trusted: it may set `model` to one that the user has named, add to `ignore`, set
    /// `role` and `append` of `[plugins.system-prompt]`, and numbers of `[plugins.compaction]`. Everything else is left
    /// out, with one notice for each file; so is text that names a `${VARIABLE}`.
    pub fn for_project(&self, cwd: &Path) -> (Self, Vec<Notice>) {
        let root = cwd.ancestors().find(|directory| directory.join(".git").exists()).unwrap_or(cwd);
        let mut config = self.clone();
        config.project = Some(root.to_owned());
        config.layers[PROJECT] = Table::new();
        let mut notices = Vec::new();
        let mut directories: Vec<&Path> = cwd.ancestors().take_while(|directory| directory.starts_with(root)).collect();
        directories.reverse();
        for directory in directories {
            let file = directory.join(".crow/config.toml");
            match self.read_project(&file) {
                Ok(None) => {}
                Ok(Some(table)) => config.lay_on(table, &file, &mut notices),
                Err(error) => notices.push(notice(format!("{error}; the file is ignored"))),
            }
        }
        if let Err(error) = config.resolve() {
            config.layers[PROJECT] = Table::new();
            notices.push(notice(format!("{error}; the project's configuration is ignored")));
        }
        (config, notices)
    }

    fn read_project(&self, file: &Path) -> Result<Option<Table>, ConfigError> {
        let text = tree::read(file, LARGEST).map_err(|error| ConfigError::file_unreadable(file, &error))?;
        let Some(text) = text.filter(|_| !self.is_own(file)) else { return Ok(None) };
        tree::parse(&text, Source::File(file.to_owned())).map(Some)
    }

    /// Whether `file` is the user's own: in their home directory it stands where a project's would.
    fn is_own(&self, file: &Path) -> bool {
        let canonical = |path: PathBuf| path.canonicalize().unwrap_or(path);
        canonical(file.to_owned()) == canonical(self.file())
    }

    fn lay_on(&mut self, table: Table, file: &Path, notices: &mut Vec<Notice>) {
        let mut ignored = Vec::new();
        let mut allowed = Table::new();
        for (path, entry) in leaves(table) {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let value = match (path.as_slice(), entry.node.value) {
                (["model"], Value::String(model)) if self.has_named(&model) => Value::String(model),
                (["ignore"], Value::Array(globs)) if globs.iter().all(is_plain_text) => {
                    let mut all = match tree::find(&self.layers[PROJECT], &["ignore"]) {
                        Some(Entry { node: Node { value: Value::Array(above), .. }, .. }) => above.clone(),
                        _ => self.own_ignore(),
                    };
                    all.extend(globs);
                    Value::Array(all)
                }
                (["plugins", "system-prompt", "role" | "append"], Value::String(text)) if !text.contains("${") => {
                    Value::String(text)
                }
                (["plugins", "compaction", _], value @ (Value::Integer(_) | Value::Float(_))) => value,
                _ => {
                    ignored.push(path.join("."));
                    continue;
                }
            };
            tree::merge(&mut allowed, tree::single(&path, value, &entry.key));
        }
        tree::merge(&mut self.layers[PROJECT], allowed);
        if !ignored.is_empty() {
            let more = ignored.len().saturating_sub(NAMED);
            let names: Vec<String> =
                ignored.iter().take(NAMED).map(|key| format!("`{}`", key.escape_debug())).collect();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            notices.push(notice(format!(
                "{}: this project is not trusted, so that these keys of its configuration are ignored: {}{more}",
                file.display(),
                names.join(", ")
            )));
        }
    }

    /// Whether the user has named this model somewhere: as their own, or in the table of a provider.
    fn has_named(&self, model: &str) -> bool {
        model.parse().is_ok_and(|model: ModelId| {
            self.settings.model.as_ref() == Some(&model) || self.model_config(&model).is_some()
        })
    }

    fn own_ignore(&self) -> Vec<Node> {
        match tree::find(&self.layers[USER], &["ignore"]) {
            Some(Entry { node: Node { value: Value::Array(globs), .. }, .. }) => globs.clone(),
            _ => Vec::new(),
        }
    }
}

fn is_plain_text(node: &Node) -> bool {
    matches!(&node.value, Value::String(text) if !text.contains("${"))
}

fn notice(text: String) -> Notice {
    Notice::new(Severity::Warning, text)
}

/// Every value that is not a table, with its path; an empty table counts as a value.
fn leaves(table: Table) -> Vec<(Vec<String>, Entry)> {
    let mut found = Vec::new();
    for (key, entry) in table {
        match entry.node.value {
            Value::Table(inner) if !inner.is_empty() => {
                found.extend(leaves(inner).into_iter().map(|(mut path, entry)| {
                    path.insert(0, key.clone());
                    (path, entry)
                }));
            }
            _ => found.push((vec![key], entry)),
        }
    }
    found
}
