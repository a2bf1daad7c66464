//! The Crow agent: a coding agent that speaks the Agent Client Protocol, and whose whole life is opened up by hooks.
//!
//! This crate holds the hookspecs ([`CrowHooks`]), the [`Agent`] and its [`Session`]s, the run loop and the ACP server.
//! It has no model, tool or store of its own: those are plugins of the same kind as a stranger's.
//!
//! # A plugin
//!
//! ```
//! use crow_acp::{CrowHooks, Message, Session, hookimpls};
//!
//! /// Refuses prompts that hold a secret: the user sees the reason, and nothing is sent.
//! struct NoSecrets;
//!
//! #[hookimpls]
//! impl CrowHooks for NoSecrets {
//!     #[hookimpl(tryfirst)]
//!     fn before_prompt(&self, prompt: &mut Message) -> Result<(), String> {
//!         if prompt.text().contains("sk-") { Err("that looks like a secret key".into()) } else { Ok(()) }
//!     }
//! }
//! ```
#![forbid(unsafe_code)]

mod agent;
mod answers;
mod budget;
mod client;
mod config;
mod delta;
mod dispatch;
mod event;
mod history;
mod hooks;
mod message;
mod model;
mod options;
mod provider;
mod run;
mod run_loop;
mod schema;
mod secret;
pub mod server;
mod session;
mod state;
mod tool;
mod trust;
mod update;

pub use agent::Agent;
pub use answers::*;
pub use budget::Pause;
pub use client::*;
pub use config::*;
pub use crow_hooks;
pub use crow_hooks::{hookimpls, hookspecs};
pub use delta::{Delta, DeltaKind, DeltaRefused, DeltaSink, Deltas};
pub use dispatch::{Dispatch, Limits};
pub use event::*;
pub use hooks::*;
pub use message::{Message, Part, Role, ToolResult};
pub use model::{InvalidModelId, Model, ModelId, Price, Usage};
pub use options::*;
pub use provider::*;
pub use secret::{Secret, Secrets};
pub use session::{NewSession, Origin, Session, SessionError};
pub use tool::*;
pub use trust::{
    Judged, ProjectItem, Trust, TrustError, TrustState, TrustedItem, digest_bytes, digest_dir, digest_file,
    digest_naming,
};
pub use update::*;
