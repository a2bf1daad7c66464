//! The plugin in a real agent.
#![allow(missing_docs)]

mod gates;
mod runs;
mod support;
mod trust;
