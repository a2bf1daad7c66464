//! The plugin `openai`: models behind the Chat Completions protocol (vLLM, llama.cpp, Ollama, OpenRouter, DeepSeek,
//! Mistral, OpenAI itself, …).
//!
//! It registers a provider for each `[providers.NAME]` of the configuration whose `protocol` is `openai`, which is the
//! default.
#![forbid(unsafe_code)]

mod answer;
mod body;
mod calls;
mod chunk;
mod dialect;
mod embeddings;
mod endpoint;
mod plugin;
mod sse;

pub use plugin::{OpenAi, plugin};
