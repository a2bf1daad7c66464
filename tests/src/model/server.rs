//! The server: takes connections, picks the answer, notes what was asked.

use std::{
    collections::VecDeque,
    fmt,
    io::BufReader,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    http::{self, End, Request},
    reply::Reply,
};

/// A request the server received, and when.
#[derive(Clone)]
pub struct Recorded {
    /// `POST` or `GET`.
    pub method: String,
    /// The path asked for.
    pub path: String,
    /// The headers; names in lower case.
    pub headers: Vec<(String, String)>,
    body: Arc<Vec<u8>>,
    /// When the request had been read to its end.
    pub received: Instant,
    /// When the first byte of the answer went out.
    pub first_byte: Option<Instant>,
    /// When the answer was over.
    pub ended: Option<Instant>,
    /// Whether the answer went out to its end. False while it is under way.
    pub complete: bool,
}

impl Recorded {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; `null` when it is not.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The messages of a completion request.
    pub fn messages(&self) -> Vec<Value> {
        self.json()["messages"].as_array().cloned().unwrap_or_default()
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The server's own time: from the request read to the first byte sent.
    pub fn own_time(&self) -> Duration {
        self.first_byte.map_or(Duration::ZERO, |first| first - self.received)
    }
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("body", &self.text())
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    next: VecDeque<Arc<Reply>>,
    matched: Vec<(String, VecDeque<Arc<Reply>>)>,
    otherwise: Option<Arc<Reply>>,
    requests: Vec<Recorded>,
    connections: Vec<TcpStream>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    stopped: AtomicBool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An OpenAI-compatible server on a free port of 127.0.0.1, saying what it was told to say.
///
/// Completion requests are answered, in this order of preference: by a reply whose marker the request contains
/// ([`when`](Self::when)), by the next of the queue ([`push`](Self::push)), by the standing one
/// ([`otherwise`](Self::otherwise)); else with status 400. `/v1/models` lists `scripted` and `other`. `/v1/embeddings` gives
/// texts with the same words vectors that are alike, or a reply whose marker the request contains.
/// It stops when dropped.
pub struct ModelServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl fmt::Debug for ModelServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelServer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl ModelServer {
    /// Starts a server with nothing to say yet.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on 127.0.0.1");
        let address = listener.local_addr().expect("a bound address");
        let shared =
            Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), stopped: AtomicBool::new(false) });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepting.stopped.load(Ordering::Relaxed) {
                    break;
                }
                let shared = Arc::clone(&accepting);
                thread::spawn(move || serve(&shared, stream));
            }
        });
        Self { address, shared }
    }

    /// Starts a server that answers with these, in turn.
    pub fn with(replies: impl IntoIterator<Item = Reply>) -> Self {
        let server = Self::start();
        for reply in replies {
            server.push(reply);
        }
        server
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What an OpenAI-compatible client takes as its base URL.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Answers one more request with `reply`, after those pushed before.
    pub fn push(&self, reply: Reply) {
        self.shared.lock().next.push_back(Arc::new(reply.ended()));
    }

    /// Answers a request that contains `marker` with `reply`, once. Further replies for the same marker come in turn.
    ///
    /// The whole request counts, system prompt and tools included: a marker is best a word that nobody else uses.
    pub fn when(&self, marker: &str, reply: Reply) {
        let reply = Arc::new(reply.ended());
        let mut state = self.shared.lock();
        match state.matched.iter_mut().find(|(known, _)| known == marker) {
            Some((_, replies)) => replies.push_back(reply),
            None => state.matched.push((marker.to_owned(), VecDeque::from([reply]))),
        }
    }

    /// Answers whatever else comes with `reply`, as often as it comes.
    pub fn otherwise(&self, reply: Reply) {
        self.shared.lock().otherwise = Some(Arc::new(reply.ended()));
    }

    /// The completion requests received so far.
    pub fn requests(&self) -> Vec<Recorded> {
        let state = self.shared.lock();
        state.requests.iter().filter(|request| request.path.ends_with("/chat/completions")).cloned().collect()
    }

    /// Every request received so far, those for the model list included.
    pub fn all_requests(&self) -> Vec<Recorded> {
        self.shared.lock().requests.clone()
    }

    /// Waits until `count` completion requests came, and returns the last of them.
    ///
    /// # Panics
    /// When they do not come in time.
    pub fn wait_requests(&self, count: usize) -> Recorded {
        self.wait(crate::PATIENCE, |requests| requests.get(count - 1).cloned())
            .unwrap_or_else(|| panic!("the model got {} requests, not {count}", self.requests().len()))
    }

    /// Waits until the answer to completion request number `count` is over, and returns when that was.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn wait_ended(&self, count: usize) -> Instant {
        self.wait(crate::PATIENCE, |requests| requests.get(count - 1)?.ended)
            .unwrap_or_else(|| panic!("the answer to request {count} does not end"))
    }

    /// Waits until `probe` finds what it wants among the completion requests.
    pub fn wait<T>(&self, limit: Duration, probe: impl Fn(&[Recorded]) -> Option<T>) -> Option<T> {
        let end = Instant::now() + limit;
        loop {
            if let Some(found) = probe(&self.requests()) {
                return Some(found);
            }
            let left = end.checked_duration_since(Instant::now())?;
            let state = self.shared.lock();
            // A request that came between the probe and the lock is seen at the latest after this wait.
            drop(self.shared.changed.wait_timeout(state, left.min(Duration::from_millis(20))));
        }
    }

    /// Forgets the requests received and what was to be said.
    pub fn reset(&self) {
        let mut state = self.shared.lock();
        state.requests.clear();
        state.next.clear();
        state.matched.clear();
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        for stream in self.shared.lock().connections.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the accepting thread, which sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(shared: &Shared, mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let (Ok(reading), Ok(listed)) = (stream.try_clone(), stream.try_clone()) else {
        return;
    };
    shared.lock().connections.push(listed);
    let mut reader = BufReader::with_capacity(64 * 1024, reading);
    while let Ok(Some(request)) = http::read_request(&mut reader) {
        let received = Instant::now();
        let (index, reply) = note(shared, request, received);
        let mark = |change: &dyn Fn(&mut Recorded)| {
            if let Some(request) = shared.lock().requests.get_mut(index) {
                change(request);
            }
        };
        let now = Instant::now;
        let end = http::send(&reply, &mut stream, || {
            mark(&|request| request.first_byte = Some(now()));
        });
        let complete = matches!(end, Ok(End::Complete));
        mark(&|request| {
            request.ended = Some(now());
            request.complete = complete;
        });
        shared.changed.notify_all();
        if !complete {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

/// Notes the request and picks its answer.
fn note(shared: &Shared, request: Request, received: Instant) -> (usize, Arc<Reply>) {
    let mut state = shared.lock();
    let reply = if request.path.ends_with("/chat/completions") {
        pick(&mut state, &request.body)
    } else if request.path.ends_with("/embeddings") {
        matched(&mut state, &request.body).unwrap_or_else(|| Arc::new(embeddings(&request.body)))
    } else if request.path.ends_with("/models") {
        let model = |id: &str| json!({ "id": id, "object": "model", "owned_by": "tests" });
        Arc::new(Reply::status(200, &json!({ "object": "list", "data": [model("scripted"), model("other")] })))
    } else {
        Arc::new(Reply::error(404, "no such path"))
    };
    let index = state.requests.len();
    state.requests.push(Recorded {
        method: request.method,
        path: request.path,
        headers: request.headers,
        body: Arc::new(request.body),
        received,
        first_byte: None,
        ended: None,
        complete: false,
    });
    shared.changed.notify_all();
    (index, reply)
}

fn pick(state: &mut State, body: &[u8]) -> Arc<Reply> {
    if let Some(reply) = matched(state, body).or_else(|| state.next.pop_front()) {
        return reply;
    }
    state
        .otherwise
        .clone()
        .unwrap_or_else(|| Arc::new(Reply::error(400, "the test scripted no answer for this request")))
}

/// The reply whose marker the request contains.
fn matched(state: &mut State, body: &[u8]) -> Option<Arc<Reply>> {
    if state.matched.is_empty() {
        return None;
    }
    let text = String::from_utf8_lossy(body);
    let mut fitting = state.matched.iter_mut().filter(|(marker, _)| text.contains(marker.as_str()));
    fitting.find_map(|(_, replies)| replies.pop_front())
}

/// Embeddings that are alike if the texts share words: each word counts at a place that its letters choose.
fn embeddings(body: &[u8]) -> Reply {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let texts = request["input"].as_array().cloned().unwrap_or_default();
    let data = texts.iter().enumerate().map(|(index, text)| {
        let mut vector = vec![0_u32; 64];
        let text = text.as_str().unwrap_or_default().to_lowercase();
        for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 2) {
            let place = word.bytes().fold(5381_usize, |hash, byte| hash.wrapping_mul(33) ^ usize::from(byte)) % 64;
            vector[place] += 1;
        }
        json!({ "object": "embedding", "index": index, "embedding": vector })
    });
    Reply::status(200, &json!({ "object": "list", "model": request["model"], "data": data.collect::<Vec<_>>() }))
}
