//! A server that answers each request with the next of its replies, over real HTTP.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

/// What a server answers.
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    pieces: Vec<String>,
    /// The connection stays open without a word.
    hangs: bool,
}

impl Reply {
    /// Server-sent events, the type of each as its name.
    pub(crate) fn events(events: impl IntoIterator<Item = Value>) -> Self {
        let pieces = events.into_iter().map(|event| match event["type"].as_str() {
            Some(name) => format!("event: {name}\ndata: {event}\n\n"),
            None => format!("data: {event}\n\n"),
        });
        Self::new(200, "text/event-stream", pieces.collect())
    }

    /// One JSON value a line.
    pub(crate) fn lines(lines: impl IntoIterator<Item = Value>) -> Self {
        Self::new(200, "application/x-ndjson", lines.into_iter().map(|line| format!("{line}\n")).collect())
    }

    /// One JSON value.
    pub(crate) fn json(status: u16, value: &Value) -> Self {
        Self::new(status, "application/json", vec![value.to_string()])
    }

    fn new(status: u16, kind: &str, pieces: Vec<String>) -> Self {
        Self { status, headers: vec![("content-type", kind.to_owned())], pieces, hangs: false }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Falls silent instead of ending.
    pub(crate) fn hang(mut self) -> Self {
        self.hangs = true;
        self
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The server. It ends with the test.
pub(crate) struct Server {
    pub(crate) port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub(crate) fn with(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let replies: Arc<Mutex<VecDeque<Reply>>> = Arc::new(Mutex::new(replies.into_iter().collect()));
        let keep = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (asked, replies) = (Arc::clone(&keep), Arc::clone(&replies));
                std::thread::spawn(move || serve(stream, &asked, &replies));
            }
        });
        Self { port, asked }
    }

    /// Nobody, at a port where nobody listens.
    pub(crate) fn at(port: u16) -> Self {
        Self { port, asked: Arc::default() }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, asked: &Mutex<Vec<Asked>>, replies: &Mutex<VecDeque<Reply>>) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    lines.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    loop {
        line.clear();
        lines.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    lines.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).unwrap_or_default();
    asked.lock().unwrap().push(Asked { path, headers, body });

    let reply = replies.lock().unwrap().pop_front()?;
    write!(stream, "HTTP/1.1 {} Whatever\r\nconnection: close\r\n", reply.status).ok()?;
    for (name, value) in &reply.headers {
        write!(stream, "{name}: {value}\r\n").ok()?;
    }
    stream.write_all(b"\r\n").ok()?;
    for piece in &reply.pieces {
        // In two parts, as networks do.
        let (one, two) = piece.as_bytes().split_at(piece.len() / 2);
        for part in [one, two] {
            stream.write_all(part).ok()?;
            stream.flush().ok()?;
        }
    }
    if reply.hangs {
        std::thread::sleep(Duration::from_secs(30));
    }
    Some(())
}
