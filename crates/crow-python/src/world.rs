//! Python as the hook engine sees it: a world whose functions can implement hooks.

use std::sync::Arc;

use crow_acp::crow_hooks::Backend;

use crate::bridge::Bridge;
use crate::plain::{Given, Plain};

/// Python.
#[derive(Debug)]
pub(crate) struct World;

/// A value that is lent to Python, or comes from there.
pub(crate) type Value = Arc<Given>;

impl Backend for World {
    type Context = Bridge;
    type Value = Value;

    /// `agent._session_id` is the session of the call, whatever the impl takes.
    const ALWAYS: &'static [&'static str] = &["agent", "session"];

    fn nothing(_: &Bridge) -> Value {
        Given::of(Plain::NOTHING)
    }
}
