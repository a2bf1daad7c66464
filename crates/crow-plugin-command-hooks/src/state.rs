//! What is kept of a session.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use crow_acp::{Notice, Session, Severity};
use tokio::sync::OnceCell;

use crate::answer::Decision;

#[derive(Debug, Default)]
pub(crate) struct State {
    /// Filled when the `SessionStart` commands have run.
    pub(crate) started: OnceCell<()>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// What the model is to know with the next prompt.
    context: Vec<(&'static str, String)>,
    /// What was decided about calls whose permission is asked for next.
    decisions: HashMap<String, (Decision, String)>,
    /// Why the run is to end.
    stop: Option<String>,
    /// How often `Stop` commands have kept this run going.
    extended: u32,
    /// What the user was told already.
    told: HashSet<String>,
}

impl State {
    /// The state of `session`; the first to ask makes it.
    pub(crate) fn of(session: &Session) -> Arc<Self> {
        if let Some(state) = session.get::<Self>() {
            return state;
        }
        session.insert(Self::default());
        session.get::<Self>().unwrap_or_default()
    }

    fn with<T>(&self, look: impl FnOnce(&mut Kept) -> T) -> T {
        look(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A run begins.
    pub(crate) fn begin(&self) {
        self.with(|kept| (kept.stop, kept.extended) = (None, 0));
    }

    pub(crate) fn add_context(&self, event: &'static str, texts: Vec<String>) {
        self.with(|kept| kept.context.extend(texts.into_iter().map(|text| (event, text))));
    }

    pub(crate) fn take_context(&self) -> Vec<(&'static str, String)> {
        self.with(|kept| std::mem::take(&mut kept.context))
    }

    pub(crate) fn decide(&self, call: &str, decision: (Decision, String)) {
        self.with(|kept| kept.decisions.insert(call.to_owned(), decision));
    }

    pub(crate) fn take_decision(&self, call: &str) -> Option<(Decision, String)> {
        self.with(|kept| kept.decisions.remove(call))
    }

    pub(crate) fn stop(&self, reason: String) {
        self.with(|kept| kept.stop = kept.stop.take().or(Some(reason)));
    }

    pub(crate) fn take_stop(&self) -> Option<String> {
        self.with(|kept| kept.stop.take())
    }

    pub(crate) fn has_kept_going(&self) -> u32 {
        self.with(|kept| kept.extended)
    }

    pub(crate) fn keep_going(&self) {
        self.with(|kept| kept.extended += 1);
    }

    /// Tells the user, once.
    pub(crate) fn tell_once(&self, session: &Session, severity: Severity, text: &str) {
        if self.with(|kept| kept.told.insert(text.to_owned())) {
            session.notify(Notice::new(severity, text));
        }
    }
}
