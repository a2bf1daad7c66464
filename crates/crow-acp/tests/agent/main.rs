//! The agent as a plugin sees it: a scripted model, real hooks, no server.
#![allow(missing_docs, unreachable_pub)]

mod call_order;
mod founding_design;
mod rules;
mod support;
mod wishes;
