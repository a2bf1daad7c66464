//! The scripted model server.

mod http;
mod reply;
mod server;

pub use reply::{Gap, Reply};
pub use server::{ModelServer, Recorded};
