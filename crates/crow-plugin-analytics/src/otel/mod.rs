//! Export to an OpenTelemetry collector: OTLP as JSON over HTTP, GenAI semantic conventions. Written by hand, because JSON
//! and an HTTP client are in the program already, while the SDK would bring a dozen crates and a pipeline of its own.
//!
//! Only [records](crate::record) are exported, and those hold nothing that anybody said.

mod metrics;
mod span;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crow_acp::Secrets;
use reqwest::Client;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use crate::record::Record;
use crate::settings::Otel;
use metrics::Metrics;

/// Records that wait for the task. Those that find no room are left out, and counted.
const QUEUE: usize = 4096;

/// Spans that wait while the collector cannot be reached.
const MOST_WAITING: usize = 4096;

/// The longest that one export may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest that the last export may take: the agent goes down.
const LAST: Duration = Duration::from_millis(1500);

enum Job {
    Record(Record),
    Close(oneshot::Sender<()>),
}

/// The way to the task that exports.
#[derive(Debug)]
pub(crate) struct Exporter {
    jobs: mpsc::Sender<Job>,
    overrun: Arc<AtomicBool>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Job")
    }
}

impl Exporter {
    /// Starts the task. `None`: there is no client to be had, which the log says.
    pub(crate) fn start(settings: &Otel, secrets: &Secrets) -> Option<Self> {
        let runtime = Handle::try_current().ok()?;
        let client = match client(settings) {
            Ok(client) => client,
            Err(error) => {
                tracing::warn!("analytics: nothing is exported: {}", secrets.scrub(&error));
                return None;
            }
        };
        let (jobs, queue) = mpsc::channel(QUEUE);
        let overrun = Arc::new(AtomicBool::new(false));
        let task = Task {
            client,
            endpoint: settings.endpoint.clone(),
            secrets: secrets.clone(),
            resource: resource(settings),
            spans: Vec::new(),
            metrics: Metrics::default(),
            told: false,
        };
        runtime.spawn(task.run(queue, Duration::from_secs(settings.interval_seconds)));
        Some(Self { jobs, overrun })
    }

    /// Exports a record, soon. Never waits.
    pub(crate) fn export(&self, record: &Record) {
        if matches!(record, Record::Hooks(_)) {
            return;
        }
        if self.jobs.try_send(Job::Record(record.clone())).is_err() && !self.overrun.swap(true, Ordering::Relaxed) {
            tracing::warn!("analytics: more happens than can be exported; some of it is left out");
        }
    }

    /// Exports what waits and ends the task.
    pub(crate) async fn close(&self) {
        let (done, end) = oneshot::channel();
        if self.jobs.send(Job::Close(done)).await.is_ok() {
            // Nothing more can be done about what cannot be exported in time.
            let _ = tokio::time::timeout(LAST, end).await;
        }
    }
}

struct Task {
    client: Client,
    endpoint: String,
    secrets: Secrets,
    resource: Value,
    spans: Vec<Value>,
    metrics: Metrics,
    told: bool,
}

impl Task {
    async fn run(mut self, mut queue: mpsc::Receiver<Job>, interval: Duration) {
        let mut tick = tokio::time::interval(interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                job = queue.recv() => match job {
                    Some(Job::Record(record)) => {
                        self.metrics.add(&record);
                        self.spans.extend(span::of(&record).filter(|_| self.spans.len() < MOST_WAITING));
                    }
                    Some(Job::Close(done)) => {
                        self.export().await;
                        let _ = done.send(());
                        return;
                    }
                    None => return,
                },
                _ = tick.tick() => self.export().await,
            }
        }
    }

    async fn export(&mut self) {
        if !self.spans.is_empty() {
            let scope = json!({ "name": "crow", "version": env!("CARGO_PKG_VERSION") });
            let spans = json!({ "scope": scope, "spans": self.spans });
            let body = json!({ "resourceSpans": [{ "resource": self.resource, "scopeSpans": [spans] }] });
            if self.send("v1/traces", &body).await {
                self.spans.clear();
            }
        }
        if let Some(metrics) = self.metrics.changed() {
            let scope = json!({ "name": "crow", "version": env!("CARGO_PKG_VERSION") });
            let metrics = json!({ "scope": scope, "metrics": metrics });
            let body = json!({ "resourceMetrics": [{ "resource": self.resource, "scopeMetrics": [metrics] }] });
            if self.send("v1/metrics", &body).await {
                self.metrics.sent();
            }
        }
    }

    /// Whether the collector is done with it. What it refuses it will refuse again: that does not wait.
    async fn send(&mut self, path: &str, body: &Value) -> bool {
        let request = self.client.post(format!("{}/{path}", self.endpoint));
        let request = request.header("content-type", "application/json").body(body.to_string());
        let (problem, done) = match request.send().await {
            Ok(answer) if answer.status().is_success() => {
                self.told = false;
                return true;
            }
            Ok(answer) => {
                let status = answer.status();
                (format!("the collector answers {path} with {status}"), status.is_client_error())
            }
            Err(error) => (format!("the collector cannot be reached: {}", error.without_url()), false),
        };
        if !std::mem::replace(&mut self.told, true) {
            tracing::warn!("analytics: {}", self.secrets.scrub(&problem));
        }
        done
    }
}

fn resource(settings: &Otel) -> Value {
    let attributes =
        [span::text("service.name", &settings.service_name), span::text("service.version", env!("CARGO_PKG_VERSION"))];
    json!({ "attributes": attributes })
}

fn client(settings: &Otel) -> Result<Client, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &settings.headers {
        let name: HeaderName = name.parse().map_err(|_| format!("`{name}` is no header"))?;
        let mut value: HeaderValue =
            value.expose().parse().map_err(|_| format!("the value of `{name}` is no header's"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    let secure = settings.endpoint.starts_with("https://");
    let mut builder = Client::builder()
        .user_agent(concat!("crow/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .tls_backend_preconfigured(tls(secure)?)
        .timeout(PATIENCE)
        .http1_only()
        // A redirect would take the headers to where nobody meant them to go.
        .redirect(reqwest::redirect::Policy::none());
    if !secure {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| error.to_string())
}

/// What this machine trusts; without TLS there is nothing to load.
fn tls(secure: bool) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    if !secure {
        return Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
    }
    let verifier = Verifier::new(provider).map_err(|error| error.to_string())?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}
