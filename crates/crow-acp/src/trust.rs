//! Trust: what a project brings along is off until the user has looked at it.
//!
//! A cloned repository is input that nobody has checked. Whatever it brings that could do more than be read (hooks,
//! skills, MCP servers, commands, settings) is presented to [`Trust::admits`] by the plugin that found it, with a digest
//! of its content, and is used only if exactly this content was trusted for this project. `crow trust` is how the user
//! looks and decides; what was decided is kept in `CROW_HOME/trust.json`.

mod digest;
mod store;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use crate::session::Session;
use crate::state::Shared;
use crate::update::{Notice, Severity};

pub use self::digest::{digest_bytes, digest_dir, digest_file, digest_naming};
pub use self::store::{TrustError, TrustedItem};

use self::store::Store;

/// How many items a notice names.
const NAMED: usize = 8;

/// Names and summaries come from the project: no notice shows more characters of one than this.
const SHOWN: usize = 120;

/// Something that a project brings along.
///
/// Read the content once, take the digest of what was read and use nothing else: a file that is read again may have
/// become another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectItem {
    /// What it is, in a word or two for the user: `hook`, `skill`, `mcp server`, `command`, `plugin`, `setting`.
    pub kind: String,
    /// What it is called.
    pub name: String,
    /// The file or directory it comes from.
    pub path: PathBuf,
    /// [`digest_bytes`], [`digest_file`], [`digest_dir`] or [`digest_naming`] of all that it consists of.
    pub digest: String,
    /// What it would do, for the user who decides: the command line, the URL.
    pub summary: String,
}

/// How an item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustState {
    /// The user has not decided.
    New,
    /// The user trusted it, and it is another one since.
    Changed,
    /// Exactly this content is trusted.
    Trusted,
}

/// An item that was presented in a session, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Judged {
    /// The item.
    pub item: ProjectItem,
    /// How it stands.
    pub state: TrustState,
}

/// What the user has trusted, project by project. See [`Agent::trust`](crate::Agent::trust).
#[derive(Debug)]
pub struct Trust {
    store: Store,
}

impl Trust {
    /// What is kept in `home`, the directory `CROW_HOME`. Nothing is read yet.
    pub(crate) fn new(home: &Path) -> Self {
        Self { store: Store::new(home) }
    }

    /// Whether `item` may be used: only if exactly this content was trusted for the session's project. Every item of a
    /// project must be presented, used or not: `crow trust` shows those that were. What is refused is told to the user
    /// by this function: once per session for all that is found while the session starts, and when something changes
    /// later. If what is trusted cannot be read, nothing is.
    ///
    /// Ask again before each use that may come much later than the last: at each run, for hooks.
    pub fn admits(&self, session: &Session, item: ProjectItem) -> bool {
        let state = self.state(&project_of(session), &item);
        if let Some(notice) = session.brought().present(session, Judged { item, state }) {
            session.notify(notice);
        }
        state == TrustState::Trusted
    }

    /// Everything that was presented in the session, by kind and name.
    pub fn items(&self, session: &Session) -> Vec<Judged> {
        session.brought().items()
    }

    /// Trusts these items, with exactly the content that was presented, for the session's project.
    ///
    /// # Errors
    /// `CROW_HOME/trust.json` cannot be read or written.
    pub fn approve(&self, session: &Session, items: &[ProjectItem]) -> Result<(), TrustError> {
        let project = project_of(session);
        let items = items.iter().map(|item| TrustedItem::of(&project, item)).collect();
        self.store.add(&project, items)?;
        session.brought().approved(|judged| self.state(&project, &judged.item));
        Ok(())
    }

    /// Trusts nothing of `project` any more, and gives how many items were trusted.
    ///
    /// # Errors
    /// `CROW_HOME/trust.json` cannot be read or written.
    pub fn revoke(&self, project: &Path) -> Result<usize, TrustError> {
        self.store.remove(&canonical(project))
    }

    /// The projects of which something is trusted, and what.
    ///
    /// # Errors
    /// `CROW_HOME/trust.json` cannot be read.
    pub fn projects(&self) -> Result<Vec<(PathBuf, Vec<TrustedItem>)>, TrustError> {
        self.store.projects()
    }

    /// How `item` stands in `project`, a canonical path.
    pub(crate) fn state(&self, project: &Path, item: &ProjectItem) -> TrustState {
        let known = match self.store.items(project) {
            Ok(known) => known,
            Err(error) => {
                tracing::error!(%error, "what is trusted cannot be read, so that nothing is");
                return TrustState::New;
            }
        };
        let wanted = TrustedItem::of(project, item);
        let same = |other: &&TrustedItem| other.is_same_thing(&wanted);
        match known.iter().find(same) {
            Some(found) if found.digest == wanted.digest => TrustState::Trusted,
            Some(_) => TrustState::Changed,
            None => TrustState::New,
        }
    }
}

/// What a project brought along into a session.
#[derive(Debug, Default)]
pub(crate) struct Brought(Shared<Presented>);

#[derive(Debug, Default)]
struct Presented {
    items: Vec<Judged>,
    /// The session has started, and the user was told what was left off until then.
    begun: bool,
}

impl Brought {
    /// Notes an item. A notice: it is refused, and the user does not know yet.
    pub(crate) fn present(&self, session: &Session, judged: Judged) -> Option<Notice> {
        self.0.with(|presented| {
            let same = |other: &Judged| {
                (&other.item.kind, &other.item.name, &other.item.path)
                    == (&judged.item.kind, &judged.item.name, &judged.item.path)
            };
            let known = presented.items.contains(&judged);
            presented.items.retain(|other| !same(other));
            let tell = presented.begun && !known && judged.state != TrustState::Trusted;
            let notice = tell.then(|| notice(session, std::slice::from_ref(&judged)));
            presented.items.push(judged);
            notice
        })
    }

    /// The session has started: what the user is to be told of all that was left off.
    pub(crate) fn begun(&self, session: &Session) -> Option<Notice> {
        self.0.with(|presented| {
            presented.begun = true;
            let refused: Vec<Judged> =
                presented.items.iter().filter(|judged| judged.state != TrustState::Trusted).cloned().collect();
            (!refused.is_empty()).then(|| notice(session, &refused))
        })
    }

    fn items(&self) -> Vec<Judged> {
        let mut items = self.0.with(|presented| presented.items.clone());
        items.sort_by(|a, b| {
            (&a.item.kind, &a.item.name, &a.item.path).cmp(&(&b.item.kind, &b.item.name, &b.item.path))
        });
        items
    }

    fn approved(&self, state: impl Fn(&Judged) -> TrustState) {
        self.0.with(|presented| {
            for judged in &mut presented.items {
                judged.state = state(judged);
            }
        });
    }
}

/// The canonical root of the session's project.
fn project_of(session: &Session) -> PathBuf {
    canonical(session.config().project().unwrap_or(session.cwd()))
}

pub(crate) fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn notice(session: &Session, refused: &[Judged]) -> Notice {
    let names: Vec<String> = refused.iter().take(NAMED).map(named).collect();
    let more = refused.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let title = format!(
        "this project is not trusted, so that what it brings along is left off: {}{more}; `crow trust` in {} shows it",
        names.join(", "),
        project_of(session).display()
    );
    let lines: Vec<String> = refused
        .iter()
        .map(|judged| {
            let since = if judged.state == TrustState::Changed { " (changed since you trusted it)" } else { "" };
            // Of settings the name says it all.
            let what = if judged.item.kind == "setting" { String::new() } else { shown(&judged.item.summary) };
            let colon = if what.is_empty() { "" } else { ": " };
            format!("{}{since}{colon}{what}", named(judged))
        })
        .collect();
    Notice { description: Some(lines.join("\n")), ..Notice::new(Severity::Warning, title) }
}

fn named(judged: &Judged) -> String {
    let item = &judged.item;
    // A file of settings says little by its name.
    let keys = if item.kind == "setting" { format!(" ({})", shown(&item.summary)) } else { String::new() };
    format!("{} `{}`{keys}", shown(&item.kind), shown(&item.name))
}

/// Text of a project's on one line of the user's.
fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        short.push('…');
    }
    // Only control characters are to be made visible; quotes are what they are.
    short.replace("\\'", "'").replace("\\\"", "\"")
}
