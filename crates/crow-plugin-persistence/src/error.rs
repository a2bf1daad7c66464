//! What can go wrong with the store, in words for the person who has to do something about it.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use crate::location::Location;

/// Why the store could not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store's schema is of a later version than this program's.
    #[error(
        "the session store {store} was written by a newer Crow (schema {found}; this one knows {known}). \
         Update Crow, or set {}", store.setting()
    )]
    Newer {
        /// Where it is.
        store: Location,
        /// The schema version in the file.
        found: u32,
        /// The schema version of this program.
        known: u32,
    },
    /// The file is a SQLite database, but not a session store.
    #[error(
        "{store} is a database of some other program, not a session store of this Crow. Set {}", store.setting()
    )]
    Foreign {
        /// Where it is.
        store: Location,
    },
    /// The file is no database, or a damaged one.
    #[error(
        "the session store {store} is damaged ({detail}). Move it away to start with an empty one; \
         `crow -p no:persistence` works without a store"
    )]
    Damaged {
        /// Where it is.
        store: Location,
        /// The database's words.
        detail: String,
    },
    /// The file or its directory cannot be written or opened.
    #[error(
        "the session store {store} cannot be opened for writing ({detail}). Check the permissions of {}",
        match store { Location::File(_) => "the file and its directory", Location::Server(_) => "the database's user" }
    )]
    NoAccess {
        /// Where it is.
        store: Location,
        /// The system's words.
        detail: String,
    },
    /// Another program kept the database locked for longer than `busy_timeout_ms`.
    #[error("the session store {store} is locked by another program. Crow tries again with the next message")]
    Locked {
        /// Where it is.
        store: Location,
    },
    /// The disk is full.
    #[error(
        "the disk is full: the session store {store} cannot grow. Crow keeps what is unsaved in memory and tries again with the next message"
    )]
    Full {
        /// Where it is.
        store: Location,
    },
    /// The database server cannot be reached, or lets nobody in.
    #[error(
        "the session store {store} cannot be reached ({detail}). Crow tries again with the next message; \
         `crow -p no:persistence` works without a store"
    )]
    Unreachable {
        /// Where it is.
        store: Location,
        /// What went wrong.
        detail: String,
    },
    /// Any other failure of the database.
    #[error("the session store {store} failed: {detail}")]
    Database {
        /// Where it is.
        store: Location,
        /// The database's words.
        detail: String,
    },
    /// Another process works on the session.
    #[error("the session {session} is open in another Crow{}. Close it there first", in_brackets(.holder.as_deref()))]
    InUse {
        /// The session's id.
        session: String,
        /// Who has it, if that is known: the process, and the machine if it may be another.
        holder: Option<String>,
    },
    /// The lease was lost with the connection, and another process took the session meanwhile.
    #[error(
        "the session {session} was taken over by another Crow{} while the connection to the store was lost. \
         Close it there and load it again", in_brackets(.holder.as_deref())
    )]
    Taken {
        /// The session's id.
        session: String,
        /// Who has it, if that is known.
        holder: Option<String>,
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
    /// A file to import from that no earlier Crow has written.
    #[error("{} is not a store of an earlier Crow: it lacks the tables `sessions` and `messages` of one", .path.display())]
    NotEarlier {
        /// The file.
        path: PathBuf,
    },
    /// A file to import from cannot be read.
    #[error("{} cannot be imported: {detail}", .path.display())]
    Import {
        /// The file.
        path: PathBuf,
        /// Why not.
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
        let store = Location::from(path);
        let detail = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
                Self::Locked { store }
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged { store, detail },
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Self::NoAccess { store, detail }
            }
            Some(ErrorCode::DiskFull) => Self::Full { store },
            _ => Self::Database { store, detail },
        }
    }

    /// Whether it is about one event alone, so that the others can be stored all the same.
    pub(crate) fn concerns_one_event(&self) -> bool {
        matches!(
            self,
            Self::UnknownSession { .. } | Self::DuplicateEvent { .. } | Self::Unreadable { .. } | Self::Taken { .. }
        )
    }
}

fn in_brackets(holder: Option<&str>) -> String {
    holder.map(|holder| format!(" ({holder})")).unwrap_or_default()
}
