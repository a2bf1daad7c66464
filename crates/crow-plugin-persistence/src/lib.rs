//! Keeps Crow's sessions: an append-only log of events in SQLite or PostgreSQL, written behind the conversation's back.
//!
//! * [`plugin`] is what a host registers: it answers `record_event`, `load_session`, `list_sessions`, `delete_session`.
//! * [`Store`] is the store itself, for those who write a plugin or a test of their own.
//! * [`Archive`] is the store for the command line, with [`export_jsonl`] and [`export_markdown`].
//!
//! The user's message is on disk before the model is asked; other events are written in batches by a thread of their own.
//! Whatever ends the process, the file stays whole, finished turns stay, and at most the last 200 ms of a streaming answer
//! are lost.
#![forbid(unsafe_code)]

mod archive;
mod backend;
mod error;
mod export;
mod import;
mod location;
mod options;
mod plugin;
mod postgres;
mod projection;
mod repair;
mod search;
mod sqlite;
mod store;
mod writer;

pub use archive::Archive;
pub use error::StoreError;
pub use export::{export_jsonl, export_markdown};
pub use import::{Imported, read_earlier};
pub use location::Location;
pub use options::Options;
pub use plugin::{Persistence, plugin};
pub use postgres::Server;
pub use search::Hit;
pub use store::Store;
