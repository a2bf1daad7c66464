//! Sessions come and go: new, loaded, listed, closed, deleted.

use std::sync::Arc;

use super::Agent;
use crate::answers::{EndReason, RunError};
use crate::config::ForProject;
use crate::event::{SessionQuery, SessionSummary};
use crate::history::{self, History};
use crate::session::{Beginning, NewSession, Origin, Session, SessionError};
use crate::state::now;
use crate::update::{Notice, Severity, Update};

impl Agent {
    /// Makes a session.
    ///
    /// # Errors
    /// The directory is not absolute or does not exist, or a hook refused.
    pub async fn new_session(&self, setup: NewSession) -> Result<Session, SessionError> {
        check_cwd(&setup)?;
        self.ready().await;
        let id = uuid::Uuid::now_v7().to_string();
        self.begin(id, Origin::New, now(), None, setup, History::default()).await
    }

    /// Brings a session back from a store that knows it, with the updates that show its history to a client.
    ///
    /// # Errors
    /// As [`new_session`](Self::new_session), or no store knows it.
    pub async fn load_session(
        &self,
        id: &str,
        setup: NewSession,
        origin: Origin,
    ) -> Result<(Session, Vec<Update>), SessionError> {
        check_cwd(&setup)?;
        self.ready().await;
        // The client may load what it has open: the copy in memory gives way to the log. What it does ends first, because
        // how it ends belongs in the log.
        let open = self.session(id);
        let _idle = match &open {
            Some(open) => {
                open.cancel();
                Some(open.0.queue.lock().await)
            }
            None => None,
        };
        let record = self.hooks().load_session(self, id).await.map_err(|error| SessionError::Hook(error.into()))?;
        let record = record.ok_or_else(|| SessionError::NotFound(id.to_owned()))?;
        self.forget(id);
        let history = History::of(&record.events);
        let replay = history::replay(&record.events);
        let summary = record.summary;
        let session = self.begin(id.to_owned(), origin, summary.created_at, summary.parent, setup, history).await?;
        Ok((session, replay))
    }

    /// Makes a copy of a session that a store knows: it has the same history, an id of its own and `setup`. The original
    /// stays as it is, open or not; of what it is at work on, the copy has what was there by now.
    ///
    /// # Errors
    /// As [`load_session`](Self::load_session).
    pub async fn fork_session(&self, id: &str, setup: NewSession) -> Result<Session, SessionError> {
        check_cwd(&setup)?;
        self.ready().await;
        if let Some(open) = self.session(id) {
            open.record_pending().await.map_err(|error| SessionError::Hook(error.into()))?;
        }
        let copy = uuid::Uuid::now_v7().to_string();
        let forked = self.hooks().fork_session(self, id, &copy).await;
        let record = forked.map_err(|error| SessionError::Hook(error.into()))?;
        let record = record.ok_or_else(|| SessionError::NotFound(id.to_owned()))?;
        let history = History::of(&record.events);
        let parent = Some(id.to_owned());
        let begun = self.begin(copy.clone(), Origin::Forked, record.summary.created_at, parent, setup, history).await;
        if begun.is_err() {
            // Nobody was told of the copy.
            drop(self.hooks().delete_session(self, &copy).await);
        }
        begun
    }

    async fn begin(
        &self,
        id: String,
        origin: Origin,
        created_at: i64,
        parent: Option<String>,
        setup: NewSession,
        history: History,
    ) -> Result<Session, SessionError> {
        let ForProject { config, notices, brought } = self.0.config.for_project_by(&setup.cwd, self.trust());
        let beginning = Beginning { id, origin, created_at, parent, setup, config: Arc::new(config), history };
        let session = Session::new(self, beginning);
        for judged in brought {
            session.brought().present(&session, judged);
        }
        let started = async {
            self.hooks().on_session_start(self, &session).await?;
            self.collect_offers(&session).await
        };
        let offers = started.await.map_err(SessionError::Hook)?;
        session.state(|state| state.offers = offers);
        self.0.sessions.with(|sessions| sessions.push(session.clone()));
        let left_off = session.brought().begun(&session);
        let untold = self.0.untold.with(std::mem::take);
        for notice in untold.into_iter().chain(notices).chain(left_off).chain(unknown_mode(&session)) {
            session.notify(notice);
        }
        Ok(session)
    }

    /// Before each run: what the project's configuration may set may have changed, with the files or with the user's mind.
    pub(crate) fn look_again(&self, session: &Session) {
        let config = session.config();
        if !config.is_for_project_with_more() {
            return;
        }
        let ForProject { config: now, notices, brought } = self.0.config.for_project_by(session.cwd(), self.trust());
        if now.admitted() == config.admitted() {
            return;
        }
        session.set_config(now);
        let refused = brought.into_iter().filter_map(|judged| session.brought().present(session, judged));
        for notice in notices.into_iter().chain(refused) {
            session.notify(notice);
        }
    }

    /// The sessions that stores know, merged, newest first, at most `query.limit`.
    ///
    /// # Errors
    /// A store failed.
    pub async fn list_sessions(&self, query: &SessionQuery) -> Result<Vec<SessionSummary>, RunError> {
        self.ready().await;
        let answers = self.hooks().list_sessions(self, query).await?;
        let mut summaries: Vec<SessionSummary> = answers.into_iter().flatten().collect();
        summaries.sort_by(|a, b| (b.updated_at, &b.id).cmp(&(a.updated_at, &a.id)));
        summaries.dedup_by(|a, b| a.id == b.id);
        summaries.truncate(query.limit);
        Ok(summaries)
    }

    /// Closes a session and has stores forget it. An unknown one is no error.
    ///
    /// # Errors
    /// A store failed.
    pub async fn delete_session(&self, id: &str) -> Result<(), RunError> {
        self.ready().await;
        self.end(id, EndReason::Deleted).await;
        self.hooks().delete_session(self, id).await?;
        Ok(())
    }

    /// Cancels what a session does and lets go of it. Stores keep it. False: it was not open.
    pub async fn close_session(&self, id: &str) -> bool {
        self.end(id, EndReason::Closed).await
    }

    pub(super) async fn end(&self, id: &str, reason: EndReason) -> bool {
        let Some(session) = self.session(id) else { return false };
        session.cancel();
        let _idle = session.0.queue.lock().await;
        drop(self.hooks().on_session_end(self, &session, &reason).await);
        self.forget(id);
        true
    }

    fn forget(&self, id: &str) {
        self.0.sessions.with(|sessions| sessions.retain(|session| session.id() != id));
    }
}

/// The configured mode may be one that no plugin offers; the session then starts in the first, and the user is told.
fn unknown_mode(session: &Session) -> Option<Notice> {
    let config = session.config();
    let wanted = config.mode()?;
    let offered = session.modes();
    if offered.iter().any(|mode| mode.id == wanted) {
        return None;
    }
    let offered: Vec<&str> = offered.iter().map(|mode| mode.id.as_str()).collect();
    let title = match offered.as_slice() {
        [] => format!("the configured mode `{wanted}` has no effect: no plugin offers modes"),
        [first, ..] => {
            format!("there is no mode `{wanted}`, this session is in `{first}`; the modes are {}", offered.join(", "))
        }
    };
    Some(Notice::new(Severity::Warning, title))
}

fn check_cwd(setup: &NewSession) -> Result<(), SessionError> {
    for directory in std::iter::once(&setup.cwd).chain(&setup.additional_directories) {
        if !directory.is_absolute() {
            return Err(SessionError::RelativeCwd(directory.clone()));
        }
    }
    if !setup.cwd.is_dir() {
        return Err(SessionError::NoSuchDirectory(setup.cwd.clone()));
    }
    Ok(())
}
