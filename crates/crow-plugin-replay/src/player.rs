//! Plays recordings: a provider whose models are recordings, each session at its own place in them.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crow_acp::{
    BoxFuture, Completion, Delta, DeltaKind, Deltas, Message, Part, Provider, ProviderError, ProviderErrorKind,
    Request, Role,
};

use crate::recording::{Answer, CWD, Line, Recording};

/// The largest file that is read as a recording, in bytes.
const LARGEST: u64 = 64 * 1024 * 1024;

/// Where a session is in a recording.
#[derive(Debug)]
struct Place {
    recording: Arc<Recording>,
    /// The answer that comes next.
    next: usize,
}

/// The provider `replay`.
#[derive(Debug)]
pub(crate) struct Player {
    /// Recordings that came with the program, by name.
    pub(crate) embedded: BTreeMap<String, Cow<'static, str>>,
    /// Files that the configuration names.
    pub(crate) files: BTreeMap<String, PathBuf>,
    /// Between words, if it is not to be the recording's own.
    pub(crate) pace: Option<Duration>,
    pub(crate) places: Arc<Places>,
}

/// Where the sessions are.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// Working directories, by session.
    cwds: Mutex<HashMap<String, PathBuf>>,
    /// By session and recording.
    places: Mutex<HashMap<(String, String), Place>>,
}

impl Places {
    /// A session starts in `cwd`.
    pub(crate) fn enter(&self, session_id: &str, cwd: &Path) {
        lock(&self.cwds).insert(session_id.to_owned(), cwd.to_owned());
    }

    /// Forgets a session that has ended.
    pub(crate) fn forget(&self, session_id: &str) {
        lock(&self.cwds).remove(session_id);
        lock(&self.places).retain(|(session, _), _| session != session_id);
    }

    fn cwd(&self, session_id: &str) -> Option<PathBuf> {
        lock(&self.cwds).get(session_id).cloned()
    }

    /// The next answer of a session, and one further. `None`: it has not begun this recording.
    fn advance(&self, key: &(String, String)) -> Option<(Arc<Recording>, usize)> {
        let mut places = lock(&self.places);
        let place = places.get_mut(key)?;
        place.next += 1;
        Some((Arc::clone(&place.recording), place.next - 1))
    }

    fn begin(&self, key: (String, String), recording: Arc<Recording>, next: usize) {
        lock(&self.places).entry(key).or_insert(Place { recording, next });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Player {
    async fn play(&self, request: &Request, deltas: &mut Deltas<'_>) -> Result<Completion, ProviderError> {
        let name = &request.model.id.name;
        let cwd = self.places.cwd(&request.session_id);
        let key = (request.session_id.clone(), name.clone());
        let (recording, number) = match self.places.advance(&key) {
            Some(place) => place,
            None => {
                let recording = Arc::new(self.load(name, cwd.as_deref()).await?);
                // A session that was loaded goes on where it was.
                let said = request.messages.iter().filter(|message| message.role == Role::Assistant).count();
                let next = after(&recording, said);
                self.places.begin(key.clone(), recording, next);
                self.places.advance(&key).ok_or_else(|| refused("the recording is gone"))?
            }
        };
        let Some(answer) = recording.answers.get(number) else {
            let count = recording.answers.len();
            return Err(refused(format!(
                "the recording `{name}` holds {count} answers, and request {} came",
                number + 1
            )));
        };
        let pace = self.pace.unwrap_or(recording.pace);
        let cwd = cwd.as_deref().map(Path::to_string_lossy);
        let script = Script { name, number, answer, pace, cwd };
        script.check(request.messages.last())?;
        script.play(deltas).await
    }

    async fn load(&self, name: &str, cwd: Option<&Path>) -> Result<Recording, ProviderError> {
        let unreadable = |reason: String| {
            ProviderError::new(
                ProviderErrorKind::NotFound,
                format!("the recording `{name}` cannot be played: {reason}"),
            )
        };
        let text = match self.embedded.get(name) {
            Some(text) => text.clone(),
            None => {
                let path = self.files.get(name).cloned().unwrap_or_else(|| cwd.unwrap_or(Path::new("")).join(name));
                let place = path.display().to_string();
                let read = tokio::task::spawn_blocking(move || read(&path)).await;
                let read = read.map_err(|error| unreadable(error.to_string()))?;
                Cow::Owned(read.map_err(|error| unreadable(format!("{place}: {error}")))?)
            }
        };
        Recording::parse(&text).map_err(|error| unreadable(error.to_string()))
    }
}

impl Provider for Player {
    fn stream<'a>(
        &'a self,
        request: &'a Request,
        deltas: &'a mut Deltas<'_>,
    ) -> BoxFuture<'a, Result<Completion, ProviderError>> {
        Box::pin(self.play(request, deltas))
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    if std::fs::metadata(path)?.len() > LARGEST {
        return Err(std::io::Error::other("too large for a recording"));
    }
    std::fs::read_to_string(path)
}

/// The answer that follows the `said`-th successful one: failures leave no message behind.
fn after(recording: &Recording, said: usize) -> usize {
    let successes = recording.answers.iter().enumerate().filter(|(_, answer)| answer.succeeds());
    match said.checked_sub(1) {
        None => 0,
        Some(last) => successes.map(|(number, _)| number + 1).nth(last).unwrap_or(recording.answers.len()),
    }
}

/// No attempt to ask again could help.
fn refused(message: impl Into<String>) -> ProviderError {
    ProviderError::new(ProviderErrorKind::BadRequest, message)
}

/// One answer, about to be given.
struct Script<'a> {
    name: &'a str,
    number: usize,
    answer: &'a Answer,
    pace: Duration,
    cwd: Option<Cow<'a, str>>,
}

impl Script<'_> {
    /// Whether the request is the one that the answer is for.
    fn check(&self, last: Option<&Message>) -> Result<(), ProviderError> {
        let Some(Line::Expect(wanted)) = self.answer.lines.first() else { return Ok(()) };
        let wanted = self.fill(wanted);
        let found = last.is_some_and(|message| {
            message.parts().iter().any(|part| match part {
                Part::Text { text } | Part::Resource { text, .. } => text.contains(&*wanted),
                Part::ToolResult(result) => result.text.contains(&*wanted),
                _ => false,
            })
        });
        if found {
            return Ok(());
        }
        let Self { name, number, answer, .. } = self;
        let (number, line) = (number + 1, answer.line);
        Err(refused(format!(
            "the recording `{name}` does not fit: answer {number} (line {line}) is for a request whose last message contains `{wanted}`"
        )))
    }

    async fn play(&self, deltas: &mut Deltas<'_>) -> Result<Completion, ProviderError> {
        let mut calls = 0;
        for line in &self.answer.lines {
            match line {
                Line::Text(text) => self.say(deltas, &self.fill(text), Delta::text).await?,
                Line::Thought(text) => self.say(deltas, &self.fill(text), Delta::thought).await?,
                Line::Signature(signature) => {
                    let mut delta = Delta::thought("");
                    delta.kind = DeltaKind::Thought { signature: Some(signature.clone()) };
                    push(deltas, delta).await?;
                }
                Line::ToolCall(call) => {
                    let arguments = self.fill_json(&call.raw_arguments());
                    push(deltas, Delta::tool_call(calls, call.id.clone(), Some(call.name.clone()), arguments)).await?;
                    calls += 1;
                    self.rest().await;
                }
                Line::PauseMs(pause) if self.pace > Duration::ZERO => {
                    tokio::time::sleep(Duration::from_millis(*pause)).await;
                }
                Line::Error(failure) => return Err(failure.into()),
                Line::End(end) => return Ok(end.into()),
                Line::PauseMs(_) | Line::Recording(_) | Line::Expect(_) => {}
            }
        }
        Err(refused(format!("the recording `{}` has an answer without end", self.name)))
    }

    /// Says it at once, or word by word if there is to be a pace.
    async fn say(&self, deltas: &mut Deltas<'_>, text: &str, delta: fn(String) -> Delta) -> Result<(), ProviderError> {
        if self.pace.is_zero() {
            return push(deltas, delta(text.to_owned())).await;
        }
        for word in text.split_inclusive(char::is_whitespace) {
            push(deltas, delta(word.to_owned())).await?;
            self.rest().await;
        }
        Ok(())
    }

    async fn rest(&self) {
        if !self.pace.is_zero() {
            tokio::time::sleep(self.pace).await;
        }
    }

    fn fill<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match &self.cwd {
            Some(cwd) if text.contains(CWD) => Cow::Owned(text.replace(CWD, cwd)),
            _ => Cow::Borrowed(text),
        }
    }

    /// Inside JSON text, where the directory's name may need escapes.
    fn fill_json(&self, json: &str) -> String {
        match &self.cwd {
            Some(cwd) if json.contains(CWD) => {
                let quoted = serde_json::Value::from(&**cwd).to_string();
                json.replace(CWD, &quoted[1..quoted.len() - 1])
            }
            _ => json.to_owned(),
        }
    }
}

async fn push(deltas: &mut Deltas<'_>, delta: Delta) -> Result<(), ProviderError> {
    deltas.push(delta).await.map_err(|refused| ProviderError::new(ProviderErrorKind::Protocol, refused.to_string()))
}
