//! The store on a PostgreSQL server: how many machines share sessions. The tables are those of the file, and nothing of
//! this runs unless the configuration names a server.

mod connect;
mod lease;
mod read;
mod schema;
mod server;
mod tls;
mod words;
mod write;

use std::time::Duration;

use crow_acp::{Secrets, SessionQuery, SessionRecord, SessionSummary};
use postgres::Client;

use crate::backend::{Backend, Change, Reader, Written};
use crate::error::StoreError;
use crate::options::Options;
use crate::search::Hit;
use connect::is_lost;
use lease::Leases;
use write::Statements;

pub use server::Server;

/// What changes the database. One connection holds the leases and writes, so that who has lost the leases cannot write.
pub(crate) struct Postgres {
    server: Server,
    options: Options,
    leases: Leases,
    /// `None` until it is needed, and again after it broke.
    link: Option<Link>,
}

struct Link {
    client: Client,
    statements: Statements,
}

impl Postgres {
    /// The store on `server`; nobody is connected yet.
    pub(crate) fn new(server: Server, options: &Options) -> Self {
        Self { server, options: options.clone(), leases: Leases::default(), link: None }
    }

    fn connect(&mut self) -> Result<bool, StoreError> {
        if self.link.as_ref().is_some_and(|link| !link.client.is_closed()) {
            return Ok(false);
        }
        self.link = None;
        let failed = |error: postgres::Error| connect::failed(&self.server, &error);
        let mut client = connect::connect(&self.server, &self.options)?;
        if schema::check(&mut client, &self.server)? != schema::Contents::Store(schema::VERSION) {
            schema::migrate(&mut client).map_err(failed)?;
        }
        // What was held went with the connection that broke; somebody may have been faster.
        self.leases.take_back(&mut client).map_err(failed)?;
        let statements = Statements::prepare(&mut client).map_err(failed)?;
        self.link = Some(Link { client, statements });
        Ok(true)
    }

    /// Does `work` on the connection. If it turns out to be broken, a server that is back is asked once more: whatever is
    /// done here may be done twice.
    fn on<T>(
        &mut self,
        mut work: impl FnMut(&mut Link, &mut Leases) -> Result<T, postgres::Error>,
    ) -> Result<T, StoreError> {
        for again in [true, false] {
            self.connect()?;
            let Some(link) = &mut self.link else { break };
            match work(link, &mut self.leases) {
                Ok(done) => return Ok(done),
                Err(error) => {
                    let lost = link.client.is_closed() || is_lost(&error);
                    if lost {
                        self.link = None;
                    }
                    if !(lost && again) {
                        return Err(connect::failed(&self.server, &error));
                    }
                }
            }
        }
        Err(StoreError::Closed)
    }
}

impl Backend for Postgres {
    fn open(&mut self) -> Result<bool, StoreError> {
        // There is no log beside the database that would have to be merged.
        self.connect().map(|_| false)
    }

    fn take(&mut self, session: &str) -> Result<(), StoreError> {
        self.on(|link, leases| leases.take(&mut link.client, session))?
    }

    fn release(&mut self, session: &str) {
        if self.leases.holds(session) {
            let client = self.link.as_mut().map(|link| &mut link.client);
            self.leases.release(client, session);
        }
    }

    fn holds(&self, session: &str) -> bool {
        self.leases.holds(session)
    }

    fn write(&mut self, changes: &[Change], secrets: &Secrets) -> Result<Written, StoreError> {
        let search = self.options.search;
        let server = self.server.clone();
        self.on(|link, leases| {
            let mut batch = write::Batch { statements: &link.statements, leases, secrets, search };
            match batch.together(&mut link.client, changes) {
                // One change that the database cannot take must not keep all others from being stored.
                Err(error) if write::concerns_data(&error) => {
                    batch.one_by_one(&mut link.client, changes, &server).map(Ok)
                }
                done => done.map(Ok),
            }
        })?
    }

    fn knows(&mut self, session: &str) -> Result<bool, StoreError> {
        self.on(|link, _| Ok(read::session(&mut link.client, session)?.is_some()))
    }

    fn record(&mut self, session: &str) -> Result<Option<SessionRecord>, StoreError> {
        self.on(|link, _| read::record(&mut link.client, session))?
    }

    fn delete(&mut self, session: &str) -> Result<bool, StoreError> {
        self.on(|link, _| write::delete(&mut link.client, session))
    }

    fn outdated(&mut self, age: Option<Duration>, now: i64) -> Result<Vec<String>, StoreError> {
        self.on(|link, _| read::outdated(&mut link.client, age, now))
    }

    fn index(&mut self) -> Result<bool, StoreError> {
        // An event is indexed when it is written.
        Ok(false)
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn close(&mut self) {
        self.leases.release_all(self.link.as_mut().map(|link| &mut link.client));
        self.link = None;
    }
}

/// What reads the database.
pub(crate) struct Reading {
    server: Server,
    client: Client,
}

impl Reading {
    /// `None`: there is no store yet.
    pub(crate) fn open(server: &Server, options: &Options) -> Result<Option<Self>, StoreError> {
        let mut client = connect::connect(server, options)?;
        match schema::check(&mut client, server)? {
            schema::Contents::Store(schema::VERSION) => {}
            schema::Contents::Empty => return Ok(None),
            // A store of an earlier version is brought up to date first.
            schema::Contents::Store(_) => {
                schema::migrate(&mut client).map_err(|error| connect::failed(server, &error))?
            }
        }
        Ok(Some(Self { server: server.clone(), client }))
    }

    fn on<T>(&mut self, work: impl FnOnce(&mut Client) -> Result<T, postgres::Error>) -> Result<T, StoreError> {
        work(&mut self.client).map_err(|error| connect::failed(&self.server, &error))
    }
}

impl Reader for Reading {
    fn sessions(&mut self, query: &SessionQuery) -> Result<Vec<SessionSummary>, StoreError> {
        self.on(|client| read::sessions(client, query))
    }

    fn session(&mut self, id: &str) -> Result<Option<SessionSummary>, StoreError> {
        self.on(|client| read::session(client, id))
    }

    fn sessions_beginning(&mut self, prefix: &str) -> Result<Vec<SessionSummary>, StoreError> {
        self.on(|client| read::sessions_beginning(client, prefix))
    }

    fn record(&mut self, id: &str) -> Result<Option<SessionRecord>, StoreError> {
        self.on(|client| read::record(client, id))?
    }

    fn search(&mut self, words: &str, limit: usize) -> Result<Vec<Hit>, StoreError> {
        self.on(|client| read::search(client, words, limit))
    }

    fn outdated(&mut self, age: Option<Duration>, now: i64) -> Result<Vec<String>, StoreError> {
        self.on(|client| read::outdated(client, age, now))
    }
}
