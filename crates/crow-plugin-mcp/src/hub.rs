//! Which session uses which servers. Sessions that want the same server, in the same place, share one connection.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crow_acp::{Agent, Notice, Session, Severity};

use crate::connection::Connection;
use crate::project;
use crate::settings::Settings;
use crate::spec::Spec;

/// Where a session has a server from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Client,
    Configuration,
    Project,
}

impl Source {
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::Client => "from the client",
            Self::Configuration => "from the configuration",
            Self::Project => "from the project",
        }
    }
}

/// A server of a session.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// Unique in the session.
    pub(crate) name: String,
    pub(crate) source: Source,
    /// The connection, or why there can be none.
    pub(crate) connection: Result<Arc<Connection>, String>,
    pub(crate) rules: Rules,
}

/// What the user says of a server's tools.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// The only tools that are used, if set.
    pub(crate) tools: Option<Vec<String>>,
    /// Tools that change nothing.
    pub(crate) read_only: Vec<String>,
    pub(crate) call_timeout: Duration,
    pub(crate) output_limit: usize,
}

/// All sessions and their servers.
#[derive(Debug, Default)]
pub(crate) struct Hub(Mutex<HashMap<String, Entry>>);

#[derive(Debug)]
struct Entry {
    session: Session,
    members: Arc<[Member]>,
}

/// A server that a session is to have.
struct Wanted {
    name: String,
    source: Source,
    spec: Result<Spec, String>,
}

impl Hub {
    /// Finds out which servers a session has, and gives the connections that a copy of it under the same id leaves unused.
    /// Nothing is started.
    pub(crate) fn open(&self, agent: &Agent, session: &Session, settings: &Settings) -> Vec<Arc<Connection>> {
        let wanted = wanted(agent, session, settings);
        let mut table = self.table();
        let members = wanted.into_iter().map(|wanted| {
            let connection = wanted.spec.map(|spec| {
                let known = table.values().flat_map(|entry| entry.members.iter());
                let same =
                    known.filter_map(|member| member.connection.as_ref().ok()).find(|known| *known.spec() == spec);
                let new = |spec| Connection::new(&wanted.name, spec, settings.connect_timeout(), settings.max_tools);
                same.cloned().unwrap_or_else(|| Arc::new(new(spec)))
            });
            // A project does not decide what may be done without asking, by choosing a name that the user has said
            // something about.
            let said = settings.server(&wanted.name).filter(|_| wanted.source != Source::Project);
            let rules = Rules {
                tools: said.and_then(|said| said.tools.clone()),
                read_only: said.map(|said| said.read_only.clone()).unwrap_or_default(),
                call_timeout: settings.call_timeout(said),
                output_limit: settings.output_limit,
            };
            Member { name: wanted.name, source: wanted.source, connection, rules }
        });
        let entry = Entry { session: session.clone(), members: members.collect() };
        let before = table.insert(session.id().to_owned(), entry);
        unused(&table, before)
    }

    /// The servers of a session.
    pub(crate) fn members(&self, session: &Session) -> Arc<[Member]> {
        self.table().get(session.id()).map(|entry| Arc::clone(&entry.members)).unwrap_or_default()
    }

    /// Lets go of a session, and gives the connections that nobody uses any more.
    pub(crate) fn close(&self, session: &Session) -> Vec<Arc<Connection>> {
        let mut table = self.table();
        let before = table.remove(session.id());
        unused(&table, before)
    }

    /// Lets go of all sessions.
    pub(crate) fn close_all(&self) -> Vec<Arc<Connection>> {
        let entries: Vec<Entry> = self.table().drain().map(|(_, entry)| entry).collect();
        let mut connections: Vec<Arc<Connection>> = Vec::new();
        for entry in entries {
            connections.extend(unused(&HashMap::new(), Some(entry)));
        }
        connections
    }

    /// Tells the users of a server something about it.
    pub(crate) fn tell(&self, connection: &Connection, text: &str) {
        for session in self.users(connection) {
            session.notify(Notice::new(Severity::Warning, text));
        }
    }

    /// A server has other tools or prompts than before: the sessions that use it get them.
    pub(crate) async fn offers_changed(&self, connection: &Connection, agent: &Agent) {
        for session in self.users(connection) {
            agent.refresh_session(&session).await;
        }
    }

    fn users(&self, connection: &Connection) -> Vec<Session> {
        let uses =
            |member: &Member| member.connection.as_ref().is_ok_and(|own| std::ptr::eq(Arc::as_ptr(own), connection));
        let table = self.table();
        table.values().filter(|entry| entry.members.iter().any(uses)).map(|entry| entry.session.clone()).collect()
    }

    fn table(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connections of an entry that is gone which no other entry uses.
fn unused(table: &HashMap<String, Entry>, gone: Option<Entry>) -> Vec<Arc<Connection>> {
    let is_used = |connection: &Arc<Connection>| {
        let others = table.values().flat_map(|entry| entry.members.iter());
        others.filter_map(|member| member.connection.as_ref().ok()).any(|other| Arc::ptr_eq(other, connection))
    };
    let members = gone.map(|entry| entry.members).unwrap_or_default();
    let connections = members.iter().filter_map(|member| member.connection.as_ref().ok());
    connections.filter(|connection| !is_used(connection)).cloned().collect()
}

/// The servers of a session: the client's, then the user's own, then those of a trusted project. Of two with one name the
/// first counts, except that a client may well have two.
fn wanted(agent: &Agent, session: &Session, settings: &Settings) -> Vec<Wanted> {
    let roots = session.roots();
    let mut all: Vec<Wanted> = Vec::new();
    for server in session.mcp_servers() {
        let mut name = server.name.clone();
        let mut copy = 1;
        while all.iter().any(|other| other.name == name) {
            copy += 1;
            name = format!("{}-{copy}", server.name);
        }
        all.push(Wanted { name, source: Source::Client, spec: Spec::of_client(&server.transport, &roots) });
    }
    for (name, server) in &settings.servers {
        let spec = Spec::configured(server, agent.config().home(), &roots);
        if let Some(spec) = spec.filter(|_| !all.iter().any(|other| other.name == *name)) {
            all.push(Wanted { name: name.clone(), source: Source::Configuration, spec });
        }
    }
    let config = session.config();
    of_project(agent, session, config.project().unwrap_or(session.cwd()), &mut all);
    all.retain(|wanted| !settings.server(&wanted.name).is_some_and(|said| said.disabled));
    all
}

fn of_project(agent: &Agent, session: &Session, project: &Path, all: &mut Vec<Wanted>) {
    let (brought, wrong) = project::read(project);
    for what in wrong {
        session.notify(Notice::new(Severity::Warning, what));
    }
    for server in brought {
        let is_admitted = agent.trust().admits(session, server.item.clone());
        if is_admitted && !all.iter().any(|other| other.name == server.item.name) {
            let spec = server.spec(project, &session.roots(), |name| {
                let value = std::env::var(name).ok()?;
                agent.secrets().add_variable(name, &value);
                Some(value)
            });
            all.push(Wanted { name: server.item.name, source: Source::Project, spec });
        }
    }
}
