//! The index of this process: opened when it is first needed, and used where waiting disturbs nobody.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crow_acp::{Agent, ConfigError, Secret};

use crate::settings::Settings;
use crate::store::postgres::Postgres;
use crate::store::sqlite::Sqlite;
use crate::store::{Store, StoreError};

/// After an embedder has failed, nobody asks it for so long.
const REST: Duration = Duration::from_mins(1);

/// A connection, once there is one.
type Slot = Mutex<Option<Box<dyn Store>>>;

/// The index.
pub(crate) struct Library {
    database: Database,
    /// Those who search do not wait for those who index.
    reader: Slot,
    writer: Slot,
    /// One indexes at a time. When each root was last looked at.
    pub(crate) looked_at: tokio::sync::Mutex<HashMap<String, Instant>>,
    /// One embeds at a time.
    pub(crate) embedding: tokio::sync::Mutex<()>,
    /// Whether the embedder is known to be the one whose vectors are in the index.
    pub(crate) is_known: AtomicBool,
    embedder_failed: Mutex<Option<Instant>>,
}

/// Where an index is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Database {
    File(PathBuf),
    /// Its address, with a password perhaps.
    Server(Secret),
}

impl Database {
    /// What the settings name, for a given `CROW_HOME`.
    pub(crate) fn of(settings: &Settings, home: &Path) -> Self {
        let named = settings.database.trim();
        if ["postgres://", "postgresql://"].iter().any(|scheme| named.starts_with(scheme)) {
            return Self::Server(Secret::new(named));
        }
        Self::File(home.join(named))
    }

    fn open(&self) -> Result<Box<dyn Store>, StoreError> {
        match self {
            Self::File(path) => Ok(Box::new(Sqlite::open(path)?)),
            Self::Server(url) => Ok(Box::new(Postgres::open(url.expose())?)),
        }
    }
}

impl Library {
    pub(crate) fn new(database: Database) -> Self {
        Self {
            database,
            reader: Slot::default(),
            writer: Slot::default(),
            looked_at: tokio::sync::Mutex::default(),
            embedding: tokio::sync::Mutex::default(),
            is_known: AtomicBool::new(false),
            embedder_failed: Mutex::default(),
        }
    }

    /// The agent's. Nothing is opened yet.
    ///
    /// # Errors
    /// The configuration makes no sense.
    pub(crate) fn of(agent: &Agent) -> Result<Arc<Self>, ConfigError> {
        /// Sessions may start at the same time, and there must be one.
        static MAKING: Mutex<()> = Mutex::new(());
        let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = agent.get::<Arc<Self>>() {
            return Ok((*library).clone());
        }
        // Where it is does not depend on the project.
        let config = agent.config();
        let database = Database::of(&Settings::of(&config)?, config.home());
        if let Database::Server(url) = &database {
            agent.secrets().add(url.expose());
        }
        let library = Arc::new(Self::new(database));
        agent.insert(Arc::clone(&library));
        Ok(library)
    }

    /// Looks something up.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let library = Arc::clone(self);
        blocking(move || library.with(&library.reader, work)).await
    }

    /// Changes something.
    pub(crate) async fn write<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let library = Arc::clone(self);
        blocking(move || library.with(&library.writer, work)).await
    }

    fn with<T>(
        &self,
        slot: &Slot,
        work: impl FnOnce(&mut dyn Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let mut store = match slot.take() {
            Some(store) => store,
            None => self.database.open()?,
        };
        // A connection on which something failed is not used again.
        work(store.as_mut()).inspect(|_| *slot = Some(store))
    }

    /// Whether the embedder may be asked: it has not just failed.
    pub(crate) fn may_embed(&self) -> bool {
        let failed = self.embedder_failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_none_or(|failed| failed.elapsed() > REST)
    }

    /// The embedder failed.
    pub(crate) fn embedder_failed(&self) {
        *self.embedder_failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// Does what waits where it disturbs nobody.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(StoreError::new(error)))
}
