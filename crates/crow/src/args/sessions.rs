//! The words and options of `crow sessions` and `crow import`.

use super::{Given, nearest, see};
use crate::exit::Failure;
use crate::help::Topic;

/// `crow sessions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sessions {
    List {
        here: bool,
    },
    Show(String),
    /// The newest places in which all of the words occur.
    Search {
        words: String,
        limit: usize,
    },
    Export {
        id: String,
        format: Format,
        /// Standard output, unless a file is named.
        output: Option<String>,
    },
    Fork(String),
    Delete(Vec<String>),
    /// Brings files back to before a prompt.
    Undo {
        id: String,
        /// The number of the prompt; the last one that changed files, if none is named.
        to: Option<u32>,
        /// Overwrite what was changed since, too.
        force: bool,
        /// Only say what can be undone.
        list: bool,
    },
    Prune {
        /// `None`: as the configuration says.
        days: Option<u32>,
        /// Only say what would go.
        dry_run: bool,
    },
}

/// What an exported session looks like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Format {
    #[default]
    Jsonl,
    Markdown,
}

/// What only some of the verbs take.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) here: bool,
    pub(super) dry_run: bool,
    pub(super) format: Option<Format>,
    pub(super) output: Option<String>,
    pub(super) days: Option<u32>,
    pub(super) limit: Option<usize>,
    pub(super) to: Option<u32>,
    pub(super) force: bool,
    pub(super) list: bool,
}

impl Options {
    /// Takes the value of an option.
    pub(super) fn set(&mut self, name: &str, value: String) -> Result<(), Failure> {
        let number = || {
            let number = value.parse::<u32>().ok().filter(|number| *number > 0);
            number.ok_or_else(|| wrong(format!("`--{name} {value}`: expected a number, 1 or more")))
        };
        match name {
            "format" => {
                self.format = Some(match value.as_str() {
                    "jsonl" => Format::Jsonl,
                    "markdown" | "md" => Format::Markdown,
                    other => return Err(wrong(format!("`--format {other}`: the formats are jsonl, markdown"))),
                });
            }
            "days" => self.days = Some(number()?),
            "to" => self.to = Some(number()?),
            "limit" => self.limit = Some(number()? as usize),
            _ => self.output = Some(value),
        }
        Ok(())
    }
}

/// Which verbs take an option. The others would ignore it silently.
const BELONG: &[(&str, &[&str])] = &[
    ("here", &["list"]),
    ("limit", &["search"]),
    ("format", &["export"]),
    ("output", &["export"]),
    ("days", &["prune"]),
    ("dry-run", &["prune"]),
    ("to", &["undo"]),
    ("force", &["undo"]),
    ("list", &["undo"]),
    ("json", &["list", "show", "search", "fork", "prune", "undo"]),
];

impl Given {
    pub(super) fn sessions(&mut self, words: &mut impl Iterator<Item = String>) -> Result<Sessions, Failure> {
        const VERBS: [&str; 8] = ["list", "show", "search", "export", "fork", "undo", "delete", "prune"];
        const HITS: usize = 20;
        let verb = words.next().unwrap_or_else(|| "list".to_owned());
        if !VERBS.contains(&verb.as_str()) {
            let hint = nearest(&verb, VERBS).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return Err(wrong(format!("`crow sessions {verb}`: expected {}{hint}", VERBS.join(", "))));
        }
        let stray = BELONG.iter().find(|(option, verbs)| self.names.contains(option) && !verbs.contains(&&*verb));
        if let Some((option, verbs)) = stray {
            let takers: Vec<String> = verbs.iter().map(|verb| format!("`crow sessions {verb}`")).collect();
            let what = format!("`crow sessions {verb}` has no option --{option}; it belongs to {}", takers.join(", "));
            return Err(wrong(what));
        }
        let options = std::mem::take(&mut self.sessions);
        let mut id = || {
            let missing = format!("`crow sessions {verb}` needs the id of a session");
            words.next().ok_or_else(|| wrong(missing).next("`crow sessions list` shows the ids."))
        };
        Ok(match verb.as_str() {
            "list" => Sessions::List { here: options.here },
            "show" => Sessions::Show(id()?),
            "fork" => Sessions::Fork(id()?),
            "undo" => Sessions::Undo { id: id()?, to: options.to, force: options.force, list: options.list },
            "export" => {
                Sessions::Export { id: id()?, format: options.format.unwrap_or_default(), output: options.output }
            }
            "search" => {
                let words = words.collect::<Vec<_>>().join(" ");
                if words.trim().is_empty() {
                    return Err(wrong("`crow sessions search` needs words to look for".into()));
                }
                Sessions::Search { words, limit: options.limit.unwrap_or(HITS) }
            }
            "prune" => Sessions::Prune { days: options.days, dry_run: options.dry_run },
            _ => match words.collect::<Vec<_>>() {
                ids if ids.is_empty() => {
                    let missing = wrong("`crow sessions delete` needs the ids of sessions".into());
                    return Err(missing.next("`crow sessions list` shows the ids."));
                }
                ids => Sessions::Delete(ids),
            },
        })
    }

    pub(super) fn import(words: &mut impl Iterator<Item = String>) -> Result<String, Failure> {
        words.next().ok_or_else(|| {
            see(Failure::usage("`crow import` needs the file of an earlier Crow: crow import old.db"), Topic::Import)
        })
    }
}

fn wrong(what: String) -> Failure {
    see(Failure::usage(what), Topic::Sessions)
}
