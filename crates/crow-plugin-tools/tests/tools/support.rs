//! An agent with the plugin, a model that makes the calls it is told to, and a client that keeps what it is shown.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crow_acp::*;
use serde_json::Value;

/// Long enough for any machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) type Calls = Arc<Mutex<VecDeque<(String, Value)>>>;

/// The model: makes one call per run and then says that it is done. Permission is given; what for is kept.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) calls: Calls,
    pub(crate) asked: Arc<Mutex<Vec<ToolPreview>>>,
}

struct Model(Calls);

impl Provider for Model {
    fn stream<'a>(
        &'a self,
        _request: &'a Request,
        deltas: &'a mut Deltas<'_>,
    ) -> BoxFuture<'a, Result<Completion, ProviderError>> {
        let next = self.0.lock().unwrap().pop_front();
        Box::pin(async move {
            let (delta, finish) = match next {
                Some((name, arguments)) => {
                    (Delta::tool_call(0, Some("call".into()), Some(name), arguments.to_string()), Finish::ToolCalls)
                }
                None => (Delta::text("done"), Finish::Stop),
            };
            deltas
                .push(delta)
                .await
                .map_err(|error| ProviderError::new(ProviderErrorKind::Protocol, error.to_string()))?;
            Ok(Completion::new(finish, None))
        })
    }
}

#[hookimpls]
impl CrowHooks for Script {
    fn register_providers(&self) -> Vec<ProviderDescriptor> {
        let model = crow_acp::Model::new(ModelId::new("test", "model"));
        vec![ProviderDescriptor::new("test", vec![model], Model(Arc::clone(&self.calls)))]
    }

    fn request_permission(&self, session: &Session, call: &ToolCall) -> Permission {
        self.asked.lock().unwrap().extend(session.preview(&call.id));
        Permission::Allow
    }
}

/// Keeps the results of calls.
#[derive(Clone, Default)]
struct Results(Arc<Mutex<Vec<ToolOutcome>>>);

#[hookimpls]
impl CrowHooks for Results {
    fn after_tool_call(&self, outcome: &mut ToolOutcome) {
        self.0.lock().unwrap().push(outcome.clone());
    }
}

/// An editor: it has some files open, and keeps what it is shown.
#[derive(Debug, Default)]
pub(crate) struct Editor {
    pub(crate) capabilities: ClientCapabilities,
    /// Unsaved texts by path. What is written goes here and, unless the editor is lazy, to disk.
    pub(crate) open: Mutex<HashMap<PathBuf, String>>,
    pub(crate) lazy: bool,
    pub(crate) silent: bool,
    pub(crate) written: Mutex<Vec<PathBuf>>,
    pub(crate) updates: Mutex<Vec<Update>>,
    /// The commands it was asked to run, and how they are to end.
    pub(crate) commands: Mutex<Vec<ClientCommand>>,
    pub(crate) ends: Mutex<VecDeque<CommandEnd>>,
}

impl Client for Editor {
    fn info(&self) -> ClientInfo {
        let mut info = ClientInfo::new("test", "1");
        info.capabilities = self.capabilities;
        info
    }

    fn send(&self, _session_id: &str, update: Update) {
        self.updates.lock().unwrap().push(update);
    }

    fn ask<'a>(&'a self, _session: &'a Session, _question: Question) -> BoxFuture<'a, Result<String, AskError>> {
        Box::pin(async { Err(AskError::NoClient) })
    }

    fn run_command<'a>(
        &'a self,
        _session: &'a Session,
        command: ClientCommand,
    ) -> BoxFuture<'a, Result<CommandEnd, ClientError>> {
        assert!(self.capabilities.terminals, "not offered");
        self.commands.lock().unwrap().push(command);
        let end = self.ends.lock().unwrap().pop_front();
        Box::pin(async move { end.ok_or(ClientError::Gone) })
    }

    fn read_text_file<'a>(
        &'a self,
        _session: &'a Session,
        path: &'a Path,
    ) -> BoxFuture<'a, Result<String, ClientError>> {
        assert!(self.capabilities.read_files, "not offered");
        Box::pin(async move {
            if self.silent {
                std::future::pending::<()>().await;
            }
            let open = self.open.lock().unwrap().get(path).cloned();
            open.or_else(|| std::fs::read_to_string(path).ok())
                .ok_or_else(|| ClientError::Failed("no such file".into()))
        })
    }

    fn write_text_file<'a>(
        &'a self,
        _session: &'a Session,
        path: &'a Path,
        text: &'a str,
    ) -> BoxFuture<'a, Result<(), ClientError>> {
        assert!(self.capabilities.write_files, "not offered");
        Box::pin(async move {
            if path.ends_with("refused") {
                return Err(ClientError::Failed("read-only buffer".into()));
            }
            self.written.lock().unwrap().push(path.to_owned());
            self.open.lock().unwrap().insert(path.to_owned(), text.to_owned());
            if !self.lazy {
                std::fs::write(path, text).map_err(|error| ClientError::Failed(error.to_string()))?;
            }
            Ok(())
        })
    }
}

/// A directory with an agent's home and a project in it.
pub(crate) struct Fixture {
    pub(crate) agent: Agent,
    pub(crate) session: Session,
    pub(crate) editor: Arc<Editor>,
    pub(crate) base: PathBuf,
    pub(crate) cwd: PathBuf,
    calls: Calls,
    asked: Arc<Mutex<Vec<ToolPreview>>>,
    results: Results,
    _directory: tempfile::TempDir,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with("", Editor::default()).await
    }

    pub(crate) async fn configured(section: &str) -> Self {
        Self::with(section, Editor::default()).await
    }

    /// `section` is what stands in `[plugins.tools]`.
    pub(crate) async fn with(section: &str, editor: Editor) -> Self {
        Self::build(&format!("[plugins.tools]\n{section}"), editor).await
    }

    pub(crate) async fn build(config: &str, editor: Editor) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().canonicalize().unwrap();
        let cwd = base.join("project");
        std::fs::create_dir(&cwd).unwrap();
        let (calls, asked, results) = (Calls::default(), Arc::default(), Results::default());
        let plugins = PluginManager::new();
        plugins.register(Dispatch).unwrap();
        plugins.register(Script { calls: Arc::clone(&calls), asked: Arc::clone(&asked) }).unwrap();
        plugins.register(results.clone()).unwrap();
        plugins.register(crow_plugin_tools::plugin()).unwrap();
        let config = Config::from_toml(base.join("home"), config).unwrap();
        let agent = Agent::new(config, plugins).await.unwrap();
        let editor = Arc::new(editor);
        agent.connect(editor.clone());
        let session = agent.new_session(NewSession::new(&cwd)).await.unwrap();
        session.set_model(&ModelId::new("test", "model")).await.unwrap();
        Self { agent, session, editor, base, cwd, calls, asked, results, _directory: directory }
    }

    /// Puts a file into the project.
    pub(crate) fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.cwd.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, contents).unwrap();
        path
    }

    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.cwd.join(name)).unwrap()
    }

    /// Lets the model make one call; gives its result.
    pub(crate) async fn call(&self, name: &str, arguments: Value) -> ToolOutcome {
        self.calls.lock().unwrap().push_back((name.into(), arguments));
        let run = self.agent.prompt(&self.session, Message::user("go"));
        let run = tokio::time::timeout(PATIENCE, run).await.expect("a call does not hang");
        assert!(run.error.is_none(), "{:?}", run.error);
        self.results.0.lock().unwrap().pop().expect("the call has a result")
    }

    /// The text of a call that works.
    pub(crate) async fn ok(&self, name: &str, arguments: Value) -> String {
        let outcome = self.call(name, arguments).await;
        assert_eq!(outcome.status, ToolStatus::Completed, "{}", outcome.text);
        outcome.text
    }

    /// The text of a call that fails.
    pub(crate) async fn err(&self, name: &str, arguments: Value) -> String {
        let outcome = self.call(name, arguments).await;
        assert_eq!(outcome.status, ToolStatus::Failed, "{}", outcome.text);
        outcome.text
    }

    /// What the user was shown of the last call before it ran.
    pub(crate) fn preview(&self) -> ToolPreview {
        self.asked.lock().unwrap().last().cloned().expect("a call was made")
    }

    /// Starts a call and does not wait for it.
    pub(crate) fn start(&self, name: &str, arguments: Value) -> tokio::task::JoinHandle<RunOutcome> {
        self.calls.lock().unwrap().push_back((name.into(), arguments));
        let (agent, session) = (self.agent.clone(), self.session.clone());
        tokio::spawn(async move { agent.prompt(&session, Message::user("go")).await })
    }

    /// What the last finished call gave.
    pub(crate) fn last_result(&self) -> Option<ToolOutcome> {
        self.results.0.lock().unwrap().last().cloned()
    }

    /// All live output of terminals so far.
    pub(crate) fn live(&self) -> String {
        let updates = self.editor.updates.lock().unwrap();
        let data = updates.iter().filter_map(|update| match update {
            Update::TerminalOutput { data, .. } => Some(data.as_str()),
            _ => None,
        });
        data.collect()
    }
}

/// Waits for something to become true.
pub(crate) async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(tokio::time::Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The diff in what a user is shown.
pub(crate) fn diff(content: &[ToolContent]) -> Option<(PathBuf, Option<String>, String)> {
    content.iter().find_map(|content| match content {
        ToolContent::Diff { path, old_text, new_text } => Some((path.clone(), old_text.clone(), new_text.clone())),
        _ => None,
    })
}
