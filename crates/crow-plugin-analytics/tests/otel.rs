//! What reaches an OpenTelemetry collector, and what does not.
#![cfg(feature = "otel")]

mod common;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use common::{Stage, Step};
use crow_acp::ProviderErrorKind;
use serde_json::Value;

/// A collector that keeps every request: path, headers and body.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<(String, String, String)>>>);

impl Collector {
    /// Starts one that answers with `status`, and gives its address.
    fn start(&self, status: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let kept = self.0.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = kept.clone();
                std::thread::spawn(move || serve(stream, status, &kept));
            }
        });
        address
    }

    fn all(&self, path: &str) -> Vec<Value> {
        let kept = self.0.lock().unwrap();
        let bodies = kept.iter().filter(|(to, ..)| to == path).map(|(_, _, body)| serde_json::from_str(body).unwrap());
        bodies.collect()
    }

    fn spans(&self) -> Vec<Value> {
        let spans = |body: &Value| body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone();
        self.all("/v1/traces").iter().flat_map(spans).collect()
    }

    fn text(&self) -> String {
        self.0.lock().unwrap().iter().flat_map(|(path, head, body)| [path.as_str(), head, body]).collect()
    }
}

type Kept = Mutex<Vec<(String, String, String)>>;

fn serve(mut stream: TcpStream, status: &str, kept: &Kept) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 8192];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            let length: usize = length.unwrap_or(0);
            if body.len() >= length {
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                kept.lock().unwrap().push((path, head.to_owned(), body[..length].to_owned()));
                let _ = stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}").as_bytes());
                bytes.clear();
                continue;
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}

fn attribute<'a>(of: &'a Value, key: &str) -> Option<&'a Value> {
    let attributes = of["attributes"].as_array()?;
    let found = attributes.iter().find(|attribute| attribute["key"] == key)?;
    found["value"].as_object()?.values().next()
}

fn config(address: &str) -> String {
    format!(
        "[plugins.analytics.otel]\nendpoint = \"{address}\"\nservice_name = \"my-crow\"\ninterval_seconds = 3600\n\
         headers = {{ authorization = \"Bearer planted-header\" }}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_and_metrics_follow_the_conventions() {
    let collector = Collector::default();
    let stage = Stage::new(&config(&collector.start("200 OK"))).await;
    stage.prompt(&[Step::Call("good"), Step::Call("bad"), Step::Say(200, 50)]).await;
    stage.prompt(&[Step::Fail(ProviderErrorKind::Server)]).await;
    let session = stage.session.id().to_owned();
    stage.agent.shutdown().await;

    let spans = collector.spans();
    let names: Vec<&str> = spans.iter().filter_map(|span| span["name"].as_str()).collect();
    let count = |name: &str| names.iter().filter(|known| **known == name).count();
    assert_eq!(
        [count("invoke_agent crow"), count("chat m"), count("execute_tool good"), count("execute_tool bad")],
        [2, 4, 1, 1],
        "{names:?}"
    );
    let root = spans.iter().find(|span| span["name"] == "invoke_agent crow").unwrap();
    assert_eq!(attribute(root, "gen_ai.conversation.id").unwrap(), &Value::from(session));
    let children: Vec<&Value> = spans.iter().filter(|span| span["parentSpanId"] == root["spanId"]).collect();
    assert_eq!(children.len(), 5);
    assert!(children.iter().all(|child| child["traceId"] == root["traceId"]));
    for span in &spans {
        assert_eq!(span["traceId"].as_str().unwrap().len(), 32);
        assert_eq!(span["spanId"].as_str().unwrap().len(), 16);
        let time = |key: &str| span[key].as_str().unwrap().parse::<u128>().unwrap();
        assert!(time("endTimeUnixNano") >= time("startTimeUnixNano"));
    }
    let chat = spans.iter().rfind(|span| span["name"] == "chat m" && span["status"]["code"].is_null()).unwrap();
    assert_eq!(attribute(chat, "gen_ai.operation.name").unwrap(), "chat");
    assert_eq!(attribute(chat, "gen_ai.provider.name").unwrap(), "test");
    assert_eq!(attribute(chat, "gen_ai.usage.input_tokens").unwrap(), "200");
    assert_eq!(attribute(chat, "gen_ai.usage.output_tokens").unwrap(), "50");
    let failed: Vec<&Value> = spans.iter().filter(|span| span["status"]["code"] == 2).collect();
    let kinds: Vec<&Value> = failed.iter().filter_map(|span| attribute(span, "error.type")).collect();
    assert_eq!(kinds, ["failed", "server", "run_failed"]);

    let metrics = collector.all("/v1/metrics");
    let metrics = metrics.last().unwrap()["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array().unwrap();
    let metric = |name: &str| metrics.iter().find(|metric| metric["name"] == name).unwrap();
    let tokens = metric("gen_ai.client.token.usage")["histogram"]["dataPoints"].as_array().unwrap();
    let sum = |kind: &str| {
        let point = tokens.iter().find(|point| attribute(point, "gen_ai.token.type").unwrap() == kind).unwrap();
        point["sum"].as_f64().unwrap()
    };
    assert_eq!((sum("input"), sum("output")), (400.0, 70.0));
    let seconds = metric("gen_ai.client.operation.duration")["histogram"]["dataPoints"].as_array().unwrap();
    let calls: u64 = seconds.iter().map(|point| point["count"].as_str().unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(calls, 4 + 2, "requests and tools");
    assert!(collector.text().contains("my-crow"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_said_and_no_secret_is_exported() {
    let collector = Collector::default();
    let stage = Stage::new(&config(&collector.start("200 OK"))).await;
    stage.prompt(&[Step::Call("bad"), Step::Call("planted_name"), Step::Fail(ProviderErrorKind::Server)]).await;
    let home = stage.home.path().to_string_lossy().into_owned();
    stage.agent.shutdown().await;
    let text = collector.text();
    assert!(text.contains("execute_tool (unknown)") && text.contains("authorization: Bearer planted-header"), "{text}");
    let text = text.replace("Bearer planted-header", "");
    // The prompt, tools' errors, providers' errors and names that a model makes up all say "planted".
    assert!(!text.contains("planted"), "{text}");
    assert!(!text.contains(&home), "not even where the work is done: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_collector_the_agent_works_all_the_same() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let stage = Stage::new(&config(&format!("http://{gone}"))).await;
    let outcome = stage.prompt(&[]).await;
    assert!(outcome.error.is_none());
    let (report, _home) = stage.report().await;
    assert_eq!(report.total.requests, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_exported_unless_it_is_asked_for() {
    let collector = Collector::default();
    drop(collector.start("200 OK"));
    let stage = Stage::new("").await;
    stage.prompt(&[]).await;
    stage.agent.shutdown().await;
    assert_eq!(collector.text(), "");
}
