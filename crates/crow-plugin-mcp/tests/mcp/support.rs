//! An agent with the plugin, a model that makes the calls it is told to, and a client that keeps what it is shown.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crow_acp::*;
use serde_json::Value;

/// Long enough for any machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

type Calls = Arc<Mutex<VecDeque<(String, Value)>>>;

/// The model: makes one call per run and then says that it is done. Permission is given; what for is kept, and so is
/// what each request offered.
#[derive(Clone, Default)]
pub(crate) struct Script {
    calls: Calls,
    pub(crate) offered: Arc<Mutex<Vec<Vec<String>>>>,
    pub(crate) prompts: Arc<Mutex<Vec<String>>>,
    pub(crate) results: Arc<Mutex<Vec<ToolOutcome>>>,
}

struct Model(Script);

impl Provider for Model {
    fn stream<'a>(
        &'a self,
        request: &'a Request,
        deltas: &'a mut Deltas<'_>,
    ) -> BoxFuture<'a, Result<Completion, ProviderError>> {
        let names = request.tools.iter().map(|tool| tool.name.clone()).collect();
        self.0.offered.lock().unwrap().push(names);
        let said = request.messages.iter().rev().find(|message| message.role == Role::User);
        self.0.prompts.lock().unwrap().extend(said.map(Message::text));
        let next = self.0.calls.lock().unwrap().pop_front();
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
        vec![ProviderDescriptor::new("test", vec![model], Model(self.clone()))]
    }

    fn request_permission(&self) -> Permission {
        Permission::Allow
    }

    fn after_tool_call(&self, outcome: &mut ToolOutcome) {
        self.results.lock().unwrap().push(outcome.clone());
    }
}

/// A client that keeps what it is shown.
#[derive(Debug, Default)]
pub(crate) struct Viewer(pub(crate) Mutex<Vec<Update>>);

impl Client for Viewer {
    fn info(&self) -> ClientInfo {
        ClientInfo::new("test", "1")
    }

    fn send(&self, _session_id: &str, update: Update) {
        self.0.lock().unwrap().push(update);
    }

    fn ask<'a>(&'a self, _session: &'a Session, _question: Question) -> BoxFuture<'a, Result<String, AskError>> {
        Box::pin(async { Err(AskError::NoClient) })
    }
}

/// An agent's home, a project, an agent.
pub(crate) struct Stage {
    pub(crate) agent: Agent,
    pub(crate) script: Script,
    pub(crate) viewer: Arc<Viewer>,
    pub(crate) base: PathBuf,
    pub(crate) cwd: PathBuf,
    _directory: tempfile::TempDir,
}

impl Stage {
    pub(crate) async fn new(config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().canonicalize().unwrap();
        let cwd = base.join("project");
        std::fs::create_dir(&cwd).unwrap();
        let script = Script::default();
        let plugins = PluginManager::new();
        plugins.register(Dispatch).unwrap();
        plugins.register(script.clone()).unwrap();
        plugins.register(crow_plugin_mcp::plugin()).unwrap();
        let config = Config::from_toml(base.join("home"), config).unwrap();
        let agent = Agent::new(config, plugins).await.unwrap();
        let viewer = Arc::new(Viewer::default());
        agent.connect(viewer.clone());
        Self { agent, script, viewer, base, cwd, _directory: directory }
    }

    /// A session with these servers.
    pub(crate) async fn session(&self, servers: Vec<McpServer>) -> Session {
        let mut setup = NewSession::new(&self.cwd);
        setup.mcp_servers = servers;
        let session = self.agent.new_session(setup).await.unwrap();
        session.set_model(&ModelId::new("test", "model")).await.unwrap();
        session
    }

    /// Sends a prompt.
    pub(crate) async fn prompt(&self, session: &Session, text: &str) -> RunOutcome {
        let run = self.agent.prompt(session, Message::user(text));
        tokio::time::timeout(PATIENCE, run).await.expect("a run does not hang")
    }

    /// Lets the model make one call; gives its result.
    pub(crate) async fn call(&self, session: &Session, name: &str, arguments: Value) -> ToolOutcome {
        let run = self.start(session, name, arguments);
        let run = tokio::time::timeout(PATIENCE, run).await.expect("a call does not hang").unwrap();
        assert!(run.error.is_none(), "{:?}", run.error);
        self.script.results.lock().unwrap().pop().expect("the call has a result")
    }

    /// Starts a call and does not wait for it.
    pub(crate) fn start(&self, session: &Session, name: &str, arguments: Value) -> tokio::task::JoinHandle<RunOutcome> {
        self.script.calls.lock().unwrap().push_back((name.into(), arguments));
        let (agent, session) = (self.agent.clone(), session.clone());
        tokio::spawn(async move { agent.prompt(&session, Message::user("go")).await })
    }

    /// What `/mcp ARGUMENTS` says.
    pub(crate) async fn mcp(&self, session: &Session, arguments: &str) -> String {
        self.viewer.0.lock().unwrap().clear();
        let outcome = self.prompt(session, format!("/mcp {arguments}").trim()).await;
        let said: String = self.said();
        format!("{said}{}", outcome.error.map(|error| error.message).unwrap_or_default())
    }

    /// What the agent said so far.
    pub(crate) fn said(&self) -> String {
        let updates = self.viewer.0.lock().unwrap();
        let texts = updates.iter().filter_map(|update| match update {
            Update::AgentMessage { text, .. } => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    /// The notices so far.
    pub(crate) fn notices(&self) -> Vec<String> {
        let updates = self.viewer.0.lock().unwrap();
        let titles = updates.iter().filter_map(|update| match update {
            Update::Notice(notice) => Some(notice.title.clone()),
            _ => None,
        });
        titles.collect()
    }

    /// The titles and texts that tool calls showed so far.
    pub(crate) fn shown(&self) -> Vec<String> {
        let updates = self.viewer.0.lock().unwrap();
        let mut shown = Vec::new();
        for update in updates.iter() {
            if let Update::ToolCall(call) = update {
                shown.extend(call.title.clone());
                for content in call.content.iter().flatten() {
                    if let ToolContent::Text { text } = content {
                        shown.push(text.clone());
                    }
                }
            }
        }
        shown
    }

    /// The file that an odd server writes to.
    pub(crate) fn log(&self) -> PathBuf {
        self.base.join("log")
    }

    /// What the odd servers wrote.
    pub(crate) fn logged(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// An odd server of this kind.
    pub(crate) fn odd(&self, mode: &str) -> McpServer {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mcp/odd_server.py");
        let args = [script.display().to_string(), mode.to_owned(), self.log().display().to_string()];
        program(mode, "python3", args)
    }

    /// The same in the configuration's form.
    pub(crate) fn odd_section(name: &str, mode: &str) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mcp/odd_server.py");
        format!(
            "[plugins.mcp.servers.{name}]\ncommand = \"python3\"\nargs = [{:?}, {mode:?}]\n",
            script.display().to_string()
        )
    }
}

/// A server that is a program.
pub(crate) fn program<S: Into<String>>(
    name: &str,
    command: impl Into<PathBuf>,
    args: impl IntoIterator<Item = S>,
) -> McpServer {
    let args = args.into_iter().map(Into::into).collect();
    McpServer::new(name, McpTransport::Stdio { command: command.into(), args, env: BTreeMap::new() })
}

/// The names of the tools that the session has of servers.
pub(crate) fn tools(session: &Session) -> Vec<String> {
    session.tools().iter().map(|tool| tool.name.clone()).collect()
}

/// Waits for something to become true.
pub(crate) async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(tokio::time::Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether a process is there.
pub(crate) fn is_alive(id: &str) -> bool {
    // A zombie that nobody has waited for yet has left, too.
    std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}
