//! The plugin in a real agent: a scripted model makes the calls, and a client sees what a user would.

mod editor;
mod files;
mod search;
mod support;
mod terminal;
mod web;
mod wire;
