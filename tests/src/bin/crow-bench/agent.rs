//! A contender, and the plain client that times it.
//!
//! One thread writes and reads, and reads no more JSON than it must: what the client costs is the same small amount for
//! every contender.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout},
    time::{Duration, Instant},
};

use crow_tests::{ModelServer, Sandbox};
use serde_json::{Value, json};

/// A program to measure.
#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) program: PathBuf,
    args: Vec<String>,
}

impl Contender {
    /// The bare relay: the floor.
    pub(crate) fn relay(program: &Path) -> Self {
        Self { program: program.to_owned(), args: Vec::new() }
    }

    /// Crow.
    pub(crate) fn crow(program: &Path) -> Self {
        Self { program: program.to_owned(), args: vec!["acp".to_owned()] }
    }

    /// Crow without one of its plugins.
    pub(crate) fn without(program: &Path, plugin: &str) -> Self {
        let args = ["-p".to_owned(), format!("no:{plugin}"), "acp".to_owned()];
        Self { program: program.to_owned(), args: args.into() }
    }

    /// Starts it in a place of its own, with `server` as its model.
    pub(crate) fn spawn(&self, server: &ModelServer) -> Agent {
        let mut sandbox = Sandbox::with_model(server);
        sandbox.env("OPENAI_BASE_URL", &server.base_url());
        let spawned = Instant::now();
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        let mut child = sandbox.command_for(&self.program, &args);
        let mut child = child
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", self.program.display()));
        let stdout = child.stdout.take().expect("a piped stdout");
        Agent {
            stdin: child.stdin.take(),
            lines: BufReader::with_capacity(64 * 1024, stdout),
            child,
            sandbox,
            spawned,
            next: 0,
            line: String::new(),
        }
    }

    /// Starts it and initialises it.
    pub(crate) fn start(&self, server: &ModelServer) -> Agent {
        let mut agent = self.spawn(server);
        agent.initialize();
        agent
    }
}

/// A running contender.
#[derive(Debug)]
pub(crate) struct Agent {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: BufReader<ChildStdout>,
    pub(crate) sandbox: Sandbox,
    pub(crate) spawned: Instant,
    next: u64,
    line: String,
}

/// When things happened in a prompt.
#[derive(Debug)]
pub(crate) struct Prompted {
    pub(crate) sent: Instant,
    pub(crate) first_chunk: Instant,
    pub(crate) answered: Instant,
}

enum Line {
    Chunk,
    Answer(u64),
    Other,
}

impl Agent {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a request and returns its id.
    pub(crate) fn send(&mut self, method: &str, params: &Value) -> u64 {
        self.next += 1;
        let message = json!({ "jsonrpc": "2.0", "id": self.next, "method": method, "params": params });
        let stdin = self.stdin.as_mut().expect("an open stdin");
        stdin.write_all(format!("{message}\n").as_bytes()).expect("a running agent");
        self.next
    }

    /// Reads one line, and stops the benchmark when it is an error or the end.
    fn read(&mut self) -> Line {
        self.line.clear();
        let count = self.lines.read_line(&mut self.line).expect("text from the agent");
        assert!(count > 0, "the agent left");
        if self.line.contains("\"agent_message_chunk\"") {
            return Line::Chunk;
        }
        let message: Value = serde_json::from_str(&self.line).expect("JSON from the agent");
        assert!(message.get("error").is_none(), "the agent answered {message}");
        match message["id"].as_u64() {
            Some(id) if message.get("method").is_none() => Line::Answer(id),
            _ => Line::Other,
        }
    }

    /// Waits for the answer to `id`; the line is kept.
    pub(crate) fn answer(&mut self, id: u64) -> Instant {
        loop {
            if let Line::Answer(answered) = self.read()
                && answered == id
            {
                return Instant::now();
            }
        }
    }

    /// Waits until `count` requests were answered.
    pub(crate) fn answers(&mut self, count: usize) -> Instant {
        let mut answered = 0;
        while answered < count {
            if let Line::Answer(_) = self.read() {
                answered += 1;
            }
        }
        Instant::now()
    }

    pub(crate) fn initialize(&mut self) -> Instant {
        let info = json!({ "name": "crow-bench", "version": "0.1.0" });
        let params = json!({ "protocolVersion": 1, "clientCapabilities": {}, "clientInfo": info });
        let id = self.send("initialize", &params);
        self.answer(id)
    }

    /// The parameters of `session/new`.
    pub(crate) fn place(&self) -> Value {
        json!({ "cwd": self.sandbox.project(), "mcpServers": [] })
    }

    /// Opens a session and returns its id.
    pub(crate) fn session(&mut self) -> String {
        let id = self.send("session/new", &self.place());
        self.answer(id);
        let message: Value = serde_json::from_str(&self.line).expect("JSON from the agent");
        message["result"]["sessionId"].as_str().expect("a session id").to_owned()
    }

    /// Sends a prompt and waits for its end.
    pub(crate) fn prompt(&mut self, session: &str, text: &str) -> Prompted {
        let sent = Instant::now();
        let id = self.send_prompt(session, text);
        let mut first_chunk = None;
        loop {
            match self.read() {
                Line::Chunk if first_chunk.is_none() => first_chunk = Some(Instant::now()),
                Line::Answer(answered) if answered == id => {
                    let answered = Instant::now();
                    return Prompted { sent, first_chunk: first_chunk.unwrap_or(answered), answered };
                }
                _ => {}
            }
        }
    }

    /// Sends a notification.
    pub(crate) fn notify(&mut self, method: &str, params: &Value) {
        let message = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        let stdin = self.stdin.as_mut().expect("an open stdin");
        stdin.write_all(format!("{message}\n").as_bytes()).expect("a running agent");
    }

    /// Waits for a line with these words.
    pub(crate) fn wait_for(&mut self, words: &str) {
        loop {
            self.read();
            if self.line.contains(words) {
                return;
            }
        }
    }

    /// Sends a prompt only.
    pub(crate) fn send_prompt(&mut self, session: &str, text: &str) -> u64 {
        let params = json!({ "sessionId": session, "prompt": [{ "type": "text", "text": text }] });
        self.send("session/prompt", &params)
    }

    /// Closes stdin and waits for the end of the process.
    pub(crate) fn exit(mut self) -> Duration {
        let start = Instant::now();
        drop(self.stdin.take());
        let _ = self.child.wait();
        start.elapsed()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
