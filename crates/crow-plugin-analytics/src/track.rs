//! What is known of a session while something goes on in it, and the stopwatch of a request.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crow_acp::{
    BoxFuture, Completion, Delta, DeltaRefused, DeltaSink, Deltas, Finish, Message, Price, ProviderErrorKind, Session,
    Usage,
};

use crate::budget::{Scope, Unit};
use crate::record::{Place, Record, Request};

/// Milliseconds since the Unix epoch.
pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// What a session is doing.
#[derive(Debug)]
pub(crate) struct Track {
    session: Arc<str>,
    project: Arc<str>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    run: Option<Running>,
    /// The run loop is about to ask a model; anybody else who asks is a plugin.
    asked_by_loop: bool,
    turn: u32,
    attempt: u32,
    /// A request failed and is to be put again.
    again: bool,
    /// How long the calls of this turn ran.
    tools: HashMap<String, Duration>,
    warned: HashSet<(Scope, Unit)>,
    told_of_prices: bool,
}

/// A run under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Running {
    pub(crate) id: i64,
    pub(crate) at: i64,
    pub(crate) since: Instant,
}

impl Track {
    /// The session's, made with the first look.
    pub(crate) fn of(session: &Session) -> Arc<Self> {
        if let Some(track) = session.get::<Self>() {
            return track;
        }
        let config = session.config();
        let project = config.project().unwrap_or(session.cwd());
        session.insert(Self::new(session.id(), project));
        session.get::<Self>().unwrap_or_else(|| Arc::new(Self::new(session.id(), project)))
    }

    fn new(session: &str, project: &Path) -> Self {
        Self { session: session.into(), project: project.to_string_lossy().into(), state: Mutex::default() }
    }

    fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A run begins.
    pub(crate) fn begin(&self) -> i64 {
        // Hash maps are seeded with good random numbers.
        let id = (RandomState::new().build_hasher().finish() >> 1) as i64;
        self.state(|state| {
            state.run = Some(Running { id, at: now(), since: Instant::now() });
            (state.turn, state.attempt, state.again, state.asked_by_loop) = (0, 0, false, false);
            state.tools.clear();
            state.warned.retain(|(scope, _)| *scope != Scope::Run);
        });
        id
    }

    /// The run is over.
    pub(crate) fn end(&self) -> Option<Running> {
        self.state(|state| state.run.take())
    }

    pub(crate) fn run(&self) -> Option<i64> {
        self.state(|state| state.run.map(|run| run.id))
    }

    pub(crate) fn place(&self) -> Place {
        self.place_in(self.run())
    }

    pub(crate) fn place_in(&self, run: Option<i64>) -> Place {
        Place { session: self.session.clone(), project: self.project.clone(), run }
    }

    pub(crate) fn turn(&self, number: u32) {
        self.state(|state| state.turn = number);
    }

    /// The run loop asks next.
    pub(crate) fn loop_asks(&self) {
        self.state(|state| {
            state.attempt = if std::mem::take(&mut state.again) { state.attempt + 1 } else { 1 };
            state.asked_by_loop = true;
        });
    }

    /// The failed request is put again.
    pub(crate) fn again(&self) {
        self.state(|state| state.again = true);
    }

    /// Somebody asks a model: the turn if it is the run loop, and the attempt.
    pub(crate) fn asked(&self) -> (Option<u32>, u32) {
        self.state(
            |state| {
                if std::mem::take(&mut state.asked_by_loop) { (Some(state.turn), state.attempt) } else { (None, 1) }
            },
        )
    }

    pub(crate) fn tool_ran(&self, call: &str, took: Duration) {
        self.state(|state| state.tools.insert(call.to_owned(), took));
    }

    pub(crate) fn tool_time(&self, call: &str) -> Option<Duration> {
        self.state(|state| state.tools.remove(call))
    }

    /// True the first time.
    pub(crate) fn warns(&self, scope: Scope, unit: Unit) -> bool {
        self.state(|state| state.warned.insert((scope, unit)))
    }

    /// True the first time.
    pub(crate) fn tells_of_prices(&self) -> bool {
        self.state(|state| !std::mem::replace(&mut state.told_of_prices, true))
    }
}

/// The stopwatch of one request. Dropped before the end, the request was cancelled.
pub(crate) struct Stopwatch<F: FnMut(Record)> {
    since: Instant,
    /// What is known before the answer; `None` once it was recorded.
    request: Option<Box<Request>>,
    /// Tokens of what is asked, as an estimate.
    asked: u64,
    price: Option<Price>,
    pub(crate) heard: Heard,
    record: F,
}

/// What came of an answer.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    first: Option<Instant>,
    bytes: u64,
}

/// How a request ended.
pub(crate) enum Answer<'a> {
    Completed(&'a Completion),
    Failed(&'static str),
}

impl<F: FnMut(Record)> Stopwatch<F> {
    pub(crate) fn start(
        place: Place,
        (turn, attempt): (Option<u32>, u32),
        request: &crow_acp::Request,
        price: Option<Price>,
        record: F,
    ) -> Self {
        let row = Request {
            at: now(),
            place,
            model: request.model.id.to_string(),
            turn,
            attempt,
            usage: Usage::default(),
            estimated: false,
            cost: None,
            first: None,
            took: Duration::ZERO,
            finish: None,
            error: None,
        };
        let asked = estimate(request);
        Self { since: Instant::now(), request: Some(Box::new(row)), asked, price, heard: Heard::default(), record }
    }

    /// The request is over.
    pub(crate) fn stop(&mut self, answer: &Answer<'_>) {
        let Some(mut row) = self.request.take() else { return };
        row.took = self.since.elapsed();
        row.first = self.heard.first.map(|first| first - self.since);
        let told = match answer {
            Answer::Completed(completion) => {
                row.finish = Some(finish(completion.finish));
                completion.usage
            }
            Answer::Failed(error) => {
                row.error = Some(error);
                // Nothing came: nothing is charged.
                row.first.is_none().then(Usage::default)
            }
        };
        row.estimated = told.is_none();
        row.usage = told.unwrap_or_else(|| Usage::new(self.asked, self.heard.bytes.div_ceil(4)));
        row.cost = match self.price {
            Some(price) => Some(row.usage.cost(&price)),
            None => (row.usage == Usage::default()).then_some(0.0),
        };
        (self.record)(Record::Request(row));
    }
}

impl<F: FnMut(Record)> Drop for Stopwatch<F> {
    fn drop(&mut self) {
        self.stop(&Answer::Failed("cancelled"));
    }
}

/// A sink in front of another that looks at the clock once and counts.
pub(crate) struct Ear<'a> {
    pub(crate) heard: &'a mut Heard,
    pub(crate) inner: Deltas<'a>,
}

impl DeltaSink for Ear<'_> {
    fn accept(&mut self, delta: Delta) -> Result<(), DeltaRefused> {
        if self.heard.first.is_none() {
            self.heard.first = Some(Instant::now());
        }
        self.heard.bytes += delta.text.len() as u64;
        self.inner.accept(delta)
    }

    fn room(&mut self) -> Option<BoxFuture<'_, ()>> {
        self.inner.room()
    }
}

/// The tokens of a request, roughly: what is counted when the provider does not tell.
fn estimate(request: &crow_acp::Request) -> u64 {
    let system: usize = request.system.sections().iter().map(|section| section.text.len()).sum();
    let tools: usize =
        request.tools.iter().map(|tool| tool.description.len() + tool.input_schema.to_string().len()).sum();
    (system + tools) as u64 / 4 + request.messages.iter().map(Message::estimated_tokens).sum::<u64>()
}

fn finish(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::ToolCalls => "tool_calls",
        Finish::Length => "length",
        Finish::Refusal => "content_filter",
        _ => "other",
    }
}

/// The kind of a provider's error in one word.
pub(crate) fn kind(kind: ProviderErrorKind) -> &'static str {
    match kind {
        ProviderErrorKind::Authentication => "authentication",
        ProviderErrorKind::Payment => "payment",
        ProviderErrorKind::NotFound => "not_found",
        ProviderErrorKind::BadRequest => "bad_request",
        ProviderErrorKind::RateLimit => "rate_limit",
        ProviderErrorKind::Overloaded => "overloaded",
        ProviderErrorKind::Server => "server",
        ProviderErrorKind::Connection => "connection",
        ProviderErrorKind::Timeout => "timeout",
        ProviderErrorKind::ContextOverflow => "context_overflow",
        ProviderErrorKind::Protocol => "protocol",
        ProviderErrorKind::Unsupported => "unsupported",
        _ => "other",
    }
}
