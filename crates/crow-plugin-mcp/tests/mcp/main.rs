//! The plugin in a real agent: a scripted model makes the calls, and a client sees what a user would.

mod odd;
mod project;
mod real;
mod sessions;
mod support;
