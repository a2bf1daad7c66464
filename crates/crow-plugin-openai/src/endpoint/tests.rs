//! Against real servers on loopback.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use crow_acp::{Config, Delta, DeltaKind, DeltaSink, Finish, Message, ModelId, Secret, Usage};
use crow_tests::{ModelServer, Reply};
use serde_json::json;

use super::*;

const KEY: &str = "sk-very-secret-0123456789";

#[derive(Default)]
struct Heard {
    deltas: Vec<Delta>,
    /// Refuses the delta of this number.
    refuse: Option<usize>,
}

impl DeltaSink for Heard {
    fn accept(&mut self, delta: Delta) -> Result<(), DeltaRefused> {
        if self.refuse == Some(self.deltas.len()) {
            return Err(DeltaRefused("withheld".into()));
        }
        self.deltas.push(delta);
        Ok(())
    }
}

impl Heard {
    fn of(&self, wanted: fn(&DeltaKind) -> bool) -> String {
        self.deltas.iter().filter(|delta| wanted(&delta.kind)).map(|delta| delta.text.as_str()).collect()
    }

    fn text(&self) -> String {
        self.of(|kind| matches!(kind, DeltaKind::Text))
    }

    fn thought(&self) -> String {
        self.of(|kind| matches!(kind, DeltaKind::Thought { .. }))
    }

    fn calls(&self) -> Vec<(String, String, String)> {
        let mut calls: Vec<(String, String, String)> = Vec::new();
        for delta in &self.deltas {
            if let DeltaKind::ToolCall { index, id, name } = &delta.kind {
                calls.resize(calls.len().max(index + 1), Default::default());
                calls[*index].0.push_str(id.as_deref().unwrap_or_default());
                calls[*index].1.push_str(name.as_deref().unwrap_or_default());
                calls[*index].2.push_str(&delta.text);
            }
        }
        calls
    }
}

fn config(base: &str) -> ProviderConfig {
    let mut config = ProviderConfig::default();
    config.base_url = Some(base.to_owned());
    config.api_key = Some(Secret::new(KEY));
    config.connect_timeout = Duration::from_secs(5);
    config
}

fn endpoint_of(config: &ProviderConfig) -> Endpoint {
    let secrets = Secrets::default();
    secrets.add(KEY);
    Endpoint::new("test", config, &Arc::default(), &secrets).expect("a usable configuration")
}

fn endpoint(server: &ModelServer) -> Endpoint {
    endpoint_of(&config(&server.base_url()))
}

fn request() -> Request {
    Request::new("s", Model::new(ModelId::new("test", "m")), vec![Message::user("hi")])
}

async fn ask(endpoint: &Endpoint) -> (Result<Completion, ProviderError>, Heard) {
    ask_for(endpoint, &request()).await
}

async fn ask_for(endpoint: &Endpoint, request: &Request) -> (Result<Completion, ProviderError>, Heard) {
    let mut heard = Heard::default();
    let result = endpoint.stream(request, &mut Deltas::new(&mut heard)).await;
    (result, heard)
}

async fn answer(reply: Reply) -> (Completion, Heard) {
    let server = ModelServer::with([reply]);
    let (result, heard) = ask(&endpoint(&server)).await;
    (result.expect("an answer"), heard)
}

async fn failure(reply: Reply) -> (ProviderError, Heard) {
    let server = ModelServer::with([reply]);
    let (result, heard) = ask(&endpoint(&server)).await;
    let error = result.expect_err("an error");
    assert!(!error.message.contains(KEY) && !format!("{error:?}").contains(KEY), "{error:?}");
    (error, heard)
}

#[tokio::test]
async fn text_and_usage() {
    let (completion, heard) = answer(Reply::stream().text("Hel").text("lo").usage(120, 14)).await;
    assert_eq!(heard.deltas, [Delta::text("Hel"), Delta::text("lo")]);
    assert_eq!(completion, Completion::new(Finish::Stop, Some(Usage::new(120, 14))));
}

#[tokio::test]
async fn usage_in_all_its_places() {
    let (completion, _) = answer(Reply::say("a").no_usage()).await;
    assert_eq!(completion.usage, None);
    let details = r#"data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3.0,"prompt_tokens_details":{"cached_tokens":5},"completion_tokens_details":{"reasoning_tokens":2},"x":null}}"#;
    let (completion, _) = answer(Reply::say("a").no_usage().raw(format!("{details}\n\n").as_bytes())).await;
    let mut wanted = Usage::new(9, 3);
    (wanted.cached_input_tokens, wanted.reasoning_tokens) = (5, 2);
    assert_eq!(completion.usage, Some(wanted));
    let choice = r#"data: {"choices":[{"delta":{},"finish_reason":"stop","usage":{"prompt_tokens":4,"completion_tokens":1,"cached_tokens":2}}]}"#;
    let (completion, _) = answer(Reply::say("a").no_usage().raw(format!("{choice}\n\n").as_bytes())).await;
    assert_eq!(completion.usage.map(|usage| (usage.total(), usage.cached_input_tokens)), Some((5, 2)));
}

#[tokio::test]
async fn reasoning_in_either_field_or_in_parts() {
    for reply in [
        Reply::stream().thought("I see.").text("Yes."),
        Reply::stream().thought_as_reasoning("I see.").text("Yes."),
        Reply::stream().delta(&json!({ "reasoning": "I see.", "reasoning_content": "I see." })).text("Yes."),
        Reply::stream().delta(&json!({ "content": [
            { "type": "thinking", "thinking": [{ "type": "text", "text": "I see." }] }, { "type": "text", "text": "Yes." },
        ] })),
    ] {
        let (_, heard) = answer(reply).await;
        assert_eq!((heard.thought().as_str(), heard.text().as_str()), ("I see.", "Yes."));
    }
}

#[tokio::test]
async fn two_calls_in_fragments() {
    let reply = Reply::stream()
        .text("Both.")
        .tool_fragments(&json!([
            { "index": 0, "id": "a", "type": "function", "function": { "name": "read", "arguments": "" } },
            { "index": 1, "id": "b", "type": "function", "function": { "name": "list", "arguments": "{" } },
        ]))
        .tool_fragments(&json!([{ "index": 0, "function": { "arguments": "{\"p\":1}" } }, { "index": 1, "function": { "arguments": "}" } }]));
    let (completion, heard) = answer(reply).await;
    let call = |id: &str, name: &str, arguments: &str| (id.to_owned(), name.to_owned(), arguments.to_owned());
    assert_eq!(heard.calls(), [call("a", "read", "{\"p\":1}"), call("b", "list", "{}")]);
    assert_eq!(completion.finish, Finish::ToolCalls);
}

#[tokio::test]
async fn the_reason_to_stop() {
    let finish = async |reply: Reply, reason: &str| answer(reply.finish(reason)).await.0.finish;
    assert_eq!(finish(Reply::say("a"), "length").await, Finish::Length);
    assert_eq!(finish(Reply::say("a"), "content_filter").await, Finish::Refusal);
    assert_eq!(finish(Reply::say("a"), "tool_calls").await, Finish::Stop, "there is no call");
    assert_eq!(finish(Reply::call("a", "read", &json!({})), "stop").await, Finish::ToolCalls, "there is a call");
}

#[tokio::test]
async fn characters_split_across_packets() {
    let (_, heard) = answer(Reply::stream().text_byte_by_byte("Krähe 🐦‍⬛ 烏")).await;
    assert_eq!(heard.text(), "Krähe 🐦‍⬛ 烏");
}

#[tokio::test]
async fn comments_keep_it_alive() {
    let pause = Duration::from_millis(120);
    let reply = Reply::stream().gap(pause).comment("").comment("wait").comment("wait").comment("wait").text("now");
    let server = ModelServer::with([reply]);
    let mut config = config(&server.base_url());
    config.idle_timeout = Duration::from_millis(400);
    let (result, heard) = ask(&endpoint_of(&config)).await;
    result.expect("an answer");
    assert_eq!(heard.text(), "now");
}

#[tokio::test]
async fn an_error_inside_the_stream() {
    let (error, heard) = failure(Reply::stream().text("so f").stream_error("the engine died")).await;
    assert_eq!((error.kind, error.status), (Kind::Server, Some(502)));
    assert!(error.message.contains("the engine died") && error.message.contains("`test` (127.0.0.1:"), "{error}");
    assert_eq!(heard.text(), "so f");
    let bare = "data: {\"object\":\"error\",\"message\":\"maximum context length is 10\",\"code\":400}\n\n";
    let (error, _) = failure(Reply::stream().raw(bare.as_bytes()).bare()).await;
    assert_eq!(error.kind, Kind::ContextOverflow);
    let (error, _) = failure(Reply::stream().raw(b"data: Internal Server Error\n\n").bare()).await;
    assert_eq!(error.kind, Kind::Protocol);
    assert!(error.message.contains("Internal Server Error"), "{error}");
}

#[tokio::test]
async fn a_stream_cut_in_the_middle() {
    let (error, heard) = failure(Reply::stream().text("so far").cut()).await;
    assert_eq!((error.kind, heard.text().as_str()), (Kind::Connection, "so far"));
    // Ended properly as HTTP goes, but not as the protocol does.
    let (error, _) = failure(Reply::stream().text("so far").bare()).await;
    assert_eq!(error.kind, Kind::Connection);
    let (error, _) = failure(Reply::stream().raw(b"data: {\"choices\":[{\"delta\":{\"cont").bare()).await;
    assert_eq!(error.kind, Kind::Connection);
}

#[tokio::test]
async fn a_stream_whose_end_lacks_its_empty_line() {
    let (completion, heard) = answer(Reply::stream().text("a").raw(b"data: [DONE]").bare()).await;
    assert_eq!((completion.finish, heard.text().as_str()), (Finish::Stop, "a"));
}

#[tokio::test]
async fn a_connection_left_open_after_the_end() {
    let reply = Reply::stream()
        .text("a")
        .raw(b"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
        .hang();
    assert_eq!(answer(reply).await.1.text(), "a");
}

#[tokio::test]
async fn statuses() {
    let (error, _) = failure(Reply::error(429, "slow down").header("retry-after", "7")).await;
    assert_eq!(
        (error.kind, error.status, error.retry_after),
        (Kind::RateLimit, Some(429), Some(Duration::from_secs(7)))
    );
    let (error, _) = failure(Reply::error(500, "oops")).await;
    assert_eq!((error.kind, error.status), (Kind::Server, Some(500)));
    let (error, _) = failure(Reply::error(401, &format!("Incorrect API key provided: {KEY}"))).await;
    assert_eq!(error.kind, Kind::Authentication);
    assert!(error.message.contains("***"), "{error}");
    let (error, _) = failure(Reply::error(400, "This model's maximum context length is 10 tokens.")).await;
    assert_eq!(error.kind, Kind::ContextOverflow);
    let (error, _) = failure(Reply::status(404, &json!({ "detail": "Not Found" }))).await;
    assert_eq!(error.kind, Kind::NotFound);
    assert!(error.message.ends_with("answered 404 Not Found: Not Found"), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_no_stream() {
    let whole = json!({ "choices": [{ "index": 0, "finish_reason": "tool_calls", "message": {
        "role": "assistant", "content": "Look:", "tool_calls": [{ "id": "a", "type": "function", "function": { "name": "read", "arguments": "{}" } }],
    } }], "usage": { "prompt_tokens": 3, "completion_tokens": 2 } });
    let (completion, heard) = answer(Reply::status(200, &whole)).await;
    assert_eq!(completion, Completion::new(Finish::ToolCalls, Some(Usage::new(3, 2))));
    assert_eq!((heard.text().as_str(), heard.calls().len()), ("Look:", 1));
    let (error, _) = failure(Reply::status(200, &json!({ "error": { "message": "no" } }))).await;
    assert!(error.message.contains("no"), "{error}");
    let (error, _) = failure(Reply::status(200, &json!({ "hello": "world" }))).await;
    assert_eq!(error.kind, Kind::Protocol);
}

#[tokio::test]
async fn what_is_sent() {
    let server = ModelServer::with([Reply::say("a")]);
    let mut config = config(&server.base_url());
    config.headers.insert("X-Title".into(), Secret::new("Crow"));
    ask(&endpoint_of(&config)).await.0.expect("an answer");
    let sent = server.wait_requests(1);
    assert_eq!(sent.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(sent.header("x-title"), Some("Crow"));
    assert_eq!(sent.header("content-type"), Some("application/json"));
    assert_eq!((sent.path.as_str(), &sent.json()["model"]), ("/v1/chat/completions", &json!("m")));
}

#[tokio::test]
async fn what_a_refusal_tells_is_learned_once() {
    let server = ModelServer::with([
        Reply::error(
            400,
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        ),
        Reply::error(400, "Extra inputs are not permitted: stream_options"),
        Reply::say("a"),
        Reply::say("b"),
        Reply::error(400, "Unknown field: stream_options"),
    ]);
    let endpoint = endpoint(&server);
    let mut request = request();
    request.parameters.max_output_tokens = Some(50);
    for _ in 0..2 {
        ask_for(&endpoint, &request).await.0.expect("an answer");
    }
    let bodies: Vec<_> = server.requests().iter().map(crow_tests::Recorded::json).collect();
    assert_eq!(bodies.len(), 4);
    assert_eq!((&bodies[0]["max_tokens"], &bodies[0]["stream_options"]["include_usage"]), (&json!(50), &json!(true)));
    for body in &bodies[2..] {
        assert_eq!(
            (&body["max_completion_tokens"], body.get("max_tokens"), body.get("stream_options")),
            (&json!(50), None, None)
        );
    }
    assert_eq!(ask_for(&endpoint, &request).await.0.expect_err("nothing more to learn").kind, Kind::BadRequest);
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn silence_is_timed() {
    let server = ModelServer::with([Reply::stream().text("so far").hang()]);
    let mut config = config(&server.base_url());
    config.idle_timeout = Duration::from_millis(100);
    let (result, heard) = ask(&endpoint_of(&config)).await;
    assert_eq!((result.expect_err("silence").kind, heard.text().as_str()), (Kind::Timeout, "so far"));

    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut config = self::config(&format!("http://{}/v1", silent.local_addr().expect("an address")));
    config.first_byte_timeout = Duration::from_millis(100);
    let error = ask(&endpoint_of(&config)).await.0.expect_err("silence");
    assert_eq!(error.kind, Kind::Timeout);
    assert!(error.message.contains("said nothing for 0.1 s"), "{error}");
}

#[tokio::test]
async fn nobody_there() {
    let address = {
        let gone = TcpListener::bind("127.0.0.1:0").expect("a port");
        gone.local_addr().expect("an address")
    };
    let config = config(&format!("http://me:hidden-password@{address}/v1"));
    let error = ask(&endpoint_of(&config)).await.0.expect_err("nobody there");
    assert_eq!(error.kind, Kind::Connection);
    let wanted = format!("provider `test` ({address}) cannot be reached: ");
    assert!(error.message.starts_with(&wanted) && !error.message.contains("hidden"), "{error}");
}

#[tokio::test]
async fn a_refused_delta_ends_it() {
    let server = ModelServer::with([Reply::stream().text("a").text("b").text("c").hang()]);
    let mut heard = Heard { refuse: Some(1), ..Heard::default() };
    let error = endpoint(&server).stream(&request(), &mut Deltas::new(&mut heard)).await.expect_err("refused");
    assert_eq!(error.message, "withheld");
    assert!(!error.kind.is_transient(), "{error:?}");
    assert_eq!(heard.text(), "a");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_dropped_request_is_cancelled() {
    let server = ModelServer::with([Reply::stream().text("a").hang()]);
    let endpoint = endpoint(&server);
    let asked = timeout(Duration::from_millis(300), ask(&endpoint)).await;
    assert!(asked.is_err(), "the server never ends");
    let ended = server.wait(crow_tests::PATIENCE, |requests| requests.first()?.ended);
    assert!(ended.is_some(), "the server sees the connection close");
}

#[tokio::test]
async fn the_list_of_models() {
    let server = ModelServer::start();
    let models = endpoint(&server).list_models().await.expect("a list");
    let names: Vec<String> = models.iter().map(|model| model.id.to_string()).collect();
    assert_eq!(names, ["test/other", "test/scripted"]);
    let sent = server.all_requests();
    assert_eq!((sent[0].method.as_str(), sent[0].path.as_str()), ("GET", "/v1/models"));
}

/// A server that hands each connection's head to `heard` and answers with `response` as often as it is asked.
fn raw_server(response: impl Into<Arc<str>>) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let (heard, received) = mpsc::channel();
    let response = response.into();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            let (heard, response) = (heard.clone(), Arc::clone(&response));
            thread::spawn(move || raw_connection(number, stream, &response, &heard));
        }
    });
    (address, received)
}

fn raw_connection(number: usize, mut stream: TcpStream, response: &str, heard: &mpsc::Sender<String>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    loop {
        let mut head = format!("connection {number}\n");
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            if line == "\r\n" {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("the body");
        let _ = heard.send(head);
        if stream.write_all(response.as_bytes()).is_err() {
            return;
        }
    }
}

/// A streamed answer of one delta, as it goes over the wire.
fn ok() -> String {
    let mut response =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    for data in [r#"{"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}]}"#, "[DONE]", ""] {
        let event = if data.is_empty() { String::new() } else { format!("data: {data}\n\n") };
        let _ = write!(response, "{:x}\r\n{event}\r\n", event.len());
    }
    response
}

#[tokio::test]
async fn connections_are_used_again() {
    let (address, heard) = raw_server(ok());
    let endpoint = endpoint_of(&config(&format!("http://{address}/v1")));
    for _ in 0..3 {
        assert_eq!(ask(&endpoint).await.1.text(), "hi");
    }
    let heads: Vec<String> = heard.try_iter().collect();
    assert_eq!(heads.len(), 3);
    assert!(heads.iter().all(|head| head.starts_with("connection 0\n")), "{heads:#?}");
}

#[tokio::test]
async fn a_redirect_does_not_take_the_key_along() {
    let (address, heard) = raw_server(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/elsewhere\r\ncontent-length: 0\r\n\r\n",
    );
    let error = ask(&endpoint_of(&config(&format!("http://{address}/v1")))).await.0.expect_err("redirected");
    assert!(error.message.contains("base_url") && !error.kind.is_transient(), "{error:?}");
    assert_eq!(heard.try_iter().count(), 1);
}

#[tokio::test]
async fn a_web_page_is_no_model() {
    let page = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>";
    let (address, _heard) = raw_server(page);
    let error = ask(&endpoint_of(&config(&format!("http://{address}/")))).await.0.expect_err("a page");
    assert!(error.message.contains("base_url"), "{error}");
}

#[tokio::test]
async fn a_proxy_of_its_own() {
    let (address, heard) = raw_server(ok());
    let mut config = config("http://model.invalid/v1/");
    config.proxy = Some(Secret::new(format!("http://{address}")));
    assert_eq!(ask(&endpoint_of(&config)).await.1.text(), "hi");
    let head = heard.try_recv().expect("a request");
    assert!(head.contains("POST http://model.invalid/v1/chat/completions HTTP/1.1"), "{head}");
}

#[tokio::test]
async fn queries_of_the_base_url_are_kept() {
    let (address, heard) = raw_server(ok());
    ask(&endpoint_of(&config(&format!("http://{address}/openai/?api-version=1")))).await.0.expect("an answer");
    let head = heard.try_recv().expect("a request");
    assert!(head.contains("POST /openai/chat/completions?api-version=1 HTTP/1.1"), "{head}");
}

/// A TLS server on loopback whose authority is in the file; answers one connection after the other with [`ok`].
async fn tls_server(directory: &std::path::Path) -> (String, std::path::PathBuf) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let file = directory.join("ca.pem");
    std::fs::write(&file, issued.cert.pem()).expect("a file");
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(issued.signing_key.serialize_der().into());
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![issued.cert.der().clone()], key)
        .expect("a configuration");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(ok().as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (format!("https://localhost:{port}/v1"), file)
}

#[tokio::test]
async fn an_authority_of_ones_own() {
    let directory = tempfile::tempdir().expect("a directory");
    let (base, file) = tls_server(directory.path()).await;
    let mut config = config(&base);
    let error = ask(&endpoint_of(&config)).await.0.expect_err("nobody knows this authority");
    assert_eq!(error.kind, Kind::Connection, "{error:?}");
    assert!(error.message.to_lowercase().contains("certificate"), "{error}");

    config.ca_file = Some(file);
    let (result, heard) = ask(&endpoint_of(&config)).await;
    assert_eq!(heard.text(), "hi", "{result:?}");

    config.ca_file = Some(directory.path().join("absent.pem"));
    let error = ask(&endpoint_of(&config)).await.0.expect_err("there is no such file");
    assert!(error.message.contains("absent.pem"), "{error}");
}

#[test]
fn bad_values_are_named() {
    let refusal = |change: fn(&mut ProviderConfig)| {
        let mut config = config("http://127.0.0.1:1/v1");
        change(&mut config);
        let error = Endpoint::new("p", &config, &Arc::default(), &Secrets::default()).expect_err("a bad value");
        error.told(&Config::from_toml(Path::new("/home"), "").expect("an empty configuration")).message().to_owned()
    };
    assert!(refusal(|config| config.base_url = Some("localhost:8080".into())).starts_with("`providers.p.base_url`: "));
    assert!(refusal(|config| config.base_url = Some("not a url".into())).starts_with("`providers.p.base_url`: "));
    let message = refusal(|config| config.api_key = Some(Secret::new("sk-\nsecret")));
    assert!(message.starts_with("`providers.p.api_key`: ") && !message.contains("secret"), "{message}");
    let message = refusal(|config| drop(config.headers.insert("X Y".into(), Secret::new("z"))));
    assert!(message.starts_with("`providers.p.headers.X Y`: "), "{message}");
}

#[test]
fn models_with_what_the_user_says() {
    let mut config = config("http://127.0.0.1:1/v1");
    let mut said = crow_acp::ModelConfig::default();
    said.context_window = Some(32_000);
    said.images = Some(true);
    config.models.insert("mine".into(), said);
    let default = ModelId::new("test", "qwen3-coder");
    let models = endpoint_of(&config).models(&config, Some(&default));
    let seen: Vec<_> = models
        .iter()
        .map(|model| (model.id.to_string(), model.context_window, model.images, model.reasoning))
        .collect();
    assert_eq!(
        seen,
        [("test/mine".to_owned(), Some(32_000), true, false), ("test/qwen3-coder".to_owned(), None, false, true),]
    );
}
