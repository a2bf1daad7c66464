//! Crow from the outside.
#![forbid(unsafe_code)]
