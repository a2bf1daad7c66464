//! What the service brings along. All of it could come from elsewhere.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crow_hooks::{Next, Outcome, hookimpls};

use crate::{
    hooks::{Handle, Service},
    http::{Request, Response},
};

/// Answers `/hello/NAME` and `/count`.
#[derive(Debug, Default)]
pub struct Pages {
    made: AtomicU64,
}

#[hookimpls]
impl Service for Pages {
    async fn handle(&self, request: &Request) -> Option<Response> {
        let made = self.made.fetch_add(1, Ordering::Relaxed) + 1;
        match request.path.strip_prefix("/hello/") {
            Some(name) => Some(Response::new(200, format!("Hello, {name}."))),
            None => (request.path == "/count").then(|| Response::new(200, made.to_string())),
        }
    }
}

/// Lets in only those who know the word.
#[derive(Debug)]
pub struct Door {
    /// The word, in the header `x-word`.
    pub word: String,
}

/// Why somebody is not let in.
#[derive(Debug)]
pub struct WrongWord;

impl fmt::Display for WrongWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("say the word")
    }
}

impl std::error::Error for WrongWord {}

#[hookimpls]
impl Service for Door {
    #[hookimpl(tryfirst)]
    fn on_request(&self, request: &mut Request) -> Result<(), WrongWord> {
        // Nobody after this one sees the word.
        if request.headers.remove("x-word").is_some_and(|word| word == self.word) { Ok(()) } else { Err(WrongWord) }
    }
}

/// Remembers answers: a wrapper that answers in place of everybody else.
#[derive(Debug, Default)]
pub struct Cache {
    known: Mutex<HashMap<String, Response>>,
}

#[hookimpls]
impl Service for Cache {
    #[hookimpl(wrapper)]
    async fn handle(&self, mut next: Next<'_, Handle>) -> Outcome<Handle> {
        let path = next.args.request.path.clone();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&path).cloned();
        if known.is_some() {
            return next.answer(known);
        }
        let response = next.run().await?;
        if let Some(response) = &response {
            self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(path, response.clone());
        }
        Ok(response)
    }

    fn on_response(&self, response: &mut Response) {
        response.headers.insert(
            "x-cached-paths".into(),
            self.known.lock().unwrap_or_else(PoisonError::into_inner).len().to_string(),
        );
    }
}

/// Writes what happened, one line per request.
#[derive(Debug, Default)]
pub struct AccessLog {
    /// The lines.
    pub lines: Mutex<Vec<String>>,
}

#[hookimpls]
impl Service for AccessLog {
    async fn after_response(&self, request: &Request, status: u16) {
        let line = format!("{} {} {status}", request.method, request.path);
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}
