//! Connecting, and what the server's errors mean to the user.

use std::error::Error;
use std::time::{Duration, Instant};

use postgres::error::SqlState;
use postgres::{Client, NoTls};

use super::server::{Server, Tls};
use super::tls::Encrypted;
use crate::error::StoreError;
use crate::options::Options;

/// How long a server may take to answer, unless the URL says another time.
const PATIENCE: Duration = Duration::from_secs(5);

/// How soon both ends notice that the other is gone, whoever pulled the plug: the lease ends with the connection.
const SILENCE: Duration = Duration::from_secs(30);

/// A connection with everything set that the store relies on.
pub(super) fn connect(server: &Server, options: &Options) -> Result<Client, StoreError> {
    let start = Instant::now();
    let mut client = loop {
        match attempt(server) {
            // It is on its way.
            Err(error) if is_starting(&error) && start.elapsed() < options.busy_timeout() => {
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(error) => return Err(unreachable(server, &error)),
            Ok(client) => break client,
        }
    };
    let settings = format!(
        "SET search_path = crow; SET lock_timeout = {}; SET client_min_messages = warning;
         SET tcp_keepalives_idle = {idle}; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3",
        options.busy_timeout_ms.max(1),
        idle = SILENCE.as_secs(),
    );
    client.batch_execute(&settings).map_err(|error| failed(server, &error))?;
    Ok(client)
}

fn attempt(server: &Server) -> Result<Client, postgres::Error> {
    let mut config = server.config()?;
    // Who else wants a session that is open here reads this.
    config.application_name(&super::lease::holder());
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(PATIENCE);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(SILENCE);
    }
    config.keepalives_idle(SILENCE);
    match &server.tls {
        Tls::Off => config.connect(NoTls),
        // Sockets of this machine are not encrypted.
        _ if config.get_hosts().iter().all(|host| !matches!(host, postgres::config::Host::Tcp(_))) => {
            config.connect(NoTls)
        }
        Tls::Unverified => config.connect(Encrypted::believing()),
        Tls::Verified { roots } => config.connect(Encrypted::verifying(roots.as_deref())),
    }
}

/// What the user is told about an error of the server's.
pub(super) fn failed(server: &Server, error: &postgres::Error) -> StoreError {
    let store = server.clone().into();
    let detail = words(error);
    match error.code() {
        Some(code) if *code == SqlState::LOCK_NOT_AVAILABLE => StoreError::Locked { store },
        Some(code) if *code == SqlState::DISK_FULL => StoreError::Full { store },
        Some(code) if *code == SqlState::DATA_CORRUPTED || *code == SqlState::INDEX_CORRUPTED => {
            StoreError::Damaged { store, detail }
        }
        Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE || *code == SqlState::READ_ONLY_SQL_TRANSACTION => {
            StoreError::NoAccess { store, detail }
        }
        _ if is_lost(error) => StoreError::Unreachable { store, detail },
        _ => StoreError::Database { store, detail },
    }
}

fn unreachable(server: &Server, error: &postgres::Error) -> StoreError {
    StoreError::Unreachable { store: server.clone().into(), detail: words(error) }
}

/// The error in the server's own words, or with its causes.
pub(super) fn words(error: &postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return error.message().to_owned();
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

/// The server is there and will be able to answer soon.
fn is_starting(error: &postgres::Error) -> bool {
    error.code() == Some(&SqlState::CANNOT_CONNECT_NOW)
}

/// The connection is of no use any more; a new one may be.
pub(super) fn is_lost(error: &postgres::Error) -> bool {
    let shut_down = |code: &SqlState| {
        let ends = [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::CANNOT_CONNECT_NOW];
        ends.contains(code) || code.code().starts_with("08")
    };
    error.is_closed() || error.code().map_or_else(|| is_io(error), shut_down)
}

fn is_io(error: &postgres::Error) -> bool {
    error.source().is_some_and(<dyn Error>::is::<std::io::Error>)
}
