//! The plugin `replay`: a provider named `replay` that plays recorded model conversations, and a wrapper of `call_llm`
//! that records them. Demonstrations, tests and the development of plugins work with it without a key or a network, and
//! the same way every time.
//!
//! ```
//! use crow_plugin_replay::Replay;
//!
//! let plugin = Replay::new().embedded("hello", r#"
//!     {"text": "Hello."}
//!     {"end": {"finish": "stop"}}
//! "#);
//! // Registered with a plugin manager, it answers for the model `replay/hello`.
//! # drop(plugin);
//! ```
#![forbid(unsafe_code)]

mod player;
mod plugin;
mod recorder;
mod recording;

pub use plugin::{Replay, plugin};
