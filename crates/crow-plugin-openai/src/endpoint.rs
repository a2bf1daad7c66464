//! One endpoint: the provider that the run loop asks.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crow_acp::{
    BoxFuture, Completion, ConfigError, DeltaRefused, Deltas, Model, ModelId, Provider, ProviderConfig, ProviderError,
    ProviderErrorKind as Kind, Request, Secrets,
};
use crow_provider_http::{self as http, BadValue, Clients, Route};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{RequestBuilder, Response, Url};
use tokio::time::{Instant, timeout, timeout_at};

use crate::answer::Answer;
use crate::chunk::Chunk;
use crate::dialect::Dialect;
use crate::sse::SseReader;
use crate::{body, embeddings};

/// Where requests go if the configuration does not say.
const OPENAI: &str = "https://api.openai.com/v1";

/// How much of an answer that is no stream is read, in bytes.
const MAX_BODY: usize = 32 * 1024 * 1024;

/// How long to wait for the end of a stream that has said it is done: read to its end, the connection serves again.
const LINGER: Duration = Duration::from_millis(10);

/// Why an answer did not come to its end.
enum Stopped {
    /// The endpoint's doing.
    Failed(ProviderError),
    /// Somebody on our side would not have it.
    Refused(DeltaRefused),
}

impl From<ProviderError> for Stopped {
    fn from(error: ProviderError) -> Self {
        Self::Failed(error)
    }
}

impl From<DeltaRefused> for Stopped {
    fn from(refused: DeltaRefused) -> Self {
        Self::Refused(refused)
    }
}

/// An endpoint that speaks Chat Completions.
#[derive(Debug)]
pub(crate) struct Endpoint {
    name: String,
    base: Url,
    headers: HeaderMap,
    has_key: bool,
    dialect: Dialect,
    route: Route,
    first_byte: Duration,
    idle: Duration,
    /// The names of the models that somebody said something of.
    told: BTreeSet<String>,
    /// Why it cannot be used.
    unusable: Option<ConfigError>,
    clients: Arc<Clients>,
    secrets: Secrets,
}

impl Endpoint {
    /// The endpoint that `[providers.NAME]` describes.
    ///
    /// # Errors
    /// A key of it whose value makes no sense.
    pub(crate) fn new(
        name: &str,
        config: &ProviderConfig,
        clients: &Arc<Clients>,
        secrets: &Secrets,
    ) -> Result<Self, BadValue> {
        let wrong = |key: &str, why: &str| BadValue::new(name, key, why);
        let base: Option<Url> = config.base_url.as_deref().unwrap_or(OPENAI).trim().parse().ok();
        let base = base
            .filter(|base| matches!(base.scheme(), "http" | "https"))
            .ok_or_else(|| wrong("base_url", "expected an address such as http://127.0.0.1:8080/v1"))?;
        let mut headers = HeaderMap::new();
        let mut add = |header: HeaderName, value: &str, key: &str| {
            let mut value =
                HeaderValue::from_str(value).map_err(|_| wrong(key, "holds characters that a header cannot have"))?;
            value.set_sensitive(true);
            headers.insert(header, value);
            Ok(())
        };
        let key = config.api_key.as_ref().map(|key| key.expose().trim()).filter(|key| !key.is_empty());
        if let Some(key) = key {
            add(AUTHORIZATION, &format!("Bearer {key}"), "api_key")?;
        }
        for (header, value) in &config.headers {
            let key = format!("headers.{header}");
            let header: HeaderName = header.parse().map_err(|_| wrong(&key, "is not the name of a header"))?;
            add(header, value.expose(), &key)?;
        }
        Ok(Self {
            name: name.to_owned(),
            dialect: Dialect::of(&base),
            has_key: key.is_some() || headers.contains_key(AUTHORIZATION) || headers.contains_key("api-key"),
            base,
            headers,
            route: Route::of(config),
            first_byte: config.first_byte_timeout,
            idle: config.idle_timeout,
            told: config.models.keys().cloned().collect(),
            unusable: config.error.clone(),
            clients: Arc::clone(clients),
            secrets: secrets.clone(),
        })
    }

    /// The name before the slash in `PROVIDER/MODEL`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The models that are known without asking: the bundled table's, the configured ones and the `default` one.
    pub(crate) fn models(&self, config: &ProviderConfig, default: Option<&ModelId>) -> Vec<Model> {
        http::known_models(&self.name, &self.base, config, default)
    }

    /// The address of `path` below the base; a query of the base (an API version) is kept.
    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// The error as the user reads it: who it was, and no secret in it.
    fn error(&self, mut error: ProviderError) -> ProviderError {
        let host = self.base.host_str().unwrap_or_default();
        let port = self.base.port().map(|port| format!(":{port}")).unwrap_or_default();
        let mut message = format!("provider `{}` ({host}{port}) {}", self.name, error.message);
        if error.kind == Kind::Authentication && !self.has_key {
            message.push_str("; it has no `api_key` in the configuration");
        }
        error.message = self.secrets.scrub(&message).into_owned();
        error
    }

    fn check(&self) -> Result<(), ProviderError> {
        match &self.unusable {
            Some(error) => Err(ProviderError::new(Kind::Authentication, error.to_string())),
            None => Ok(()),
        }
    }

    async fn send(&self, request: RequestBuilder, deadline: Instant) -> Result<Response, ProviderError> {
        let sent = timeout_at(deadline, request.headers(self.headers.clone()).send()).await;
        sent.map_err(|_| silent(self.first_byte))?.map_err(|error| http::from_transport(&error))
    }

    /// Puts the request, again if the endpoint's refusal told how it must read.
    async fn ask(&self, request: &Request, deadline: Instant) -> Result<Response, ProviderError> {
        let client = self.clients.get(&self.route)?;
        let url = self.url(&["chat", "completions"]);
        // A model that nobody told of comes here without what its family can do.
        let name = &request.model.id.name;
        let images = request.model.images
            || !self.told.contains(name) && http::lookup(request.model.id.clone(), &self.base).images;
        for last in [false, false, true] {
            let limit = request.parameters.max_output_tokens.map(|_| self.dialect.limit_field());
            let body = body::write(request, images, &self.dialect)
                .map_err(|error| ProviderError::new(Kind::BadRequest, format!("cannot be asked: {error}")))?;
            let post = client
                .post(url.clone())
                .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
                .header(ACCEPT, HeaderValue::from_static("text/event-stream"))
                .body(body);
            let response = self.send(post, deadline).await?;
            if response.status().is_success() {
                return Ok(response);
            }
            let (told, error) = self.refused(response, deadline).await;
            let malformed = matches!(error.status, Some(400 | 422)) && error.kind == Kind::BadRequest;
            if last || !malformed || !self.dialect.learn(&told, limit) {
                return Err(error);
            }
            tracing::debug!(provider = self.name, "asking again, as the refusal said");
        }
        Err(ProviderError::new(Kind::BadRequest, "cannot be asked in any way it takes"))
    }

    /// The error of an answer with another status than 200, and what it said.
    async fn refused(&self, mut response: Response, deadline: Instant) -> (String, ProviderError) {
        const ENOUGH: usize = 64 * 1024;
        let mut body = Vec::new();
        // What cannot be read of it is not missed: the status says enough.
        while let Ok(Ok(Some(bytes))) = timeout_at(deadline, response.chunk()).await {
            body.extend_from_slice(&bytes);
            if body.len() > ENOUGH {
                break;
            }
        }
        let (told, error) = http::from_status(response.status(), response.headers(), &body);
        (told.message, error)
    }

    async fn converse(&self, request: &Request, deltas: &mut Deltas<'_>) -> Result<Completion, Stopped> {
        self.check()?;
        let deadline = Instant::now() + self.first_byte;
        let response = self.ask(request, deadline).await?;
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.starts_with("text/html") {
            let message = "answered with a web page instead of a stream; is its `base_url` right?";
            return Err(ProviderError::new(Kind::Protocol, message).into());
        }
        if kind.starts_with("application/json") {
            return self.whole(response, deadline, deltas).await;
        }
        self.streamed(response, deadline, deltas).await
    }

    /// Reads a stream to its end.
    async fn streamed(
        &self,
        mut response: Response,
        deadline: Instant,
        deltas: &mut Deltas<'_>,
    ) -> Result<Completion, Stopped> {
        let mut reader = SseReader::default();
        let mut answer = Answer::default();
        let mut begun = false;
        let done = loop {
            let bytes = if begun {
                timeout(self.idle, response.chunk()).await.map_err(|_| silent(self.idle))
            } else {
                timeout_at(deadline, response.chunk()).await.map_err(|_| silent(self.first_byte))
            };
            begun = true;
            match bytes.and_then(|bytes| bytes.map_err(|error| http::from_transport(&error))) {
                Ok(Some(bytes)) => reader.feed(&bytes).map_err(|_| garbled("an event of a stream without end"))?,
                Ok(None) => break false,
                // All has been said: what goes wrong now is nobody's loss.
                Err(_) if answer.is_finished() => break false,
                Err(error) => return Err(error.into()),
            }
            let mut done = false;
            while let Some(data) = reader.next() {
                done = read(data, &mut answer)?;
                while let Some(delta) = answer.next_delta() {
                    deltas.push(delta).await?;
                }
                if done {
                    break;
                }
            }
            if done {
                break true;
            }
        };
        let done = done || reader.end().is_some_and(|data| read(data, &mut answer).unwrap_or(false));
        if !done && !answer.is_finished() {
            return Err(ProviderError::new(Kind::Connection, "broke the connection in the middle of its answer").into());
        }
        while let Some(delta) = answer.next_delta() {
            deltas.push(delta).await?;
        }
        if done {
            while let Ok(Ok(Some(_))) = timeout(LINGER, response.chunk()).await {}
        }
        Ok(answer.completion())
    }

    /// Reads an answer that came in one piece although a stream was asked for.
    async fn whole(
        &self,
        response: Response,
        deadline: Instant,
        deltas: &mut Deltas<'_>,
    ) -> Result<Completion, Stopped> {
        let body = self.body(response, deadline).await?;
        let mut answer = Answer::default();
        read(&body, &mut answer)?;
        if !answer.is_finished() {
            return Err(garbled(&http::snippet(&body)).into());
        }
        while let Some(delta) = answer.next_delta() {
            deltas.push(delta).await?;
        }
        Ok(answer.completion())
    }

    async fn body(&self, mut response: Response, deadline: Instant) -> Result<Vec<u8>, ProviderError> {
        let mut body = Vec::new();
        loop {
            let bytes = timeout_at(deadline, response.chunk()).await.map_err(|_| silent(self.first_byte))?;
            match bytes.map_err(|error| http::from_transport(&error))? {
                Some(bytes) => body.extend_from_slice(&bytes),
                None => return Ok(body),
            }
            if body.len() > MAX_BODY {
                return Err(garbled("an answer without end"));
            }
        }
    }

    async fn ask_models(&self) -> Result<Vec<Model>, ProviderError> {
        /// A list is no answer of a model: nobody waits long for it.
        const PATIENCE: Duration = Duration::from_secs(30);
        self.check()?;
        let deadline = Instant::now() + self.first_byte.min(PATIENCE);
        let response = self.send(self.clients.get(&self.route)?.get(self.url(&["models"])), deadline).await?;
        if !response.status().is_success() {
            return Err(self.refused(response, deadline).await.1);
        }
        let body = self.body(response, deadline).await?;
        let list = serde_json::from_slice(&body).ok();
        list.and_then(|list| http::from_endpoint(&self.name, &self.base, &list))
            .ok_or_else(|| garbled(&http::snippet(&body)))
    }
}

impl Endpoint {
    /// One vector for each text, by `/embeddings`.
    ///
    /// # Errors
    /// The endpoint's, told as of this provider.
    pub(crate) async fn embed(&self, model: &str, texts: &[String]) -> Result<Vec<Vec<f32>>, ProviderError> {
        self.ask_embeddings(model, texts).await.map_err(|error| self.error(error))
    }

    async fn ask_embeddings(&self, model: &str, texts: &[String]) -> Result<Vec<Vec<f32>>, ProviderError> {
        self.check()?;
        let deadline = Instant::now() + self.first_byte;
        let post = self
            .clients
            .get(&self.route)?
            .post(self.url(&["embeddings"]))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(embeddings::request(model, texts));
        let response = self.send(post, deadline).await?;
        if !response.status().is_success() {
            return Err(self.refused(response, deadline).await.1);
        }
        let body = self.body(response, deadline).await?;
        embeddings::read(&body, texts.len()).ok_or_else(|| garbled(&http::snippet(&body)))
    }
}

impl Provider for Endpoint {
    fn stream<'a>(
        &'a self,
        request: &'a Request,
        deltas: &'a mut Deltas<'_>,
    ) -> BoxFuture<'a, Result<Completion, ProviderError>> {
        Box::pin(async move {
            self.converse(request, deltas).await.map_err(|stopped| match stopped {
                Stopped::Failed(error) => self.error(error),
                Stopped::Refused(refused) => ProviderError::new(Kind::Protocol, refused.to_string()),
            })
        })
    }

    fn list_models(&self) -> BoxFuture<'_, Result<Vec<Model>, ProviderError>> {
        Box::pin(async move { self.ask_models().await.map_err(|error| self.error(error)) })
    }
}

/// Reads one event; true if it says that the stream is done.
fn read(data: &[u8], answer: &mut Answer) -> Result<bool, ProviderError> {
    let data = data.trim_ascii();
    if data.is_empty() {
        return Ok(false);
    }
    if data == b"[DONE]" {
        return Ok(true);
    }
    let chunk = match serde_json::from_slice::<Chunk>(data) {
        Ok(chunk) if chunk.says_something() => chunk,
        // Rarely here: errors in other clothes, and chunks that tell nothing.
        parsed => {
            let value: serde_json::Value = serde_json::from_slice(data).unwrap_or_default();
            if let Some(told) = http::Told::from_value(&value).filter(|told| !told.message.is_empty()) {
                tracing::debug!(code = told.code, "an error inside a stream");
                return Err(http::from_stream(&value));
            }
            return parsed.map(|_| false).map_err(|_| garbled(&http::snippet(data)));
        }
    };
    if let Some(told) = &chunk.error {
        return Err(http::from_stream(told));
    }
    answer.take(chunk.choices, chunk.usage.map(crate::chunk::WireUsage::to_usage));
    Ok(false)
}

fn silent(limit: Duration) -> ProviderError {
    ProviderError::new(Kind::Timeout, format!("said nothing for {} s", limit.as_secs_f64()))
}

fn garbled(what: &str) -> ProviderError {
    ProviderError::new(Kind::Protocol, format!("sent what is no answer of a model: {what}"))
}

#[cfg(test)]
mod tests;
