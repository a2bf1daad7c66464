//! Keeps Crow's sessions: an append-only log of events in SQLite, written behind the conversation's back.
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
mod database;
mod error;
mod export;
mod lease;
mod options;
mod plugin;
mod projection;
mod read;
mod repair;
mod schema;
mod store;
mod write;
mod writer;

pub use archive::Archive;
pub use error::StoreError;
pub use export::{export_jsonl, export_markdown};
pub use options::Options;
pub use plugin::{Persistence, plugin};
pub use read::Hit;
pub use store::Store;
