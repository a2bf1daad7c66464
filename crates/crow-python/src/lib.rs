//! The native part of the Python module `crow_acp`: the agent, its hooks and the bridge that puts plugins in Python into
//! its chains.
//!
//! ```text
//! hook call ─▶ dynamic impl (call) ─▶ courier ─▶ asyncio thread: crow_acp._runtime runs the function
//!    ◀── arguments and result as data (plain, shape) ◀───────┘
//! ```
//! Rust's threads never need the GIL: they post jobs and await answers. All Python code of plugins runs on the thread of
//! one event loop.
#![forbid(unsafe_code)]
// What Python calls on an object is a method, and its names are Python's.
#![allow(clippy::unused_self, clippy::used_underscore_items)]

mod bridge;
mod call;
mod chain;
mod cli;
mod courier;
mod deltas;
mod discover;
mod error;
mod future;
mod objects;
mod plain;
mod plugin;
mod shape;
mod spec;
mod stream;
mod world;

/// The module.
#[pyo3::pymodule]
mod _crow {
    #[pymodule_export]
    use crate::cli::main;
    #[pymodule_export]
    use crate::courier::{attach, detach, drain};
    #[pymodule_export]
    use crate::deltas::DeltaPort;
    #[pymodule_export]
    use crate::error::{HookError, PluginValidationError, Refused};
    #[pymodule_export]
    use crate::objects::agent::AcpAgent;
    #[pymodule_export]
    use crate::objects::builtin::BuiltIn;
    #[pymodule_export]
    use crate::objects::config::PyConfig;
    #[pymodule_export]
    use crate::objects::handlers::{PyCommand, PyProvider, PyTool};
    #[pymodule_export]
    use crate::objects::manager::Plugins;
    #[pymodule_export]
    use crate::objects::messages::Messages;
    #[pymodule_export]
    use crate::objects::relay::{HookCaller, Relay};
    #[pymodule_export]
    use crate::objects::session::PySession;
    #[pymodule_export]
    use crate::spec::specs;
}
