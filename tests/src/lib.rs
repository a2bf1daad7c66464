//! What the end-to-end tests and the benchmark are made of.
//!
//! * [`ModelServer`]: an OpenAI-compatible model server that says what a test scripted, over real HTTP and SSE;
//! * [`Sandbox`]: a `CROW_HOME` and a project directory of one test's own;
//! * [`Client`]: an ACP client that speaks raw JSON-RPC lines to the real binary and notes every message;
//! * [`Schema`]: the official JSON Schema, applied to every message the agent sent;
//! * [`Postgres`]: a database server of the test's own;
//! * [`deps`]: where the official clients are, once `cargo xtask setup` installed them;
//! * [`proc`](mod@proc): what `/proc` says about a process.
//!
//! Everything is blocking and on threads: a test reads from top to bottom, and the server adds next to nothing
//! to what the benchmark measures.
#![forbid(unsafe_code)]

#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
pub mod deps;
mod model;
mod postgres;
pub mod proc;
mod sandbox;
#[cfg(feature = "client")]
mod schema;
#[cfg(feature = "client")]
mod transcript;

#[cfg(feature = "client")]
pub use client::{Client, Pending, Permission, RpcError, RpcReply, Turn};
pub use model::{Gap, ModelServer, Recorded, Reply};
pub use postgres::Postgres;
pub use sandbox::{Sandbox, binary, built, finish};
#[cfg(feature = "client")]
pub use schema::{Schema, Violation};
#[cfg(feature = "client")]
pub use transcript::{Entry, Transcript, Way};

use std::time::{Duration, Instant};

/// How long a test waits for something that ought to happen soon, before it fails.
///
/// Long on purpose: a busy machine must not fail a test. Time itself is the benchmark's business.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `probe` gives a value and returns it, or `None` once `limit` is over.
pub fn wait_for<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = probe() {
            return Some(value);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Says in one line that the test at hand was not done, and why. `cargo xtask test` counts these lines.
///
/// The line goes past the test harness, which shows what a test prints only when it fails.
pub fn skipped(why: &str) {
    let test = std::thread::current();
    let line = format!("skipped: {}: {why}\n", test.name().unwrap_or("a test"));
    let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
    if let Some(list) = std::env::var_os("CROW_TEST_SKIPPED") {
        let list = std::fs::OpenOptions::new().append(true).create(true).open(list);
        let _ = list.and_then(|mut list| std::io::Write::write_all(&mut list, line.as_bytes()));
    }
}
