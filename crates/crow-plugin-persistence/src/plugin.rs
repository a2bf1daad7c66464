//! The plugin: which hook does what with the store.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crow_acp::{
    Agent, Config, ConfigError, CrowHooks, Event, EventKind, Notice, Origin, Session, SessionQuery, SessionRecord,
    SessionSummary, Severity, hookimpls,
};
use serde_json::Value;

use crate::error::StoreError;
use crate::options::Options;
use crate::store::Store;

/// The name of the plugin, and of its table in the configuration.
const NAME: &str = "persistence";

/// The plugin as a host registers it.
pub fn plugin() -> Persistence {
    Persistence::default()
}

/// Keeps the sessions of an agent in SQLite or PostgreSQL. Other plugins of the agent find the [`Store`] by `agent.get::<Store>()`.
#[derive(Debug, Default)]
pub struct Persistence {
    /// Started by the first session, or by whatever else needs it first: an agent that an editor has started and nobody
    /// has talked to yet opens no database, and is two megabytes smaller for it.
    store: Mutex<Option<Store>>,
    /// The user knows that the store fails; reset when it works again.
    told: AtomicBool,
}

impl Persistence {
    fn store(&self, agent: &Agent) -> Result<Store, StoreError> {
        let mut slot = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = &*slot {
            return Ok(store.clone());
        }
        let config = agent.config();
        let options = Options::of(&config)?;
        let store = Store::start(options.location(config.home()), options, agent.secrets().clone())?;
        agent.insert(store.clone());
        Ok(slot.insert(store).clone())
    }

    /// Writes what waits. A failure is shown to the user, once, and the run goes on.
    async fn flush(&self, agent: &Agent, session: &Session) {
        let flushed = match self.store(agent) {
            Ok(store) => store.flush().await,
            Err(error) => Err(error),
        };
        let known = self.told.swap(flushed.is_err(), Ordering::Relaxed);
        if let Err(error) = flushed {
            tracing::error!(session = session.id(), "{error}");
            if !known {
                session.notify(Notice::new(Severity::Error, error.to_string()));
            }
        }
    }
}

#[hookimpls(name = "persistence")]
impl CrowHooks for Persistence {
    fn configure(&self, config: &mut Config) -> Result<(), ConfigError> {
        let options = config.plugin::<Options>(NAME)?;
        if let Some(server) = &options.url {
            server.hide_password(config.secrets());
        }
        Ok(())
    }

    async fn on_shutdown(&self) -> Result<(), StoreError> {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match store {
            Some(store) => store.close().await,
            None => Ok(()),
        }
    }

    async fn on_session_start(&self, agent: &Agent, session: &Session) -> Result<(), StoreError> {
        let store = self.store(agent)?;
        if session.origin() == Origin::New {
            // Nobody else can have it: no reason to wait.
            store.start_session(session.summary());
            return Ok(());
        }
        store.resume_session(session.summary()).await
    }

    fn on_session_end(&self, agent: &Agent, session: &Session) -> Result<(), StoreError> {
        self.store(agent)?.end_session(session.id());
        Ok(())
    }

    async fn record_event(&self, agent: &Agent, session: &Session, event: &Event) -> Result<(), StoreError> {
        let store = self.store(agent)?;
        if !matches!(event.kind, EventKind::User { .. }) {
            store.append(session.id(), event.clone());
            return Ok(());
        }
        let committed = store.commit(session.id(), event.clone()).await;
        // A refused prompt tells the user why.
        self.told.store(committed.is_err(), Ordering::Relaxed);
        committed
    }

    async fn after_turn(&self, agent: &Agent, session: &Session) -> Option<Value> {
        self.flush(agent, session).await;
        None
    }

    async fn after_run(&self, agent: &Agent, session: &Session) {
        self.flush(agent, session).await;
    }

    async fn load_session(&self, agent: &Agent, session_id: &str) -> Result<Option<SessionRecord>, StoreError> {
        self.store(agent)?.load(session_id).await
    }

    async fn fork_session(
        &self,
        agent: &Agent,
        session_id: &str,
        new_id: &str,
    ) -> Result<Option<SessionRecord>, StoreError> {
        self.store(agent)?.fork(session_id, new_id).await
    }

    async fn list_sessions(&self, agent: &Agent, query: &SessionQuery) -> Result<Vec<SessionSummary>, StoreError> {
        self.store(agent)?.list(query.clone()).await
    }

    async fn delete_session(&self, agent: &Agent, session_id: &str) -> Result<(), StoreError> {
        self.store(agent)?.delete(session_id).await.map(drop)
    }
}
