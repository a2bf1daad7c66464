//! Leases: one process works on a session at a time. A lease is an advisory lock of the connection that writes, so that it
//! ends with that connection, and nobody writes who has lost it.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use postgres::Client;

use crate::error::StoreError;

/// Tells our locks from those of other programs in the same database.
const SEED: i64 = 0x63_726f_7773;

/// What our connections are called on the server, before who it is.
const NAME: &str = "crow: ";

/// The server may need a moment to notice that the process which held a lease is gone.
const MOMENT: Duration = Duration::from_millis(20);
const PATIENCE: u32 = 5;

/// The leases this process holds.
#[derive(Debug, Default)]
pub(super) struct Leases {
    held: BTreeSet<String>,
    /// Those that were lost with a connection, and who has them now.
    taken: HashMap<String, Option<String>>,
}

impl Leases {
    /// Takes the lease of `session`, unless this process has it.
    pub(super) fn take(
        &mut self,
        client: &mut Client,
        session: &str,
    ) -> Result<Result<(), StoreError>, postgres::Error> {
        if self.held.contains(session) {
            return Ok(Ok(()));
        }
        let mut locked = lock(client, session)?;
        for _ in 0..PATIENCE {
            if locked {
                break;
            }
            std::thread::sleep(MOMENT);
            locked = lock(client, session)?;
        }
        if !locked {
            let holder = holder_of(client, session)?;
            return Ok(Err(StoreError::InUse { session: session.to_owned(), holder }));
        }
        self.taken.remove(session);
        self.held.insert(session.to_owned());
        Ok(Ok(()))
    }

    /// Gives the lease of `session` back. Without a connection there is none to give.
    pub(super) fn release(&mut self, client: Option<&mut Client>, session: &str) {
        self.held.remove(session);
        if let Some(client) = client {
            let _ = client.execute("SELECT pg_advisory_unlock(hashtextextended($1, $2))", &[&session, &SEED]);
        }
    }

    /// Gives all back at once: that the connection is gone the server notices a little later.
    pub(super) fn release_all(&mut self, client: Option<&mut Client>) {
        self.held.clear();
        if let Some(client) = client {
            let _ = client.execute("SELECT pg_advisory_unlock_all()", &[]);
        }
    }

    /// Takes on a new connection what was held on the last.
    pub(super) fn take_back(&mut self, client: &mut Client) -> Result<(), postgres::Error> {
        for session in std::mem::take(&mut self.held) {
            if lock(client, &session)? {
                self.held.insert(session);
            } else {
                let holder = holder_of(client, &session)?;
                self.taken.insert(session, holder);
            }
        }
        Ok(())
    }

    /// Whether this process has the lease of `session`.
    pub(super) fn holds(&self, session: &str) -> bool {
        self.held.contains(session)
    }

    /// The lease of `session` was lost, and somebody took it.
    pub(super) fn lost(&self, session: &str) -> Option<StoreError> {
        let holder = self.taken.get(session)?;
        Some(StoreError::Taken { session: session.to_owned(), holder: holder.clone() })
    }
}

fn lock(client: &mut Client, session: &str) -> Result<bool, postgres::Error> {
    let row = client.query_one("SELECT pg_try_advisory_lock(hashtextextended($1, $2))", &[&session, &SEED])?;
    row.try_get(0)
}

/// Who holds the lease of `session`, if that can be told.
fn holder_of(client: &mut Client, session: &str) -> Result<Option<String>, postgres::Error> {
    let row = client.query_opt(
        "SELECT a.application_name, host(a.client_addr) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
         WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
           AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
           AND (l.classid::int8 << 32 | l.objid::int8) = hashtextextended($1, $2)
         LIMIT 1",
        &[&session, &SEED],
    )?;
    let Some(row) = row else { return Ok(None) };
    let name: Option<String> = row.try_get(0)?;
    let address: Option<String> = row.try_get(1)?;
    let named = name.and_then(|name| name.strip_prefix(NAME).map(str::to_owned));
    Ok(named.or_else(|| address.map(|address| format!("at {address}"))))
}

/// Who this process is, as others are told. The server keeps 63 bytes of it.
pub(super) fn holder() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = host.or_else(|| std::env::var("HOSTNAME").or_else(|_| std::env::var("COMPUTERNAME")).ok());
    let process = std::process::id();
    match host.as_deref().map(str::trim).filter(|host| !host.is_empty()) {
        Some(host) => format!("{NAME}process {process} on {host}"),
        None => format!("{NAME}process {process}"),
    }
}
