//! `crow_hooks._native`: pluggy's engine, for Python, natively.
//!
//! The Python package around it (`python/crow-hooks`) has the documentation for users and everything that is called rarely.
//! The rules of order are those of the Rust engine (`crow-hooks`), which a test compares; registry and loop are its own,
//! because pluggy's are live: a list that Python code may hold in its hands.
//!
//! * `raw`: the types and the call loop; the only module with `unsafe`.
//! * `discovery`, `signature`, `verify`: from a plugin object to its hookimpls.
//! * `order`: `before` and `after` a named plugin.
#![deny(unsafe_code)]

mod discovery;
mod order;
mod raw;
mod settle;
mod signature;
mod verify;
