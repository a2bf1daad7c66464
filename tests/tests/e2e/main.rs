//! Crow from the outside: the real binary over real pipes, against a scripted model server over real HTTP.
//!
//! One module for each concept; [`stage`] sets the scene.
#![forbid(unsafe_code)]

mod analytics;
mod bad_input;
mod caching;
mod cancel;
mod command_hooks;
mod commands;
mod compaction;
mod conformance;
mod crash;
mod errors;
mod mcp;
mod official_clients;
mod permissions;
mod pitfalls;
mod prompts;
mod secrets;
mod sessions;
mod skills;
mod slash_commands;
mod stage;
mod streaming;
mod tools;
mod trust;
mod undo;
