//! What Crow's providers over HTTP have in common: one client for all that are reached the same way, certificates that
//! are read when the first server shows one, the errors of endpoints as the agent's own kinds, and what is known of models.
//!
//! A library for plugins, not a plugin.
#![forbid(unsafe_code)]

mod bad_value;
mod client;
mod error;
mod models;
mod tls;

pub use bad_value::BadValue;
pub use client::{Clients, Route};
pub use error::{Told, from_status, from_stream, from_transport, retry_after, snippet};
pub use models::{apply_overrides, from_endpoint, known_models, lookup};
