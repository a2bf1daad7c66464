//! The plugin `genai`: models behind the protocols of Anthropic (Messages), OpenAI (Responses), Gemini and Ollama, carried by
//! the crate of that name.
//!
//! It registers a provider for each `[providers.NAME]` whose `protocol` is `anthropic`, `responses`, `gemini` or `ollama`.
//! `request` brings our messages to the crate's, `answer` its events to ours, `signature` keeps what a model signed, and
//! `error` says what went wrong. No client is made before a model is asked.
#![forbid(unsafe_code)]

mod answer;
mod endpoint;
mod error;
mod plugin;
mod protocol;
mod request;
mod signature;

pub use plugin::{Genai, plugin};
