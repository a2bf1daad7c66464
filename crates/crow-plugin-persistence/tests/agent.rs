//! The plugin in a real agent, with a model that says what the test wants.

mod common;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crow_acp::{
    Agent, AskError, BoxFuture, Client, ClientInfo, Completion, Config, CrowHooks, Delta, Deltas, Dispatch, EventKind,
    Finish, Message, NewSession, Notice, Origin, PluginManager, Provider, ProviderDescriptor, ProviderError,
    ProviderErrorKind, Question, Request, Role, Session, SessionQuery, StopReason, Update, Usage, hookimpls,
};
use crow_plugin_persistence::{Archive, Options, Store, StoreError};
use rusqlite::Connection;

use common::{check_invariants, eventually};

/// A model that calls `on_request` and answers with the text of the last message; told to take its time, it never ends.
#[derive(Clone)]
struct Parrot {
    on_request: Arc<dyn Fn(&Request) + Send + Sync>,
}

impl Provider for Parrot {
    fn stream<'a>(
        &'a self,
        request: &'a Request,
        deltas: &'a mut Deltas<'_>,
    ) -> BoxFuture<'a, Result<Completion, ProviderError>> {
        Box::pin(async move {
            (self.on_request)(request);
            let text = request.messages.last().map(Message::text).unwrap_or_default();
            if text == "take your time" {
                deltas.push(Delta::text("you said: ")).await.unwrap();
                std::future::pending::<()>().await;
            }
            deltas
                .push(Delta::text(format!("you said: {text}")))
                .await
                .map_err(|error| ProviderError::new(ProviderErrorKind::Protocol, error.to_string()))?;
            Ok(Completion::new(Finish::Stop, Some(Usage::new(10, 5))))
        })
    }
}

#[hookimpls(name = "parrot")]
impl CrowHooks for Parrot {
    fn register_providers(&self) -> Vec<ProviderDescriptor> {
        vec![ProviderDescriptor::new("test", Vec::new(), self.clone())]
    }
}

/// A client that keeps what it is shown.
#[derive(Debug, Default)]
struct Screen(Mutex<Vec<Update>>);

impl Screen {
    fn notices(&self) -> Vec<String> {
        let shown = self.0.lock().unwrap();
        shown
            .iter()
            .filter_map(
                |update| if let Update::Notice(Notice { title, .. }) = update { Some(title.clone()) } else { None },
            )
            .collect()
    }

    fn text(&self) -> String {
        let shown = self.0.lock().unwrap();
        shown
            .iter()
            .filter_map(
                |update| if let Update::AgentMessage { text, .. } = update { Some(text.as_str()) } else { None },
            )
            .collect()
    }
}

impl Client for Screen {
    fn info(&self) -> ClientInfo {
        ClientInfo::default()
    }

    fn send(&self, _: &str, update: Update) {
        self.0.lock().unwrap().push(update);
    }

    fn ask<'a>(&'a self, _: &'a Session, _: Question) -> BoxFuture<'a, Result<String, AskError>> {
        Box::pin(async { Err(AskError::NoClient) })
    }
}

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("work")).unwrap();
        Self { directory }
    }

    fn home(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    fn database(&self) -> PathBuf {
        self.home().join("crow.db")
    }

    fn setup(&self) -> NewSession {
        NewSession::new(self.directory.path().join("work"))
    }

    async fn agent(&self) -> Agent {
        self.agent_with("", |_| {}).await
    }

    async fn agent_with(&self, options: &str, on_request: impl Fn(&Request) + Send + Sync + 'static) -> Agent {
        let config = format!("model = \"test/parrot\"\n[plugins.persistence]\n{options}");
        let config = Config::from_toml(self.home(), &config).unwrap();
        let plugins = PluginManager::new();
        plugins.register(Dispatch).unwrap();
        plugins.register(crow_plugin_persistence::plugin()).unwrap();
        plugins.register(Parrot { on_request: Arc::new(on_request) }).unwrap();
        Agent::new(config, plugins).await.unwrap()
    }

    fn archive(&self) -> Archive {
        Archive::open(&self.database().into(), &Options::default()).unwrap().unwrap()
    }
}

fn texts(messages: &[Message]) -> Vec<String> {
    messages.iter().map(Message::text).collect()
}

#[tokio::test]
async fn a_conversation_goes_on_in_the_next_process() {
    let place = Place::new();
    let agent = place.agent().await;
    let session = agent.new_session(place.setup()).await.unwrap();
    let id = session.id().to_owned();
    let outcome = agent.prompt(&session, Message::user("hello")).await;
    assert_eq!(outcome.stop_reason, StopReason::EndTurn, "{outcome:?}");
    agent.shutdown().await;

    let agent = place.agent().await;
    let listed = agent.list_sessions(&SessionQuery::newest(10)).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].id.as_str(), listed[0].title.as_deref()), (id.as_str(), Some("hello")));
    let (session, replay) = agent.load_session(&id, place.setup(), Origin::Loaded).await.unwrap();
    assert_eq!(texts(&session.messages()), ["hello", "you said: hello"]);
    assert_eq!(session.usage(), Usage::new(10, 5));
    let shown: Vec<&Update> = replay.iter().filter(|update| !matches!(update, Update::SessionInfo { .. })).collect();
    assert!(matches!(shown[..], [Update::UserMessage { .. }, Update::AgentMessage { .. }]), "{shown:?}");
    let outcome = agent.prompt(&session, Message::user("again")).await;
    assert_eq!(outcome.stop_reason, StopReason::EndTurn, "{outcome:?}");
    assert_eq!(texts(&session.messages()).len(), 4);
    agent.delete_session(&id).await.unwrap();
    assert!(agent.list_sessions(&SessionQuery::newest(10)).await.unwrap().is_empty());
    assert!(agent.load_session(&id, place.setup(), Origin::Loaded).await.is_err());
    agent.shutdown().await;
    check_invariants(&place.database());
}

#[tokio::test]
async fn the_users_message_is_on_disk_before_the_model_is_asked() {
    let place = Place::new();
    let database = place.database();
    let seen = Arc::new(Mutex::new(None));
    let agent = place
        .agent_with("", {
            let seen = seen.clone();
            move |request| {
                let archive = Archive::open(&database.clone().into(), &Options::default()).unwrap().unwrap();
                let record = archive.record(&request.session_id).unwrap().unwrap();
                *seen.lock().unwrap() = record.events.iter().find_map(|event| match &event.kind {
                    EventKind::User { message } => Some((message.role, message.text())),
                    _ => None,
                });
            }
        })
        .await;
    let session = agent.new_session(place.setup()).await.unwrap();
    agent.prompt(&session, Message::user("remember me")).await;
    assert_eq!(*seen.lock().unwrap(), Some((Role::User, "remember me".to_owned())));
    agent.shutdown().await;
}

#[tokio::test]
async fn a_finished_run_is_on_disk() {
    let place = Place::new();
    let agent = place.agent_with("flush_interval_ms = 60000", |_| {}).await;
    let session = agent.new_session(place.setup()).await.unwrap();
    agent.prompt(&session, Message::user("hello")).await;
    // Nothing was closed: this is what a killed process leaves.
    let events = place.archive().record(session.id()).unwrap().unwrap().events;
    let answered = events.iter().any(|event| matches!(event.kind, EventKind::Assistant { .. }));
    assert!(answered, "{events:?}");
    agent.shutdown().await;
}

#[tokio::test]
async fn a_session_is_open_in_one_process_at_a_time() {
    let place = Place::new();
    let first = place.agent().await;
    let session = first.new_session(place.setup()).await.unwrap();
    let id = session.id().to_owned();
    first.prompt(&session, Message::user("hello")).await;

    let second = place.agent().await;
    let refused = second.load_session(&id, place.setup(), Origin::Loaded).await.unwrap_err().to_string();
    assert!(refused.contains("is open in another Crow (process "), "{refused}");
    assert_eq!(second.list_sessions(&SessionQuery::newest(10)).await.unwrap().len(), 1);
    assert!(second.delete_session(&id).await.is_err());

    assert!(first.close_session(&id).await);
    eventually("a closed session is free", || {
        // The lease is given back behind the agent's back.
        std::fs::read_dir(place.home().join("locks")).unwrap().count() == 0
    });
    second.load_session(&id, place.setup(), Origin::Loaded).await.unwrap();
    second.shutdown().await;
    first.shutdown().await;
}

#[tokio::test]
async fn a_fork_knows_what_was_said_and_the_original_does_not_know_the_fork() {
    let place = Place::new();
    let agent = place.agent().await;
    let session = agent.new_session(place.setup()).await.unwrap();
    agent.prompt(&session, Message::user("hello")).await;
    let fork = agent.fork_session(session.id(), place.setup()).await.unwrap();
    assert_eq!((fork.origin(), fork.parent()), (Origin::Forked, Some(session.id())));
    assert_eq!(texts(&fork.messages()), ["hello", "you said: hello"]);
    assert_eq!(fork.usage(), session.usage());
    agent.prompt(&fork, Message::user("one way")).await;
    agent.prompt(&session, Message::user("another")).await;
    assert_eq!(texts(&session.messages())[2..], ["another", "you said: another"]);
    let (id, copy) = (session.id().to_owned(), fork.id().to_owned());
    agent.shutdown().await;

    let agent = place.agent().await;
    let listed = agent.list_sessions(&SessionQuery::newest(10)).await.unwrap();
    let parents: Vec<Option<&str>> = listed.iter().map(|session| session.parent.as_deref()).collect();
    assert!(parents.contains(&Some(id.as_str())) && parents.contains(&None), "{parents:?}");
    let (fork, _) = agent.load_session(&copy, place.setup(), Origin::Loaded).await.unwrap();
    assert_eq!(texts(&fork.messages())[2..], ["one way", "you said: one way"]);
    agent.shutdown().await;
    check_invariants(&place.database());
}

#[tokio::test]
async fn a_fork_of_a_run_under_way_has_what_was_there() {
    let place = Place::new();
    let agent = place.agent().await;
    let session = agent.new_session(place.setup()).await.unwrap();
    agent.prompt(&session, Message::user("hello")).await;
    let running = tokio::spawn({
        let (agent, session) = (agent.clone(), session.clone());
        async move { agent.prompt(&session, Message::user("take your time")).await }
    });
    let asked = |archive: &Archive| {
        let record = archive.record(session.id()).unwrap().unwrap();
        record.events.iter().filter(|event| matches!(event.kind, EventKind::User { .. })).count()
    };
    while asked(&place.archive()) < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let fork = agent.fork_session(session.id(), place.setup()).await.unwrap();
    assert_eq!(texts(&fork.messages())[..3], ["hello", "you said: hello", "take your time"]);
    let outcome = agent.prompt(&fork, Message::user("go on")).await;
    assert_eq!(outcome.stop_reason, StopReason::EndTurn, "{outcome:?}");
    assert!(!running.is_finished(), "the original is still at work");
    session.cancel();
    running.await.unwrap();
    assert!(agent.fork_session("nobody", place.setup()).await.is_err());
    agent.shutdown().await;
    check_invariants(&place.database());
}

#[tokio::test]
async fn agents_of_two_processes_share_sessions_on_a_server() {
    let Some(server) = common::server() else { return };
    let place = Place::new();
    let url = server.database();
    let options = format!("url = \"{url}\"");
    let first = place.agent_with(&options, |_| {}).await;
    let session = first.new_session(place.setup()).await.unwrap();
    let id = session.id().to_owned();
    let outcome = first.prompt(&session, Message::user("hello")).await;
    assert_eq!(outcome.stop_reason, StopReason::EndTurn, "{outcome:?}");
    assert!(!place.home().exists(), "nothing is kept on this machine");

    let second = place.agent_with(&options, |_| {}).await;
    let refused = second.load_session(&id, place.setup(), Origin::Loaded).await.unwrap_err().to_string();
    assert!(refused.contains("is open in another Crow (process "), "{refused}");
    assert_eq!(second.list_sessions(&SessionQuery::newest(10)).await.unwrap().len(), 1);
    first.shutdown().await;

    let (session, _) = second.load_session(&id, place.setup(), Origin::Loaded).await.unwrap();
    assert_eq!(texts(&session.messages()), ["hello", "you said: hello"]);
    second.prompt(&session, Message::user("again")).await;
    assert_eq!(texts(&session.messages()).len(), 4);
    // What a tool or a model repeats of the password does not get into the store.
    second.prompt(&session, Message::user(format!("the url is {url}"))).await;
    second.shutdown().await;
    let events = server.query(&url, "SELECT string_agg(data, '') FROM crow.events");
    assert!(events.contains("the url is") && !events.contains(server.password()), "{events}");
    common::check_server(server, &url);
}

#[tokio::test]
async fn a_server_that_is_not_there_refuses_the_prompt_and_says_why() {
    let place = Place::new();
    let agent = place.agent_with("url = \"postgresql://crow:planted-password@127.0.0.1:1/crow\"", |_| {}).await;
    let screen = Arc::new(Screen::default());
    agent.connect(screen.clone());
    let session = agent.new_session(place.setup()).await.unwrap();
    let outcome = agent.prompt(&session, Message::user("hello")).await;
    assert_eq!(outcome.stop_reason, StopReason::Refusal);
    let told = screen.text();
    assert!(told.contains("the session store postgresql://127.0.0.1:1/crow cannot be reached"), "{told}");
    assert!(!told.contains("planted"), "{told}");
    agent.shutdown().await;
}

#[tokio::test]
async fn the_same_agent_may_load_what_it_has_open() {
    let place = Place::new();
    let agent = place.agent().await;
    let session = agent.new_session(place.setup()).await.unwrap();
    agent.prompt(&session, Message::user("hello")).await;
    let (again, _) = agent.load_session(session.id(), place.setup(), Origin::Loaded).await.unwrap();
    assert_eq!(texts(&again.messages()), ["hello", "you said: hello"]);
    agent.prompt(&again, Message::user("more")).await;
    agent.shutdown().await;
    check_invariants(&place.database());
}

#[tokio::test]
async fn what_is_loaded_while_it_runs_ends_first() {
    let place = Place::new();
    let agent = place.agent().await;
    let screen = Arc::new(Screen::default());
    agent.connect(screen.clone());
    let session = agent.new_session(place.setup()).await.unwrap();
    let running = tokio::spawn({
        let (agent, session) = (agent.clone(), session.clone());
        async move { agent.prompt(&session, Message::user("take your time")).await }
    });
    // Long enough for a partial answer to be on disk: the model says something and then nothing.
    let has_partial = || {
        let archive = Archive::open(&place.database().into(), &Options::default()).ok().flatten();
        let record = archive.and_then(|archive| archive.record(session.id()).ok().flatten());
        record.is_some_and(|record| record.events.iter().any(|event| matches!(event.kind, EventKind::Cancelled { .. })))
    };
    for _ in 0..1000 {
        if has_partial() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(has_partial());
    let (again, _) = agent.load_session(session.id(), place.setup(), Origin::Loaded).await.unwrap();
    assert_eq!(running.await.unwrap().stop_reason, StopReason::Cancelled);
    assert_eq!(texts(&again.messages()), ["take your time", "you said: "]);
    let outcome = agent.prompt(&again, Message::user("hello")).await;
    assert_eq!(outcome.stop_reason, StopReason::EndTurn, "{outcome:?}");
    assert_eq!(screen.notices(), [] as [String; 0]);
    agent.shutdown().await;
    check_invariants(&place.database());
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_refuses_the_prompt_and_says_why() {
    let place = Place::new();
    std::fs::create_dir_all(place.database()).unwrap();
    let agent = place.agent().await;
    let screen = Arc::new(Screen::default());
    agent.connect(screen.clone());
    let session = agent.new_session(place.setup()).await.unwrap();
    let outcome = agent.prompt(&session, Message::user("hello")).await;
    assert_eq!(outcome.stop_reason, StopReason::Refusal);
    assert_eq!(screen.text().matches("crow.db cannot be opened for writing").count(), 1, "{}", screen.text());
    assert!(session.messages().is_empty());

    // Once there is room for the store, the same session works.
    std::fs::remove_dir(place.database()).unwrap();
    let outcome = agent.prompt(&session, Message::user("hello")).await;
    assert_eq!(outcome.stop_reason, StopReason::EndTurn, "{outcome:?}");
    let id = session.id().to_owned();
    agent.shutdown().await;
    let agent = place.agent().await;
    let (session, _) = agent.load_session(&id, place.setup(), Origin::Loaded).await.unwrap();
    assert_eq!(texts(&session.messages()), ["hello", "you said: hello"]);
    agent.shutdown().await;
}

#[tokio::test]
async fn a_store_that_fails_in_the_middle_of_a_run_is_told_once_and_the_run_goes_on() {
    let place = Place::new();
    let locks: Arc<Mutex<Option<Connection>>> = Arc::default();
    let agent = place
        .agent_with("busy_timeout_ms = 1", {
            let (database, locks) = (place.database(), locks.clone());
            move |_| {
                let connection = Connection::open(&database).unwrap();
                connection.execute_batch("BEGIN EXCLUSIVE").unwrap();
                *locks.lock().unwrap() = Some(connection);
            }
        })
        .await;
    let screen = Arc::new(Screen::default());
    agent.connect(screen.clone());
    let session = agent.new_session(place.setup()).await.unwrap();
    let outcome = agent.prompt(&session, Message::user("hello")).await;
    assert_eq!(outcome.stop_reason, StopReason::EndTurn, "{outcome:?}");
    assert!(outcome.error.is_none());
    let notices: Vec<String> =
        screen.notices().into_iter().filter(|notice| notice.contains("is locked by another program")).collect();
    assert_eq!(notices.len(), 1, "{:?}", screen.notices());

    *locks.lock().unwrap() = None;
    let id = session.id().to_owned();
    agent.shutdown().await;
    let events = place.archive().record(&id).unwrap().unwrap().events;
    assert!(events.iter().any(|event| matches!(event.kind, EventKind::Assistant { .. })), "{events:?}");
    check_invariants(&place.database());
}

#[tokio::test]
async fn a_wrong_configuration_refuses_the_start() {
    let place = Place::new();
    let config = Config::from_toml(place.home(), "[plugins.persistence]\nretention_day = 3\n").unwrap();
    let plugins = PluginManager::new();
    plugins.register(crow_plugin_persistence::plugin()).unwrap();
    let error = Agent::new(config, plugins).await.unwrap_err().to_string();
    assert!(error.contains("config.toml:2: ") && error.contains("did you mean `retention_days`?"), "{error}");
    assert!(!place.home().exists());
}

#[tokio::test]
async fn nothing_is_on_disk_before_the_agent_starts() {
    let place = Place::new();
    let agent = place.agent_with("path = \"elsewhere/sessions.db\"", |_| {}).await;
    assert!(!place.home().exists());
    let session = agent.new_session(place.setup()).await.unwrap();
    agent.prompt(&session, Message::user("hello")).await;
    assert!(place.home().join("elsewhere/sessions.db").exists());
    assert!(!place.database().exists());
    // Other plugins find the store.
    let store = agent.get::<Store>().unwrap();
    assert_eq!(store.list(SessionQuery::newest(10)).await.unwrap().len(), 1);
    agent.shutdown().await;
    assert!(matches!(store.flush().await, Err(StoreError::Closed)));
}
