//! The project's own `.crow/config.toml`. A cloned repository is untrusted input: until the user trusts it, its file may
//! set only what can do no harm; nothing in it is ever expanded, and whatever is wrong with it is a notice.

use std::path::Path;

use super::error::ConfigError;
use super::tree::{self, Entry, Node, Source, Table, Value};
use super::{Config, PROJECT, USER};
use crate::model::ModelId;
use crate::trust::{Judged, ProjectItem, Trust, TrustState, canonical, digest_naming};
use crate::update::{Notice, Severity};

/// The largest project file that is read, in bytes.
const LARGEST: u64 = 256 * 1024;

/// How many keys a notice names.
const NAMED: usize = 8;

/// A configuration for a project.
#[derive(Debug)]
pub(crate) struct ForProject {
    pub(crate) config: Config,
    /// What the user should know about it.
    pub(crate) notices: Vec<Notice>,
    /// The files that want to set more than any project may.
    pub(crate) brought: Vec<Judged>,
}

/// How an item of a project, at its canonical root, stands.
type Judge<'a> = &'a dyn Fn(&Path, &ProjectItem) -> TrustState;

impl Config {
    /// This configuration as it is for the project around `cwd` if nothing of the project is trusted, and what the user
    /// should know about it.
    ///
    /// Each `.crow/config.toml` from the root of the git work tree down to `cwd` is laid on (outside of a work tree, only
    /// that of `cwd`). It may set `model` to one that the user has named, add to `ignore`, set `role` and `append` of
    /// `[plugins.system-prompt]`, and numbers of `[plugins.compaction]`. Everything else is left out, with one notice for
    /// each file; so is text that names a `${VARIABLE}`.
    ///
    /// A session of the agent goes further: a file that is [trusted](Trust) sets everything but `providers`, `log` and
    /// `plugins.disabled`, which are the whole process's.
    pub fn for_project(&self, cwd: &Path) -> (Self, Vec<Notice>) {
        let ForProject { config, mut notices, brought } = self.laid_on(cwd, &|_, _| TrustState::New);
        notices.extend(brought.iter().map(|judged| {
            let ProjectItem { path, summary, .. } = &judged.item;
            let text = "this project is not trusted, so that these keys of its configuration are ignored";
            notice(format!("{}: {text}: {summary}", path.display()))
        }));
        (config, notices)
    }

    /// As [`for_project`](Self::for_project), as far as the project is trusted.
    pub(crate) fn for_project_by(&self, cwd: &Path, trust: &Trust) -> ForProject {
        self.laid_on(cwd, &|project, item| trust.state(project, item))
    }

    /// Whether the project's files want to set more than any project may.
    pub(crate) fn is_for_project_with_more(&self) -> bool {
        !self.wanting.is_empty()
    }

    /// Those of the project's files that want to set more, with whether they were let.
    pub(crate) fn admitted(&self) -> &[(ProjectItem, bool)] {
        &self.wanting
    }

    fn laid_on(&self, cwd: &Path, judge: Judge<'_>) -> ForProject {
        let root = cwd.ancestors().find(|directory| directory.join(".git").exists()).unwrap_or(cwd);
        let mut config = self.clone();
        config.project = Some(root.to_owned());
        config.layers[PROJECT] = Table::new();
        config.wanting.clear();
        let (mut notices, mut brought) = (Vec::new(), Vec::new());
        let mut directories: Vec<&Path> = cwd.ancestors().take_while(|directory| directory.starts_with(root)).collect();
        directories.reverse();
        for directory in directories {
            let file = directory.join(".crow/config.toml");
            match self.read_project(&file) {
                Ok(None) => {}
                Ok(Some((text, table))) => {
                    let Some(item) = config.wants(&text, &table, &file, root) else {
                        config.lay_on(table, false);
                        continue;
                    };
                    let state = judge(&canonical(root), &item);
                    let trusted = state == TrustState::Trusted;
                    let without_effect = config.lay_on(table, trusted);
                    if trusted && !without_effect.is_empty() {
                        notices.push(notice(format!(
                            "{}: these keys have no effect in a project's configuration: {}",
                            file.display(),
                            listed(&without_effect)
                        )));
                    }
                    config.wanting.push((item.clone(), trusted));
                    brought.push(Judged { item, state });
                }
                Err(error) => notices.push(notice(format!("{error}; the file is ignored"))),
            }
        }
        if let Err(error) = config.resolve() {
            config.layers[PROJECT] = Table::new();
            notices.push(notice(format!("{error}; the project's configuration is ignored")));
        }
        ForProject { config, notices, brought }
    }

    fn read_project(&self, file: &Path) -> Result<Option<(String, Table)>, ConfigError> {
        let text = tree::read(file, LARGEST).map_err(|error| ConfigError::file_unreadable(file, &error))?;
        let Some(text) = text.filter(|_| !self.is_own(file)) else { return Ok(None) };
        let table = tree::parse(&text, Source::File(file.to_owned()))?;
        Ok(Some((text, table)))
    }

    /// Whether `file` is the user's own: in their home directory it stands where a project's would.
    fn is_own(&self, file: &Path) -> bool {
        canonical(file) == canonical(&self.file())
    }

    /// The file as something to be trusted, if it wants to set more than any project may.
    fn wants(&self, text: &str, table: &Table, file: &Path, root: &Path) -> Option<ProjectItem> {
        let more: Vec<String> = leaves(table.clone())
            .into_iter()
            .filter(|(path, entry)| self.harmless(path, &entry.node.value).is_none())
            .map(|(path, _)| path.join("."))
            .collect();
        if more.is_empty() {
            return None;
        }
        Some(ProjectItem {
            kind: "setting".to_owned(),
            name: file.strip_prefix(root).unwrap_or(file).display().to_string(),
            path: file.to_owned(),
            digest: digest(text, table, file, root),
            summary: listed(&more),
        })
    }

    /// The value that this key may have in any project, if it may be set there.
    fn harmless(&self, path: &[String], value: &Value) -> Option<Value> {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match (path.as_slice(), value) {
            (["model"], Value::String(model)) if self.has_named(model) => Some(value.clone()),
            (["ignore"], Value::Array(globs)) if globs.iter().all(is_plain_text) => {
                let mut all = match tree::find(&self.layers[PROJECT], &["ignore"]) {
                    Some(Entry { node: Node { value: Value::Array(above), .. }, .. }) => above.clone(),
                    _ => self.own_ignore(),
                };
                all.extend(globs.iter().cloned());
                Some(Value::Array(all))
            }
            (["plugins", "system-prompt", "role" | "append"], Value::String(text)) if !text.contains("${") => {
                Some(value.clone())
            }
            (["plugins", "compaction", _], Value::Integer(_) | Value::Float(_)) => Some(value.clone()),
            _ => None,
        }
    }

    /// Lays on what may be set, and gives the keys that may not.
    fn lay_on(&mut self, table: Table, trusted: bool) -> Vec<String> {
        let mut left_out = Vec::new();
        let mut allowed = Table::new();
        for (path, entry) in leaves(table) {
            let value = match self.harmless(&path, &entry.node.value) {
                Some(value) => value,
                None if trusted && is_a_sessions(&path) && !names_a_variable(&entry.node.value) => entry.node.value,
                None => {
                    left_out.push(path.join("."));
                    continue;
                }
            };
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            tree::merge(&mut allowed, tree::single(&path, value, &entry.key));
        }
        tree::merge(&mut self.layers[PROJECT], allowed);
        left_out
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

/// Whether a session may have its own value of this key; the others belong to the process.
fn is_a_sessions(path: &[String]) -> bool {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    !matches!(path.as_slice(), ["providers" | "log", ..] | ["plugins", "disabled", ..])
}

/// The digest of a project's file together with the files of the project that it names: trusting the one means them too.
fn digest(text: &str, table: &Table, file: &Path, root: &Path) -> String {
    let mut texts = Vec::new();
    strings(&Value::Table(table.clone()), &mut texts);
    let directories: Vec<&Path> = file.ancestors().skip(1).take(2).collect();
    digest_naming(text.as_bytes(), texts.iter().map(String::as_str), root, &directories)
}

/// Every string in `value`.
fn strings(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(nodes) => nodes.iter().for_each(|node| strings(&node.value, found)),
        Value::Table(table) => table.values().for_each(|entry| strings(&entry.node.value, found)),
        _ => {}
    }
}

fn names_a_variable(value: &Value) -> bool {
    let mut found = Vec::new();
    strings(value, &mut found);
    found.iter().any(|text| text.contains("${"))
}

fn is_plain_text(node: &Node) -> bool {
    matches!(&node.value, Value::String(text) if !text.contains("${"))
}

/// The first few keys.
fn listed(keys: &[String]) -> String {
    let more = keys.len().saturating_sub(NAMED);
    let names: Vec<String> = keys.iter().take(NAMED).map(|key| format!("`{}`", key.escape_debug())).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", names.join(", "))
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
