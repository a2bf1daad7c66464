//! The objects that plugins in Python get hold of: handles, whose state lives in Rust.

pub(crate) mod agent;
pub(crate) mod attributes;
pub(crate) mod builtin;
pub(crate) mod config;
pub(crate) mod handlers;
pub(crate) mod manager;
pub(crate) mod messages;
pub(crate) mod relay;
pub(crate) mod session;
