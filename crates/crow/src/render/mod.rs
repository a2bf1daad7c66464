//! What people read on a terminal: a conversation as it happens, in lines that fit.

mod clean;
mod conversation;
mod diff;
mod flow;
mod markdown;
mod screen;
mod style;
mod table;
mod tool;

pub(crate) use clean::clean;
pub(crate) use conversation::Conversation;
pub(crate) use screen::Screen;
pub(crate) use style::{Palette, Style};
pub(crate) use table::{Row, Table};
