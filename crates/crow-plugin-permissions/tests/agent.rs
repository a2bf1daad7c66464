//! The plugin in a real agent: a scripted model calls a tool, a scripted user answers.
#![allow(missing_docs)]

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crow_acp::*;
use serde_json::{Value, json};

/// What the user does with a question.
#[derive(Debug, Clone)]
enum Answer {
    Choose(&'static str),
    Never,
    Fail(AskError),
}

#[derive(Debug, Default)]
struct User {
    answers: Mutex<VecDeque<Answer>>,
    questions: Mutex<Vec<Question>>,
    notices: Mutex<Vec<String>>,
    waiting: AtomicUsize,
}

/// Counts the questions that are open.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Client for User {
    fn info(&self) -> ClientInfo {
        ClientInfo::new("test", "1")
    }

    fn send(&self, _session_id: &str, update: Update) {
        if let Update::Notice(notice) = update {
            self.notices.lock().unwrap().push(notice.title);
        }
    }

    fn ask<'a>(&'a self, _session: &'a Session, question: Question) -> BoxFuture<'a, Result<String, AskError>> {
        self.questions.lock().unwrap().push(question);
        let answer = self.answers.lock().unwrap().pop_front().expect("no question was expected");
        Box::pin(async move {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            let _waiting = Waiting(&self.waiting);
            match answer {
                Answer::Choose(id) => Ok(id.into()),
                Answer::Never => std::future::pending().await,
                Answer::Fail(error) => Err(error),
            }
        })
    }
}

/// Calls a tool in each request that follows a user message, and stops in the others.
struct Model(Arc<Mutex<VecDeque<(&'static str, Value)>>>);

impl Provider for Model {
    fn stream<'a>(
        &'a self,
        request: &'a Request,
        deltas: &'a mut Deltas<'_>,
    ) -> BoxFuture<'a, Result<Completion, ProviderError>> {
        Box::pin(async move {
            let asked = request.messages.last().is_some_and(|message| message.role == Role::User);
            if !asked {
                return Ok(Completion::new(Finish::Stop, None));
            }
            let (tool, arguments) = self.0.lock().unwrap().pop_front().expect("a call for each prompt");
            let delta = Delta::tool_call(0, Some("c".into()), Some(tool.into()), arguments.to_string());
            deltas.push(delta).await.map_err(|error| ProviderError::new(ProviderErrorKind::Protocol, error.0))?;
            Ok(Completion::new(Finish::ToolCalls, None))
        })
    }
}

/// Shows the access that its arguments name, and counts how often it ran.
struct Tool(Arc<AtomicUsize>);

impl ToolHandler for Tool {
    fn preview<'a>(&'a self, _cx: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, ToolPreview> {
        Box::pin(async move {
            let preview = ToolPreview::new(format!("{} it", call.name));
            match serde_json::from_value(call.arguments["access"].clone()) {
                Ok(access) => preview.access(access),
                Err(_) => preview,
            }
        })
    }

    fn call<'a>(&'a self, _cx: &'a ToolContext, _call: &'a ToolCall) -> BoxFuture<'a, Result<ToolOutcome, ToolError>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(ToolOutcome::ok("it ran")) })
    }
}

#[derive(Default)]
struct World {
    calls: Arc<Mutex<VecDeque<(&'static str, Value)>>>,
    ran: Arc<AtomicUsize>,
}

#[hookimpls]
impl CrowHooks for World {
    fn register_providers(&self) -> Vec<ProviderDescriptor> {
        vec![ProviderDescriptor::new("test", vec![], Model(self.calls.clone()))]
    }

    fn register_tools(&self) -> Vec<ToolDescriptor> {
        let tool = |name| ToolDescriptor::new(name, "", json!({ "type": "object" }), Tool(self.ran.clone()));
        vec![tool("edit").kind(ToolKind::Edit), tool("terminal").kind(ToolKind::Execute), tool("look").read_only()]
    }
}

struct Fixture {
    agent: Agent,
    session: Session,
    user: Arc<User>,
    calls: Arc<Mutex<VecDeque<(&'static str, Value)>>>,
    ran: Arc<AtomicUsize>,
    home: PathBuf,
    cwd: PathBuf,
    _keep: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let keep = tempfile::tempdir().unwrap();
        let root = keep.path().canonicalize().unwrap();
        let (home, cwd) = (root.join("home"), root.join("ws"));
        std::fs::create_dir_all(&home).unwrap();
        std::fs::create_dir_all(cwd.join(".git")).unwrap();
        let world = World::default();
        let (calls, ran) = (world.calls.clone(), world.ran.clone());
        let plugins = PluginManager::new();
        plugins.register(Dispatch).unwrap();
        plugins.register(world).unwrap();
        plugins.register(crow_plugin_permissions::plugin()).unwrap();
        let config = Config::from_toml(&home, "model = 'test/x'").unwrap();
        let agent = Agent::new(config, plugins).await.unwrap();
        let user = Arc::new(User::default());
        agent.connect(user.clone());
        let session = agent.new_session(NewSession::new(&cwd)).await.unwrap();
        Self { agent, session, user, calls, ran, home, cwd, _keep: keep }
    }

    fn answer(&self, answer: Answer) {
        self.user.answers.lock().unwrap().push_back(answer);
    }

    /// One prompt in which the model calls `tool`; what the model reads as the result.
    async fn call(&self, tool: &'static str, access: impl Into<Option<Access>>) -> String {
        let access = access.into();
        self.calls.lock().unwrap().push_back((tool, json!({ "access": access })));
        self.agent.prompt(&self.session, Message::user("do it")).await;
        let messages = self.session.messages();
        let result = messages.iter().rev().find_map(|message| match message.parts() {
            [Part::ToolResult(result)] => Some(result.text.clone()),
            _ => None,
        });
        result.expect("every call has a result")
    }

    fn write(&self, path: &str) -> Access {
        Access::Write { path: self.cwd.join(path) }
    }

    fn questions(&self) -> usize {
        self.user.questions.lock().unwrap().len()
    }

    fn ran(&self) -> usize {
        self.ran.load(Ordering::SeqCst)
    }
}

fn execute(command: &str) -> Access {
    Access::Execute { command: command.into() }
}

#[tokio::test]
async fn the_modes_are_offered_and_ask_is_first() {
    let fixture = Fixture::new().await;
    let modes: Vec<String> = fixture.session.modes().into_iter().map(|mode| mode.id).collect();
    assert_eq!(modes, ["ask", "accept-edits", "plan", "full"]);
    assert_eq!(fixture.session.mode().as_deref(), Some("ask"));
}

#[tokio::test]
async fn what_the_user_says_is_done() {
    let fixture = Fixture::new().await;
    fixture.answer(Answer::Choose("allow_once"));
    assert_eq!(fixture.call("edit", fixture.write("a")).await, "it ran");
    fixture.answer(Answer::Choose("reject_once"));
    let refused = fixture.call("edit", fixture.write("a")).await;
    assert!(refused.contains("the user rejected this call"), "{refused}");
    assert_eq!((fixture.questions(), fixture.ran()), (2, 1));
    let question = fixture.user.questions.lock().unwrap()[0].clone();
    let kinds: Vec<ChoiceKind> = question.choices.iter().map(|choice| choice.kind).collect();
    assert_eq!(
        kinds,
        [ChoiceKind::AllowOnce, ChoiceKind::AllowAlways, ChoiceKind::RejectOnce, ChoiceKind::RejectAlways]
    );
    assert_eq!(question.title, "edit it");
}

#[tokio::test]
async fn reading_in_the_workspace_asks_nothing() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.call("look", Access::Read { path: fixture.cwd.join("a") }).await, "it ran");
    assert_eq!(fixture.call("look", None).await, "it ran");
    fixture.answer(Answer::Choose("reject_once"));
    fixture.call("look", Access::Read { path: "/etc/passwd".into() }).await;
    assert_eq!((fixture.questions(), fixture.ran()), (1, 2));
    let title = fixture.user.questions.lock().unwrap()[0].title.clone();
    assert_eq!(title, "look it (reads outside of the workspace: /etc/passwd)");
}

#[tokio::test]
async fn always_holds_in_other_sessions_of_the_project_and_no_others() {
    let fixture = Fixture::new().await;
    fixture.answer(Answer::Choose("allow_always"));
    assert_eq!(fixture.call("terminal", execute("cargo test")).await, "it ran");
    assert_eq!(fixture.call("terminal", execute("cargo test -p x")).await, "it ran");
    assert_eq!(fixture.questions(), 1);

    let inner = fixture.cwd.join("inner");
    std::fs::create_dir(&inner).unwrap();
    let elsewhere = fixture.home.join("other");
    std::fs::create_dir(&elsewhere).unwrap();
    for (cwd, asked) in [(&inner, 0), (&elsewhere, 1)] {
        let before = fixture.questions();
        let session = fixture.agent.new_session(NewSession::new(cwd)).await.unwrap();
        fixture.calls.lock().unwrap().push_back(("terminal", json!({ "access": execute("cargo test") })));
        fixture.answer(Answer::Choose("allow_once"));
        fixture.agent.prompt(&session, Message::user("do it")).await;
        assert_eq!(fixture.questions() - before, asked, "{}", cwd.display());
    }

    fixture.answer(Answer::Choose("reject_always"));
    fixture.user.answers.lock().unwrap().drain(..1);
    fixture.answer(Answer::Choose("reject_always"));
    fixture.call("terminal", execute("git push")).await;
    let before = fixture.questions();
    let refused = fixture.call("terminal", execute("git push")).await;
    assert!(refused.contains("ruled out `git push …`"), "{refused}");
    assert_eq!(fixture.questions(), before);
}

#[tokio::test]
async fn what_is_protected_is_asked_about_in_every_mode() {
    let fixture = Fixture::new().await;
    fixture.session.set_mode("full").await.unwrap();
    assert_eq!(fixture.call("terminal", execute("rm -rf x && ls")).await, "it ran");
    assert_eq!(fixture.questions(), 0);
    for access in [
        fixture.write(".git/hooks/pre-commit"),
        fixture.write(".crow/config.toml"),
        Access::Write { path: fixture.home.join("config.toml") },
        execute("cp evil .git/hooks/pre-commit"),
        Access::Network { url: "http://169.254.169.254/latest".into() },
    ] {
        let before = fixture.questions();
        fixture.answer(Answer::Choose("reject_once"));
        fixture.call("edit", access).await;
        assert_eq!(fixture.questions(), before + 1);
        let question = fixture.user.questions.lock().unwrap().last().cloned().unwrap();
        assert_eq!(question.choices.len(), 2, "nothing of it can be remembered: {question:?}");
    }
    assert_eq!(fixture.ran(), 1);
}

#[tokio::test]
async fn plan_mode_refuses_without_asking() {
    let fixture = Fixture::new().await;
    fixture.session.set_mode("plan").await.unwrap();
    let refused = fixture.call("edit", fixture.write("a")).await;
    assert!(refused.contains("plan mode"), "{refused}");
    assert_eq!((fixture.questions(), fixture.ran()), (0, 0));
}

async fn until(what: impl Fn() -> bool) {
    tokio::time::timeout(Duration::from_secs(10), async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("it happens in time");
}

#[tokio::test]
async fn a_change_of_mode_settles_the_open_question() {
    for (mode, expected) in [("full", "it ran"), ("accept-edits", "it ran"), ("plan", "plan mode")] {
        let fixture = Fixture::new().await;
        fixture.answer(Answer::Never);
        let (result, ()) = tokio::join!(fixture.call("edit", fixture.write("a")), async {
            until(|| fixture.user.waiting.load(Ordering::SeqCst) == 1).await;
            fixture.session.set_mode(mode).await.unwrap();
        });
        assert!(result.contains(expected), "{mode}: {result}");
        assert_eq!(fixture.user.waiting.load(Ordering::SeqCst), 0, "the question is withdrawn");
    }
}

#[tokio::test]
async fn cancelling_withdraws_the_question_and_a_cancelled_question_cancels() {
    let fixture = Fixture::new().await;
    fixture.answer(Answer::Never);
    fixture.calls.lock().unwrap().push_back(("edit", json!({ "access": fixture.write("a") })));
    let (outcome, ()) = tokio::join!(fixture.agent.prompt(&fixture.session, Message::user("do it")), async {
        until(|| fixture.user.waiting.load(Ordering::SeqCst) == 1).await;
        fixture.session.cancel();
    });
    assert_eq!(outcome.stop_reason, StopReason::Cancelled);
    assert_eq!(fixture.user.waiting.load(Ordering::SeqCst), 0);

    fixture.answer(Answer::Fail(AskError::Cancelled));
    fixture.calls.lock().unwrap().push_back(("edit", json!({ "access": fixture.write("a") })));
    let outcome = fixture.agent.prompt(&fixture.session, Message::user("do it")).await;
    assert_eq!(outcome.stop_reason, StopReason::Cancelled);
    assert_eq!(fixture.ran(), 0);
}

#[tokio::test]
async fn with_nobody_to_ask_the_mode_decides_and_says_so() {
    let fixture = Fixture::new().await;
    for _ in 0..2 {
        fixture.answer(Answer::Fail(AskError::NoClient));
        let refused = fixture.call("edit", fixture.write("a")).await;
        assert!(refused.contains("nobody is there to ask"), "{refused}");
    }
    let mut notices = fixture.user.notices.lock().unwrap().clone();
    // The scripted model has nothing to say after a tool.
    notices.retain(|notice| !notice.contains("empty answer"));
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(notices[0].contains("--permission accept-edits"), "{notices:?}");
    fixture.session.set_mode("accept-edits").await.unwrap();
    assert_eq!(fixture.call("edit", fixture.write("a")).await, "it ran");
}

#[tokio::test]
async fn gates_fail_closed() {
    let fixture = Fixture::new().await;
    fixture.answer(Answer::Fail(AskError::Failed("it broke".into())));
    let refused = fixture.call("edit", fixture.write("a")).await;
    assert!(refused.contains("it broke"), "{refused}");
    fixture.answer(Answer::Choose("no-such-choice"));
    fixture.call("edit", fixture.write("a")).await;

    std::fs::write(fixture.home.join("permissions.json"), "{").unwrap();
    fixture.session.set_mode("full").await.unwrap();
    let refused = fixture.call("edit", fixture.write("a")).await;
    assert!(refused.contains("permissions.json"), "{refused}");
    assert_eq!(fixture.ran(), 0);
    assert_eq!(fixture.call("look", None).await, "it ran");
}

#[tokio::test]
async fn an_answer_that_cannot_be_remembered_counts_once() {
    let fixture = Fixture::new().await;
    // The lock file cannot be made where a directory is.
    std::fs::create_dir(fixture.home.join("permissions.lock")).unwrap();
    for _ in 0..2 {
        fixture.answer(Answer::Choose("allow_always"));
        assert_eq!(fixture.call("edit", fixture.write("a")).await, "it ran");
    }
    assert_eq!(fixture.questions(), 2);
    let notices = fixture.user.notices.lock().unwrap().clone();
    assert!(notices[0].contains("could not be remembered"), "{notices:?}");
}

#[tokio::test]
async fn there_is_nothing_to_configure() {
    let plugins = PluginManager::new();
    plugins.register(crow_plugin_permissions::plugin()).unwrap();
    let config = Config::from_toml(Path::new("/h"), "[plugins.permissions]\nallow = 'all'").unwrap();
    let error = Agent::new(config, plugins).await.unwrap_err();
    assert!(error.message.contains("/h/config.toml:2: unknown key `allow`"), "{error}");
}
