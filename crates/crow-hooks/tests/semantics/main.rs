//! The rules of the engine, one module per concept. Each rule is tested on the contract below.

#![allow(
    unreachable_pub,
    missing_debug_implementations,
    clippy::unnecessary_wraps,
    clippy::redundant_closure_for_method_calls,
    clippy::needless_pass_by_value,
    clippy::wrong_self_convention,
    clippy::semicolon_if_nothing_returned
)]

mod cancel;
mod contract;
mod depth;
mod dynamic;
mod errors;
mod historic;
mod monitors;
mod order;
mod panics;
mod plugins;
mod registry;
mod results;
mod specs;
mod stress;
mod time;
#[cfg(feature = "tracing")]
mod tracing;
mod wrappers;
