//! An ACP client that speaks raw JSON-RPC lines to the real binary.

use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{Entry, PATIENCE, Sandbox, Schema, Transcript, Way, wait_for};

/// How the client answers permission requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Picks the option of kind `allow_once`.
    AllowOnce,
    /// Picks the option of kind `allow_always`.
    AllowAlways,
    /// Picks the option of kind `reject_once`.
    RejectOnce,
    /// Picks the option of kind `reject_always`.
    RejectAlways,
    /// Answers `cancelled`, as a client does when the user dismissed the question.
    Cancelled,
    /// Does not answer.
    Hold,
}

/// A JSON-RPC error the agent answered with.
#[derive(Debug, Clone, PartialEq)]
pub struct RpcError {
    /// The code, such as -32602.
    pub code: i64,
    /// The message.
    pub message: String,
    /// The data, `null` when there is none.
    pub data: Value,
}

/// What a request was answered with.
pub type RpcReply = Result<Value, RpcError>;

/// A request that was sent; [`Client::wait`] gets its answer.
#[derive(Debug, Clone)]
pub struct Pending {
    /// Its id.
    pub id: Value,
    /// Its method.
    pub method: String,
    /// The number of messages in the transcript when it was sent.
    pub from: usize,
    /// When it was sent.
    pub sent: Instant,
}

/// A prompt that was answered: what came between the prompt and its answer.
#[derive(Debug, Clone)]
pub struct Turn {
    /// The answer.
    pub reply: RpcReply,
    /// The session's updates.
    pub updates: Vec<Value>,
}

impl Turn {
    /// The stop reason; an error's message when there is none.
    pub fn stop_reason(&self) -> String {
        match &self.reply {
            Ok(result) => result["stopReason"].as_str().unwrap_or_default().to_owned(),
            Err(error) => format!("error {}: {}", error.code, error.message),
        }
    }

    /// The updates of one kind.
    pub fn of_kind(&self, kind: &str) -> Vec<&Value> {
        self.updates.iter().filter(|update| update["sessionUpdate"] == kind).collect()
    }

    /// The assistant's text, all chunks joined.
    pub fn text(&self) -> String {
        self.joined("agent_message_chunk")
    }

    /// The assistant's thoughts, all chunks joined.
    pub fn thoughts(&self) -> String {
        self.joined("agent_thought_chunk")
    }

    fn joined(&self, kind: &str) -> String {
        self.of_kind(kind).iter().filter_map(|update| update["content"]["text"].as_str()).collect()
    }

    /// The tool calls in order, each as its updates left it.
    pub fn tool_calls(&self) -> Vec<Value> {
        let mut order: Vec<String> = Vec::new();
        let mut calls: HashMap<String, Value> = HashMap::new();
        for update in &self.updates {
            if update["sessionUpdate"] != "tool_call" && update["sessionUpdate"] != "tool_call_update" {
                continue;
            }
            let id = update["toolCallId"].as_str().unwrap_or_default().to_owned();
            let call = calls.entry(id.clone()).or_insert_with(|| {
                order.push(id);
                // What the protocol says a call is when it does not say.
                json!({ "status": "pending", "kind": "other" })
            });
            for (key, value) in update.as_object().into_iter().flatten() {
                call[key] = value.clone();
            }
        }
        order.into_iter().filter_map(|id| calls.remove(&id)).collect()
    }
}

struct Shared {
    stdin: Mutex<Option<ChildStdin>>,
    transcript: Transcript,
    permission: Mutex<Permission>,
    /// Unsaved text of the editor by path; `fs/*` requests see it.
    buffers: Mutex<HashMap<PathBuf, String>>,
    stderr: Mutex<Vec<u8>>,
}

impl Shared {
    fn send(&self, message: Value) -> std::io::Result<()> {
        let mut line = message.to_string();
        line.push('\n');
        let mut stdin = lock(&self.stdin);
        self.transcript.add(Way::ToAgent, message);
        stdin.as_mut().map_or(Ok(()), |stdin| stdin.write_all(line.as_bytes()))
    }
}

/// A running agent and the client that drives it.
///
/// When it is dropped the agent must behave to the end: leave when its stdin closes, with status 0, have said nothing on
/// stderr and nothing but valid messages on stdout. A test that expects otherwise uses [`kill`](Self::kill) or
/// [`allow_stderr`](Self::allow_stderr).
pub struct Client {
    child: Child,
    shared: Arc<Shared>,
    next: AtomicU64,
    readers: Vec<thread::JoinHandle<()>>,
    checked: bool,
    stderr_allowed: bool,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("pid", &self.child.id()).finish_non_exhaustive()
    }
}

impl Client {
    /// Spawns `crow acp` in the sandbox and initialises it as a client without any optional capability.
    pub fn start(sandbox: &Sandbox) -> Self {
        Self::start_with(sandbox, &json!({}))
    }

    /// Spawns `crow acp` in the sandbox and initialises it with these client capabilities.
    pub fn start_with(sandbox: &Sandbox, capabilities: &Value) -> Self {
        let client = Self::spawn(sandbox);
        client.initialize(capabilities);
        client
    }

    /// Spawns `crow acp` in the sandbox and says nothing yet.
    pub fn spawn(sandbox: &Sandbox) -> Self {
        Self::spawn_command(sandbox.command(&["acp"]))
    }

    /// Spawns any ACP agent.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn_command(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
        let shared = Arc::new(Shared {
            stdin: Mutex::new(child.stdin.take()),
            transcript: Transcript::default(),
            permission: Mutex::new(Permission::AllowOnce),
            buffers: Mutex::default(),
            stderr: Mutex::default(),
        });
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            let shared = Arc::clone(&shared);
            readers.push(thread::spawn(move || read(&shared, stdout)));
        }
        if let Some(mut stderr) = child.stderr.take() {
            let shared = Arc::clone(&shared);
            readers.push(thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = stderr.read(&mut bytes) {
                    lock(&shared.stderr).extend_from_slice(&bytes[..count]);
                }
            }));
        }
        Self { child, shared, next: AtomicU64::new(1), readers, checked: false, stderr_allowed: false }
    }

    /// The agent's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Every message so far.
    pub fn transcript(&self) -> &Transcript {
        &self.shared.transcript
    }

    /// What the agent wrote to stderr.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&lock(&self.shared.stderr)).into_owned()
    }

    /// From here on, answers permission requests this way.
    pub fn permission(&self, permission: Permission) {
        *lock(&self.shared.permission) = permission;
    }

    /// Opens a file in the editor, with text that is not saved.
    pub fn buffer(&self, path: &Path, text: &str) {
        lock(&self.shared.buffers).insert(path.to_owned(), text.to_owned());
    }

    /// Text on stderr is no failure for this agent.
    pub fn allow_stderr(&mut self) {
        self.stderr_allowed = true;
    }

    /// Sends a line exactly as given.
    pub fn send_line(&self, line: &str) {
        self.send_bytes(format!("{line}\n").as_bytes());
    }

    /// Sends bytes exactly as given.
    pub fn send_bytes(&self, bytes: &[u8]) {
        if let Some(stdin) = lock(&self.shared.stdin).as_mut() {
            let _ = stdin.write_all(bytes);
        }
    }

    /// Sends any message.
    pub fn send(&self, message: Value) {
        let _ = self.shared.send(message);
    }

    /// Sends a notification.
    pub fn notify(&self, method: &str, params: &Value) {
        self.send(json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// Sends a request and does not wait for its answer.
    pub fn request(&self, method: &str, params: &Value) -> Pending {
        let id = json!(self.next.fetch_add(1, Ordering::Relaxed));
        self.request_as(id, method, params)
    }

    /// Sends a request with an id of the caller's choice.
    pub fn request_as(&self, id: Value, method: &str, params: &Value) -> Pending {
        let from = self.shared.transcript.len();
        let sent = Instant::now();
        self.send(json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        Pending { id, method: method.to_owned(), from, sent }
    }

    /// Waits for the answer of a request.
    ///
    /// # Panics
    /// When it does not come in time, with the end of the transcript.
    pub fn wait(&self, pending: &Pending) -> RpcReply {
        let answer = self.try_wait(pending, PATIENCE);
        answer.unwrap_or_else(|| self.fail(&format!("`{}` was not answered", pending.method)))
    }

    /// Waits for the answer of a request, at most this long.
    pub fn try_wait(&self, pending: &Pending, limit: Duration) -> Option<RpcReply> {
        self.shared.transcript.wait(pending.from, limit, |entry| {
            let message = &entry.message;
            entry.answers(&pending.id).then(|| match message.get("error") {
                Some(error) => Err(RpcError {
                    code: error["code"].as_i64().unwrap_or_default(),
                    message: error["message"].as_str().unwrap_or_default().to_owned(),
                    data: error["data"].clone(),
                }),
                None => Ok(message["result"].clone()),
            })
        })
    }

    /// Sends a request and waits for its answer.
    pub fn call(&self, method: &str, params: &Value) -> RpcReply {
        self.wait(&self.request(method, params))
    }

    /// Sends a request that must succeed, and returns its result.
    ///
    /// # Panics
    /// When the agent answers with an error.
    pub fn ok(&self, method: &str, params: &Value) -> Value {
        self.call(method, params).unwrap_or_else(|error| self.fail(&format!("`{method}` failed: {error:?}")))
    }

    /// Sends `initialize` with these client capabilities and returns the result.
    pub fn initialize(&self, capabilities: &Value) -> Value {
        let params = json!({
            "protocolVersion": 1,
            "clientCapabilities": capabilities,
            "clientInfo": { "name": "crow-tests", "version": "0.1.0" },
        });
        self.ok("initialize", &params)
    }

    /// Opens a session in the sandbox's project and returns its id.
    pub fn new_session(&self, sandbox: &Sandbox) -> String {
        session_id(&self.new_session_in(&sandbox.project()))
    }

    /// Opens a session in a directory and returns the whole result.
    pub fn new_session_in(&self, cwd: &Path) -> Value {
        self.ok("session/new", &json!({ "cwd": cwd, "mcpServers": [] }))
    }

    /// Loads a session and returns what was replayed before the answer, and the answer.
    pub fn load_session(&self, sandbox: &Sandbox, session: &str) -> Turn {
        let params = json!({ "sessionId": session, "cwd": sandbox.project(), "mcpServers": [] });
        self.turn(session, &self.request("session/load", &params))
    }

    /// Sends a text prompt and does not wait.
    pub fn start_prompt(&self, session: &str, text: &str) -> Pending {
        let params = json!({ "sessionId": session, "prompt": [{ "type": "text", "text": text }] });
        self.request("session/prompt", &params)
    }

    /// Sends a text prompt and waits for the end of its turn.
    pub fn prompt(&self, session: &str, text: &str) -> Turn {
        self.turn(session, &self.start_prompt(session, text))
    }

    /// Waits for the end of a prompt.
    pub fn turn(&self, session: &str, pending: &Pending) -> Turn {
        let reply = self.wait(pending);
        let entries = self.shared.transcript.since(pending.from);
        let before = entries.iter().take_while(|entry| !entry.answers(&pending.id));
        let updates = before.filter_map(|entry| entry.update(session).cloned()).collect();
        Turn { reply, updates }
    }

    /// Sends `session/cancel`.
    pub fn cancel(&self, session: &str) {
        self.notify("session/cancel", &json!({ "sessionId": session }));
    }

    /// Waits for an update of this session, from message number `from` on, that `wanted` likes.
    ///
    /// # Panics
    /// When it does not come in time.
    pub fn wait_update(&self, session: &str, from: usize, wanted: impl Fn(&Value) -> bool) -> Value {
        let found = self
            .shared
            .transcript
            .wait(from, PATIENCE, |entry| entry.update(session).filter(|update| wanted(update)).cloned());
        found.unwrap_or_else(|| self.fail("the update waited for did not come"))
    }

    /// Waits for a request of the agent, from message number `from` on.
    ///
    /// # Panics
    /// When it does not come in time.
    pub fn wait_request(&self, method: &str, from: usize) -> Value {
        let found = self.shared.transcript.wait(from, PATIENCE, |entry| {
            (entry.is_from_agent(method) && entry.message.get("id").is_some()).then(|| entry.message.clone())
        });
        found.unwrap_or_else(|| self.fail(&format!("the agent did not ask `{method}`")))
    }

    /// The requests of the agent with this method.
    pub fn requests(&self, method: &str) -> Vec<Value> {
        let entries = self.shared.transcript.since(0);
        entries.into_iter().filter(|entry| entry.is_from_agent(method)).map(|entry| entry.message).collect()
    }

    /// All updates of a session so far.
    pub fn updates(&self, session: &str) -> Vec<Value> {
        self.shared.transcript.since(0).iter().filter_map(|entry| entry.update(session).cloned()).collect()
    }

    /// Waits until the agent has not said anything for a while (0.2 s).
    pub fn settle(&self) {
        let mut count = self.shared.transcript.len();
        loop {
            thread::sleep(Duration::from_millis(200));
            let now = self.shared.transcript.len();
            if now == count {
                return;
            }
            count = now;
        }
    }

    /// Whether the agent's process still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills the agent (SIGKILL) and returns what was said. Nothing is checked but the messages.
    pub fn kill(mut self) -> Vec<Entry> {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.checked = true;
        self.join();
        let entries = self.shared.transcript.since(0);
        assert_valid(&entries);
        entries
    }

    /// Closes the agent's stdin.
    pub fn close_stdin(&self) {
        lock(&self.shared.stdin).take();
    }

    /// Closes the agent's stdin, waits for its end and checks that it behaved. Returns everything that was said.
    pub fn finish(mut self) -> Vec<Entry> {
        self.check();
        self.shared.transcript.since(0)
    }

    fn check(&mut self) {
        self.checked = true;
        self.close_stdin();
        let status = wait_for(PATIENCE, || self.child.try_wait().ok().flatten());
        if status.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        self.join();
        let status = status.unwrap_or_else(|| self.fail("the agent does not leave when its stdin closes"));
        if !ExitStatus::success(&status) {
            self.fail(&format!("the agent ended with {status}"));
        }
        let noise = self.shared.transcript.noise();
        assert!(noise.is_empty(), "the agent's stdout has more than JSON lines: {noise:?}");
        let stderr = self.stderr();
        assert!(self.stderr_allowed || stderr.is_empty(), "the agent wrote to stderr:\n{stderr}");
        assert_valid(&self.shared.transcript.since(0));
    }

    fn join(&mut self) {
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }

    fn fail(&self, problem: &str) -> ! {
        panic!("{problem}\nstderr: {}\nlast messages:\n{}", self.stderr(), self.shared.transcript.tail(12));
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if thread::panicking() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        } else if !self.checked {
            self.check();
        }
    }
}

/// The id in a `session/new` result.
pub(crate) fn session_id(result: &Value) -> String {
    result["sessionId"].as_str().unwrap_or_default().to_owned()
}

fn assert_valid(entries: &[Entry]) {
    let violations = Schema::official().check(entries);
    let listed: Vec<String> = violations.iter().take(5).map(ToString::to_string).collect();
    assert!(violations.is_empty(), "{} messages are not valid:\n{}", violations.len(), listed.join("\n"));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read(shared: &Shared, stdout: impl Read) {
    let mut reader = BufReader::with_capacity(64 * 1024, stdout);
    let mut line = Vec::new();
    while let Ok(1..) = reader.read_until(b'\n', &mut line) {
        match serde_json::from_slice::<Value>(&line) {
            Ok(message) if message.is_object() && line.ends_with(b"\n") => {
                let asked = message.get("method").is_some() && message.get("id").is_some();
                let answer = asked.then(|| answer(shared, &message));
                shared.transcript.add(Way::FromAgent, message);
                if let Some(Some(answer)) = answer {
                    let _ = shared.send(answer);
                }
            }
            _ => shared.transcript.add_noise(&String::from_utf8_lossy(&line)),
        }
        line.clear();
    }
    shared.transcript.close();
}

/// Answers a request of the agent, as an editor would.
fn answer(shared: &Shared, message: &Value) -> Option<Value> {
    let params = &message["params"];
    let method = message["method"].as_str().unwrap_or_default();
    let result = match method {
        "session/request_permission" => decide(*lock(&shared.permission), params)?,
        "fs/read_text_file" => {
            let path = PathBuf::from(params["path"].as_str().unwrap_or_default());
            let open = lock(&shared.buffers).get(&path).cloned();
            let Some(text) = open.or_else(|| fs::read_to_string(&path).ok()) else {
                let error = json!({ "code": -32002, "message": "Resource not found" });
                return Some(json!({ "jsonrpc": "2.0", "id": message["id"], "error": error }));
            };
            let skip = params["line"].as_u64().unwrap_or(1).saturating_sub(1) as usize;
            let take = params["limit"].as_u64().unwrap_or(u64::MAX) as usize;
            let part: String = text.split_inclusive('\n').skip(skip).take(take).collect();
            json!({ "content": part })
        }
        "fs/write_text_file" => {
            let path = PathBuf::from(params["path"].as_str().unwrap_or_default());
            let text = params["content"].as_str().unwrap_or_default();
            let _ = fs::write(&path, text);
            lock(&shared.buffers).insert(path, text.to_owned());
            json!({})
        }
        _ => {
            let error = json!({ "code": -32601, "message": format!("Method not found: {method}") });
            return Some(json!({ "jsonrpc": "2.0", "id": message["id"], "error": error }));
        }
    };
    Some(json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }))
}

fn decide(permission: Permission, params: &Value) -> Option<Value> {
    let kind = match permission {
        Permission::AllowOnce => "allow_once",
        Permission::AllowAlways => "allow_always",
        Permission::RejectOnce => "reject_once",
        Permission::RejectAlways => "reject_always",
        Permission::Cancelled => return Some(json!({ "outcome": { "outcome": "cancelled" } })),
        Permission::Hold => return None,
    };
    let mut options = params["options"].as_array().into_iter().flatten();
    let option = options.find(|option| option["kind"] == kind);
    Some(match option {
        Some(option) => {
            json!({ "outcome": { "outcome": "selected", "optionId": option["optionId"] } })
        }
        None => json!({ "outcome": { "outcome": "cancelled" } }),
    })
}
