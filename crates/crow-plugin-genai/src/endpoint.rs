//! One endpoint: the provider that the run loop asks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crow_acp::{
    BoxFuture, Completion, ConfigError, DeltaRefused, Deltas, Model, ModelId, Provider, ProviderConfig, ProviderError,
    ProviderErrorKind as Kind, Request, Secret, Secrets,
};
use crow_provider_http::{self as http, BadValue, Clients, Route};
use futures_util::StreamExt;
use genai::chat::ChatStreamEvent;
use genai::resolver::{AuthData, Endpoint as Address};
use genai::{Client, Headers, ModelIden, ServiceTarget};
use reqwest::Url;

use crate::answer::Answer;
use crate::protocol::Protocol;
use crate::{error, request};

/// An endpoint that speaks one of the protocols.
#[derive(Debug)]
pub(crate) struct Endpoint {
    name: String,
    protocol: Protocol,
    base: Url,
    key: Option<Secret>,
    headers: Vec<(String, Secret)>,
    route: Route,
    first_byte: Duration,
    idle: Duration,
    config: ProviderConfig,
    /// Why it cannot be used.
    unusable: Option<ConfigError>,
    clients: Arc<Clients>,
    /// Made when the first model is asked.
    client: Mutex<Option<Client>>,
    secrets: Secrets,
}

/// Why an answer did not come to its end.
enum Stopped {
    /// The endpoint's doing.
    Failed(ProviderError),
    /// Somebody on our side would not have it.
    Refused(DeltaRefused),
}

impl From<DeltaRefused> for Stopped {
    fn from(refused: DeltaRefused) -> Self {
        Self::Refused(refused)
    }
}

impl Endpoint {
    /// The endpoint that `[providers.NAME]` describes.
    ///
    /// # Errors
    /// A key of it whose value makes no sense.
    pub(crate) fn new(
        name: &str,
        protocol: Protocol,
        config: &ProviderConfig,
        clients: &Arc<Clients>,
        secrets: &Secrets,
    ) -> Result<Self, BadValue> {
        let wrong = |key: &str, why: &str| BadValue::new(name, key, why);
        let address = config.base_url.as_deref().unwrap_or(protocol.address()).trim();
        // The crate puts its paths right behind the address.
        let address = format!("{}/", address.trim_end_matches('/'));
        let base: Option<Url> = address.parse().ok();
        let base = base
            .filter(|base| matches!(base.scheme(), "http" | "https"))
            .ok_or_else(|| wrong("base_url", &format!("expected an address such as {}", protocol.address())))?;
        let is_sendable = |text: &str| text.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f));
        let key = config.api_key.as_ref().map(|key| key.expose().trim()).filter(|key| !key.is_empty());
        if key.is_some_and(|key| !is_sendable(key)) {
            return Err(wrong("api_key", "holds characters that a header cannot have"));
        }
        for (header, value) in &config.headers {
            let is_name = reqwest::header::HeaderName::from_bytes(header.as_bytes()).is_ok();
            if !is_name || !is_sendable(value.expose()) {
                return Err(wrong(&format!("headers.{header}"), "cannot be sent as a header"));
            }
        }
        Ok(Self {
            name: name.to_owned(),
            protocol,
            base,
            key: key.map(Secret::new),
            headers: config.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            route: Route::of(config),
            first_byte: config.first_byte_timeout,
            idle: config.idle_timeout,
            config: config.clone(),
            unusable: config.error.clone(),
            clients: Arc::clone(clients),
            client: Mutex::default(),
            secrets: secrets.clone(),
        })
    }

    /// The name before the slash in `PROVIDER/MODEL`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The models that are known without asking.
    pub(crate) fn models(&self, default: Option<&ModelId>) -> Vec<Model> {
        http::known_models(&self.name, &self.base, &self.config, default)
    }

    fn client(&self) -> Result<Client, ProviderError> {
        if let Some(error) = &self.unusable {
            return Err(ProviderError::new(Kind::Authentication, error.to_string()));
        }
        let mut made = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*made {
            return Ok(client.clone());
        }
        let client = Client::builder().with_reqwest(self.clients.get(&self.route)?).build();
        let client = client.map_err(|error| {
            ProviderError::new(Kind::Unsupported, format!("cannot be asked: no HTTP client: {error}"))
        })?;
        *made = Some(client.clone());
        Ok(client)
    }

    fn auth(&self) -> AuthData {
        AuthData::from_single(self.key.as_ref().map(Secret::expose).unwrap_or_default())
    }

    fn address(&self) -> Address {
        Address::from_owned(self.base.as_str())
    }

    async fn answer(&self, request: &Request, deltas: &mut Deltas<'_>) -> Result<Completion, Stopped> {
        let client = self.client().map_err(Stopped::Failed)?;
        let target = ServiceTarget {
            endpoint: self.address(),
            auth: self.auth(),
            model: ModelIden::new(self.protocol.kind(), request.model.id.name.as_str()),
        };
        let headers: Vec<(String, String)> =
            self.headers.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect();
        let mut options = request::options(self.protocol, request)
            .with_stream_header_timeout(self.first_byte)
            .with_stream_read_timeout(self.idle);
        if !headers.is_empty() {
            options = options.with_extra_headers(Headers::from(headers));
        }
        let failed = |error: &genai::Error| Stopped::Failed(error::read(self.protocol, error));
        let conversation = request::conversation(self.protocol, request);
        let response = client.exec_chat_stream(target, conversation, Some(&options)).await;
        let mut events = response.map_err(|error| failed(&error))?.stream;
        let mut answer = Answer::new(self.protocol, deltas);
        while let Some(event) = events.next().await {
            match event.map_err(|error| failed(&error))? {
                ChatStreamEvent::Chunk(chunk) => answer.text(chunk.content).await?,
                ChatStreamEvent::ReasoningChunk(chunk) => answer.thought(chunk.content).await?,
                ChatStreamEvent::ThoughtSignatureChunk(chunk) => answer.signature(&chunk.content).await?,
                ChatStreamEvent::ToolCallChunk(chunk) => answer.call(chunk.tool_call).await?,
                ChatStreamEvent::End(end) => return Ok(answer.end(end).await?),
                ChatStreamEvent::Start | ChatStreamEvent::Heartbeat => {}
            }
        }
        Err(Stopped::Failed(error::cut_off()))
    }

    async fn ask_models(&self) -> Result<Vec<Model>, ProviderError> {
        let client = self.client()?;
        let asked = client.all_model_names(self.protocol.kind(), (self.address(), self.auth()));
        let names = in_time(self.first_byte, asked).await?;
        let names = names.map_err(|error| error::read(self.protocol, &error))?;
        let mut models: Vec<Model> =
            names.into_iter().map(|name| http::lookup(ModelId::new(&self.name, name), &self.base)).collect();
        http::apply_overrides(&mut models, &self.config);
        models.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(models)
    }

    /// The error as the user reads it: who it was, and no secret in it.
    fn error(&self, mut error: ProviderError) -> ProviderError {
        let host = self.base.host_str().unwrap_or_default();
        let port = self.base.port().map(|port| format!(":{port}")).unwrap_or_default();
        let mut message = format!("provider `{}` ({host}{port}) {}", self.name, error.message);
        if error.kind == Kind::Authentication && self.key.is_none() {
            message.push_str("; it has no `api_key` in the configuration");
        }
        error.message = self.secrets.scrub(&message).into_owned();
        error
    }
}

async fn in_time<T>(limit: Duration, future: impl Future<Output = T>) -> Result<T, ProviderError> {
    let late = || ProviderError::new(Kind::Timeout, format!("said nothing for {} s", limit.as_secs_f64()));
    tokio::time::timeout(limit, future).await.map_err(|_| late())
}

impl Provider for Endpoint {
    fn stream<'a>(
        &'a self,
        request: &'a Request,
        deltas: &'a mut Deltas<'_>,
    ) -> BoxFuture<'a, Result<Completion, ProviderError>> {
        Box::pin(async move {
            match self.answer(request, deltas).await {
                Ok(completion) => Ok(completion),
                Err(Stopped::Failed(error)) => Err(self.error(error)),
                // Not the endpoint's fault, so that its name does not belong there.
                Err(Stopped::Refused(refused)) => Err(ProviderError::new(Kind::Protocol, refused.to_string())),
            }
        })
    }

    fn list_models(&self) -> BoxFuture<'_, Result<Vec<Model>, ProviderError>> {
        Box::pin(async move { self.ask_models().await.map_err(|error| self.error(error)) })
    }
}
