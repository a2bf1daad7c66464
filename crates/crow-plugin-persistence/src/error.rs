//! What can go wrong with the store, in words for the person who has to do something about it.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why the store could not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store's schema is of a later version than this program's.
    #[error(
        "the session store {path} was written by a newer Crow (schema {found}; this one knows {known}). \
         Update Crow, or set plugins.persistence.path to another file"
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// The schema version in the file.
        found: u32,
        /// The schema version of this program.
        known: u32,
    },
    /// The file is a SQLite database, but not a session store.
    #[error(
        "{path} is a database of some other program, not a session store of this Crow. \
         Move it away, or set plugins.persistence.path to another file"
    )]
    Foreign {
        /// The database file.
        path: PathBuf,
    },
    /// The file is no database, or a damaged one.
    #[error(
        "the session store {path} is damaged ({detail}). Move it away to start with an empty one; \
         `crow -p no:persistence` works without a store"
    )]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// SQLite's words.
        detail: String,
    },
    /// The file or its directory cannot be written or opened.
    #[error(
        "the session store {path} cannot be opened for writing ({detail}). Check the permissions of the file and its directory"
    )]
    NoAccess {
        /// The database file.
        path: PathBuf,
        /// The system's words.
        detail: String,
    },
    /// Another program kept the database locked for longer than `busy_timeout_ms`.
    #[error("the session store {path} is locked by another program. Crow tries again with the next message")]
    Locked {
        /// The database file.
        path: PathBuf,
    },
    /// The disk is full.
    #[error(
        "the disk is full: the session store {path} cannot grow. Crow keeps what is unsaved in memory and tries again with the next message"
    )]
    Full {
        /// The database file.
        path: PathBuf,
    },
    /// Any other failure of the database.
    #[error("the session store {path} failed: {detail}")]
    Database {
        /// The database file.
        path: PathBuf,
        /// SQLite's words.
        detail: String,
    },
    /// Another process works on the session.
    #[error("the session {session} is open in another Crow{}. Close it there first", holder(*.process))]
    InUse {
        /// The session's id.
        session: String,
        /// The other process's id, if it is known.
        process: Option<u32>,
    },
    /// The lock file of a session cannot be made or locked.
    #[error("the session {session} cannot be reserved with {path}: {detail}")]
    Lease {
        /// The session's id.
        session: String,
        /// The lock file.
        path: PathBuf,
        /// The system's words.
        detail: String,
    },
    /// An event of a session that the store does not have: it was deleted, or never started.
    #[error("the session {session} is not in the store: it was deleted, or never started")]
    UnknownSession {
        /// The session's id.
        session: String,
    },
    /// The log already has an event of this number.
    #[error("event {seq} of the session {session} is in the log already")]
    DuplicateEvent {
        /// The session's id.
        session: String,
        /// The event's number.
        seq: u64,
    },
    /// A stored event that this program cannot read, or one that cannot be written as JSON.
    #[error("event {seq} of the session {session} is not readable: {detail}")]
    Unreadable {
        /// The session's id.
        session: String,
        /// The event's number.
        seq: u64,
        /// What is wrong with it.
        detail: String,
    },
    /// The configuration says something that makes no sense.
    #[error("{0}")]
    Configuration(String),
    /// The store was closed, by `on_shutdown`.
    #[error("the session store is closed")]
    Closed,
}

impl StoreError {
    /// What SQLite reports about the database at `path`.
    pub(crate) fn sqlite(path: &Path, error: &rusqlite::Error) -> Self {
        let path = path.to_owned();
        let detail = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
                Self::Locked { path }
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged { path, detail },
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Self::NoAccess { path, detail }
            }
            Some(ErrorCode::DiskFull) => Self::Full { path },
            _ => Self::Database { path, detail },
        }
    }

    /// Whether it is about one event alone, so that the others can be stored all the same.
    pub(crate) fn concerns_one_event(&self) -> bool {
        matches!(self, Self::UnknownSession { .. } | Self::DuplicateEvent { .. } | Self::Unreadable { .. })
    }
}

fn holder(process: Option<u32>) -> String {
    process.map(|id| format!(" (process {id})")).unwrap_or_default()
}
