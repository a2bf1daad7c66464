//! The types and the call loop, made with CPython's own functions.
//!
//! PyO3's classes have no vectorcall, and a hook call is little else. So this is written against the C API, and it is the
//! only module with `unsafe`; what the rest of the crate uses of it is safe.
//!
//! Two things make it sound throughout: Python calls this code with the GIL held (the module says that it needs the GIL),
//! and no borrow of Rust data is alive while Python code may run.
#![allow(unsafe_code)]
#![allow(clippy::missing_safety_doc, clippy::undocumented_unsafe_blocks)]

mod call;
mod caller;
mod caller_methods;
mod few;
mod generator;
mod hook_impl;
mod manager;
mod module;
mod object;
mod plan;
mod result;
mod slots;
mod spec;
mod state;

pub(crate) use hook_impl::{Impl, build};
pub(crate) use object::{Obj, Raised, Res, assertion_error, raise as raise_object};
pub(crate) use state::{optional_attr, python, state};
