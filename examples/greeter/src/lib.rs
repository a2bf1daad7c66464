//! The contract between a greeting program and its plugins. Plugin crates depend on this crate alone.
#![forbid(unsafe_code)]

pub use crow_hooks::{Next, Outcome, hookimpls};

/// What a greeting program asks.
#[crow_hooks::hookspecs(project = "greeter", api = 1)]
pub trait Greeter {
    /// One way to greet `name`.
    fn greet(name: &str) -> String;
}
