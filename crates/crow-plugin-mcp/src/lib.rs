//! The Crow plugin `mcp`: tools and prompts of MCP servers, over stdio and streamable HTTP.
//!
//! A host registers [`plugin`]. `hub` knows which session uses which server, `connection` is one server (`process` and `stdio`
//! or `http` below it, `handler` for what it tells us), `tools`, `prompts` and `content` bring what it has to the agent.
//! Nothing is started or contacted before a session wants a server.
#![forbid(unsafe_code)]

mod command;
mod connection;
mod content;
mod handler;
mod http;
mod hub;
mod lists;
mod names;
mod plugin;
mod process;
mod project;
mod prompts;
mod settings;
mod spec;
mod stdio;
mod text;
mod tools;

pub use plugin::{McpServers, plugin};
