//! The plugin in a real agent, with a provider that fails as told.
#![allow(missing_docs)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crow_acp::*;

/// What comes back, request by request; when there is no more, an answer.
type Script = Arc<Mutex<VecDeque<ProviderError>>>;

struct Model {
    failures: Script,
    asked: Arc<Mutex<Vec<Instant>>>,
    /// What it says before it fails.
    before: &'static str,
}

impl Provider for Model {
    fn stream<'a>(
        &'a self,
        _request: &'a Request,
        deltas: &'a mut Deltas<'_>,
    ) -> BoxFuture<'a, Result<Completion, ProviderError>> {
        self.asked.lock().unwrap().push(Instant::now());
        let failure = self.failures.lock().unwrap().pop_front();
        Box::pin(async move {
            if !self.before.is_empty() {
                deltas.push(Delta::text(self.before)).await.unwrap();
            }
            if let Some(error) = failure {
                return Err(error);
            }
            deltas.push(Delta::text("here")).await.unwrap();
            Ok(Completion::new(Finish::Stop, None))
        })
    }
}

struct World {
    failures: Script,
    asked: Arc<Mutex<Vec<Instant>>>,
    before: &'static str,
}

#[hookimpls]
impl CrowHooks for World {
    fn register_providers(&self) -> Vec<ProviderDescriptor> {
        let model = Model { failures: Arc::clone(&self.failures), asked: Arc::clone(&self.asked), before: self.before };
        vec![ProviderDescriptor::new("test", vec![], model)]
    }
}

/// Hears what the user is told.
#[derive(Debug, Default)]
struct User(Mutex<Vec<String>>);

impl Client for User {
    fn info(&self) -> ClientInfo {
        ClientInfo::new("test", "1")
    }

    fn send(&self, _session_id: &str, update: Update) {
        if let Update::Notice(notice) = update {
            self.0.lock().unwrap().push(notice.title);
        }
    }

    fn ask<'a>(&'a self, _: &'a Session, _: Question) -> BoxFuture<'a, Result<String, AskError>> {
        Box::pin(async { Err(AskError::Cancelled) })
    }
}

struct Ran {
    outcome: RunOutcome,
    asked: Vec<Instant>,
    told: Vec<String>,
    said: String,
}

const QUICK: &str = "model = \"test/m\"\n[plugins.retry]\nbase_delay = 0.01\n";

async fn run(config: &str, failures: Vec<ProviderError>, before: &'static str, more: Option<Shortener>) -> Ran {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().canonicalize().unwrap();
    let asked: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let plugins = PluginManager::new();
    plugins.register(Dispatch).unwrap();
    plugins.register(crow_plugin_retry::plugin()).unwrap();
    let failures = Arc::new(Mutex::new(VecDeque::from(failures)));
    plugins.register(World { failures, asked: Arc::clone(&asked), before }).unwrap();
    if let Some(more) = more {
        plugins.register(more).unwrap();
    }
    let config = Config::from_toml(&home, config).unwrap();
    let agent = Agent::new(config, plugins).await.unwrap();
    let user = Arc::new(User::default());
    agent.connect(user.clone());
    let session = agent.new_session(NewSession::new(&home)).await.unwrap();
    let outcome = agent.prompt(&session, Message::user("hi")).await;
    let said = session.messages().last().map(Message::text).unwrap_or_default();
    let asked = asked.lock().unwrap().clone();
    let told = user.0.lock().unwrap().clone();
    Ran { outcome, asked, told, said }
}

fn error(kind: ProviderErrorKind, status: u16) -> ProviderError {
    ProviderError::new(kind, format!("it answered {status}")).with_status(status)
}

#[tokio::test]
async fn what_passes_is_asked_again_and_the_user_is_told() {
    let failures = vec![error(ProviderErrorKind::Server, 500), error(ProviderErrorKind::Overloaded, 529)];
    let ran = run(QUICK, failures, "", None).await;
    assert!(ran.outcome.error.is_none(), "{:?}", ran.outcome.error);
    assert_eq!((ran.asked.len(), ran.said.as_str()), (3, "here"));
    let told: Vec<_> = ran.told.iter().map(|title| title.split(" in ").next().unwrap()).collect();
    assert_eq!(told, ["retrying 2/5", "retrying 3/5"]);
    assert!(ran.told[1].ends_with(" ms: it answered 529"), "{:?}", ran.told);
}

#[tokio::test]
async fn the_provider_says_when() {
    let wait = Duration::from_millis(300);
    let failure = error(ProviderErrorKind::RateLimit, 429).with_retry_after(Some(wait));
    let ran = run(QUICK, vec![failure], "", None).await;
    assert_eq!(ran.asked.len(), 2);
    assert!(ran.asked[1] - ran.asked[0] >= wait);
    assert!(ran.told[0].starts_with("retrying 2/5 in 30"), "{:?}", ran.told);
}

#[tokio::test]
async fn after_so_many_the_error_stands() {
    let failures = vec![error(ProviderErrorKind::Server, 500); 9];
    let ran = run(&format!("{QUICK}attempts = 3\n"), failures, "", None).await;
    assert_eq!(ran.asked.len(), 3);
    assert_eq!(ran.outcome.error.map(|error| error.message), Some("it answered 500".into()));
}

#[tokio::test]
async fn the_user_reads_that_it_is_given_up() {
    let failures = vec![error(ProviderErrorKind::Server, 500); 9];
    let ran = run(&format!("{QUICK}attempts = 2\n"), failures, "", None).await;
    assert!(ran.told.iter().any(|title| title == "gave up after 2 requests"), "{:?}", ran.told);
    let hour = error(ProviderErrorKind::RateLimit, 429).with_retry_after(Some(Duration::from_hours(1)));
    let ran = run(QUICK, vec![hour], "", None).await;
    assert_eq!(ran.asked.len(), 1);
    assert!(ran.told.iter().any(|title| title.contains("wants 3600 s")), "{:?}", ran.told);
}

#[tokio::test]
async fn a_cancel_ends_the_waiting_at_once() {
    let home = tempfile::tempdir().unwrap();
    let asked: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let plugins = PluginManager::new();
    plugins.register(Dispatch).unwrap();
    plugins.register(crow_plugin_retry::plugin()).unwrap();
    let later = error(ProviderErrorKind::RateLimit, 429).with_retry_after(Some(Duration::from_mins(2)));
    let failures = Arc::new(Mutex::new(VecDeque::from([later])));
    plugins.register(World { failures, asked: Arc::clone(&asked), before: "" }).unwrap();
    let agent = Agent::new(Config::from_toml(home.path(), "model = \"test/m\"").unwrap(), plugins).await.unwrap();
    let user = Arc::new(User::default());
    agent.connect(user.clone());
    let session = agent.new_session(NewSession::new(home.path())).await.unwrap();
    let cancel = async {
        // The notice is out: it waits.
        while !user.0.lock().unwrap().iter().any(|title| title.starts_with("retrying 2/5 in 12")) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        session.cancel();
    };
    let began = Instant::now();
    let (outcome, ()) = tokio::join!(agent.prompt(&session, Message::user("hi")), cancel);
    assert_eq!(outcome.stop_reason, StopReason::Cancelled);
    assert!(began.elapsed() < Duration::from_mins(1), "it did not wait");
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn the_waiting_of_all_attempts_counts() {
    let failure = error(ProviderErrorKind::RateLimit, 429).with_retry_after(Some(Duration::from_millis(100)));
    let ran = run(&format!("{QUICK}max_total = 0.25\n"), vec![failure; 9], "", None).await;
    assert_eq!(ran.asked.len(), 3);
}

#[tokio::test]
async fn what_does_not_pass_is_not() {
    for (kind, status) in [
        (ProviderErrorKind::BadRequest, 400),
        (ProviderErrorKind::Authentication, 401),
        (ProviderErrorKind::Payment, 402),
        (ProviderErrorKind::Authentication, 403),
        (ProviderErrorKind::NotFound, 404),
    ] {
        let ran = run(QUICK, vec![error(kind, status)], "", None).await;
        assert_eq!(ran.asked.len(), 1, "{status}");
        assert!(!ran.told.iter().any(|title| title.contains("retrying")), "{:?}", ran.told);
    }
}

#[tokio::test]
async fn never_after_a_fragment_was_shown() {
    let ran = run(QUICK, vec![error(ProviderErrorKind::Connection, 500)], "so far", None).await;
    assert_eq!(ran.asked.len(), 1);
    assert!(ran.outcome.error.is_some());
}

#[derive(Default)]
struct Shortener(Arc<Mutex<Vec<CompactTrigger>>>);

#[hookimpls]
impl CrowHooks for Shortener {
    fn compact(&self, plan: &CompactPlan) -> Compaction {
        self.0.lock().unwrap().push(plan.trigger.clone());
        Compaction::new(vec![Message::user("short")], "shorter now")
    }
}

#[tokio::test]
async fn what_is_too_long_is_shortened_if_somebody_can() {
    let failure = || vec![error(ProviderErrorKind::ContextOverflow, 400)];
    let ran = run(QUICK, failure(), "", None).await;
    assert_eq!(ran.asked.len(), 1);
    assert_eq!(ran.outcome.error.map(|error| error.message), Some("it answered 400".into()));

    let shortener = Shortener::default();
    let triggers = Arc::clone(&shortener.0);
    let ran = run(QUICK, failure(), "", Some(shortener)).await;
    assert!(ran.outcome.error.is_none(), "{:?}", ran.outcome.error);
    assert_eq!((ran.asked.len(), ran.said.as_str()), (2, "here"));
    assert_eq!(*triggers.lock().unwrap(), [CompactTrigger::Overflow]);
}

#[tokio::test]
async fn bad_configuration_refuses_the_start() {
    for (line, wanted) in [
        ("attempts = 0", "plugins.retry.attempts"),
        ("base_delay = -1", "plugins.retry.base_delay"),
        ("max_deley = 3", "did you mean `max_delay`?"),
    ] {
        let plugins = PluginManager::new();
        plugins.register(crow_plugin_retry::plugin()).unwrap();
        let config = Config::from_toml("/home/me/.crow", &format!("[plugins.retry]\n{line}\n")).unwrap();
        let error = Agent::new(config, plugins).await.unwrap_err().to_string();
        assert!(error.contains("config.toml:2: ") && error.contains(wanted), "{error}");
    }
}
