//! The Crow plugin `tools`: `read`, `write`, `edit`, `list`, `glob`, `grep`, `terminal` and `fetch`.
//!
//! A host registers [`plugin`]. Each tool is in a file of its own; what they share is beside them: `paths` and `disk` for where
//! a path leads and what is there, `files` for the text of a file as the editor and the disk have it, `matching` for the
//! place an edit means, `bounds` for long outputs, `shell` for the terminal. Nothing is started, opened or looked at before a
//! tool is called.
#![forbid(unsafe_code)]

mod bounds;
mod context;
mod disk;
mod edit;
mod fetch;
mod files;
mod glob;
mod grep;
mod html;
mod list;
mod matching;
mod options;
mod paths;
mod plugin;
mod read;
mod screen;
mod shell;
mod state;
mod terminal;
mod text;
mod walk;
mod web;
mod write;

pub use plugin::{Tools, plugin};
