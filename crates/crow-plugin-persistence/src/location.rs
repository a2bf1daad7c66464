//! Where the store is: a file of this machine, or a database server.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::postgres::Server;

/// Where sessions are kept. Printing it never shows a password.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// A SQLite file.
    File(PathBuf),
    /// A PostgreSQL database.
    Server(Server),
}

impl Location {
    /// What to change in the configuration to have another store.
    pub(crate) fn setting(&self) -> &'static str {
        match self {
            Self::File(_) => "plugins.persistence.path to another file",
            Self::Server(_) => "plugins.persistence.url to another database",
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Server(server) => server.fmt(f),
        }
    }
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<Server> for Location {
    fn from(server: Server) -> Self {
        Self::Server(server)
    }
}
