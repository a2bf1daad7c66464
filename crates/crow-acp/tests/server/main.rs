//! The server as a client sees it: raw JSON-RPC lines over a pipe, against an agent with one scripted plugin.
#![allow(missing_docs, unreachable_pub)]

mod client;
mod connection;
mod permissions;
mod prompts;
mod script;
mod sessions;
