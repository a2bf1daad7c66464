//! What the provider adds to reading the same bytes with the same HTTP client and looking at none of them.
//!
//! `cargo bench -p crow-plugin-openai`. Each figure stands beside its floor, of the same run. The times are of the thread
//! that reads; the scripted server has threads of its own.
#![allow(missing_docs, clippy::print_stdout)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use crow_acp::{Agent, Config, Delta, DeltaRefused, DeltaSink, Deltas, Message, Model, PluginManager, Request};
use crow_tests::{ModelServer, Reply};
use eventsource_stream::Eventsource as _;
use futures_util::{FutureExt as _, StreamExt as _, stream};

#[path = "../src/sse.rs"]
#[allow(dead_code)]
mod sse;

#[derive(Default)]
struct Counter {
    count: usize,
    first: Option<Instant>,
}

impl DeltaSink for Counter {
    fn accept(&mut self, delta: Delta) -> Result<(), DeltaRefused> {
        self.count += 1;
        self.first.get_or_insert_with(Instant::now);
        black_box(delta);
        Ok(())
    }
}

/// CPU time of this thread.
fn cpu() -> Duration {
    let line = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(line.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0))
}

fn deltas(count: usize) -> Reply {
    Reply::stream().texts((0..count).map(|number| format!("word {number} ")))
}

async fn agent(server: &ModelServer) -> Agent {
    let plugins = PluginManager::new();
    plugins.register(crow_plugin_openai::plugin()).expect("registered");
    let config = format!("[providers.bench]\nbase_url = \"{}\"\napi_key = \"sk-bench\"\n", server.base_url());
    let config = Config::from_toml("/home/me/.crow", &config).expect("a configuration");
    let agent = Agent::new(config, plugins).await.expect("an agent");
    agent.startup().await;
    agent
}

fn request(bytes: usize) -> Request {
    let model = Model::new("bench/m".parse().expect("a model"));
    Request::new("s", model, vec![Message::user("x".repeat(bytes))])
}

/// One answer through the provider: deltas, when the first came, wall clock and CPU.
async fn ours(agent: &Agent, request: &Request) -> (usize, Duration, Duration, Duration) {
    let provider = agent.provider("bench").expect("the provider");
    let mut counter = Counter::default();
    let (begin, busy) = (Instant::now(), cpu());
    provider.handler.stream(request, &mut Deltas::new(&mut counter)).await.expect("an answer");
    let first = counter.first.map_or(Duration::ZERO, |first| first - begin);
    (counter.count, first, begin.elapsed(), cpu().saturating_sub(busy))
}

/// The same bytes, unread.
async fn floor(client: &reqwest::Client, server: &ModelServer, bytes: usize) -> (Duration, Duration, Duration) {
    let body =
        format!("{{\"model\":\"m\",\"messages\":[{{\"role\":\"user\",\"content\":\"{}\"}}]}}", "x".repeat(bytes));
    let (begin, busy) = (Instant::now(), cpu());
    let url = format!("{}/chat/completions", server.base_url());
    let mut response = client.post(url).body(body).send().await.expect("an answer");
    let mut first = None;
    while let Some(bytes) = response.chunk().await.expect("bytes") {
        first.get_or_insert_with(|| begin.elapsed());
        black_box(bytes);
    }
    (first.unwrap_or_default(), begin.elapsed(), cpu().saturating_sub(busy))
}

fn client() -> reqwest::Client {
    let roots = rustls::RootCertStore::empty();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().expect("a client")
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn parsing() {
    let events = 20_000;
    let mut text = String::new();
    for number in 0..events {
        let _ = write!(
            text,
            "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\
             \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"word {number}\"}},\"finish_reason\":null}}]}}\n\n"
        );
    }
    let packets: Vec<&[u8]> = text.as_bytes().chunks(8_192).collect();
    let time = |run: &dyn Fn() -> usize| {
        median(
            (0..11)
                .map(|_| {
                    let begin = Instant::now();
                    assert_eq!(run(), events);
                    begin.elapsed()
                })
                .collect(),
        )
    };
    let own = time(&|| {
        let mut reader = sse::SseReader::default();
        let mut count = 0;
        for packet in &packets {
            reader.feed(packet).expect("short");
            while let Some(data) = reader.next() {
                black_box(data);
                count += 1;
            }
        }
        count
    });
    let theirs = time(&|| {
        let bytes = stream::iter(packets.iter().map(|packet| Ok::<_, std::convert::Infallible>(*packet)));
        bytes.eventsource().map(|event| black_box(event).is_ok()).count().now_or_never().expect("nothing to wait for")
    });
    println!("cutting {events} events: {own:?}; eventsource-stream {theirs:?}");
}

fn main() {
    parsing();
    let ring = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let begin = Instant::now();
    let verifier = rustls_platform_verifier::Verifier::new(ring);
    println!("certificates of the system, which only TLS pays for: {:?} ({:?})", begin.elapsed(), verifier.is_ok());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let server = ModelServer::start();
        server.otherwise(Reply::say("one"));
        let begin = Instant::now();
        let agent = agent(&server).await;
        println!("agent of this plugin alone, started: {:?}", begin.elapsed());
        let (_, cold, _, busy) = ours(&agent, &request(30_000)).await;
        println!("first request of the process, client made: first delta after {cold:?}, CPU {busy:?}");
        let begin = Instant::now();
        let client = client();
        println!(
            "floor: client made in {:?}, {:?} to the first byte",
            begin.elapsed(),
            floor(&client, &server, 30_000).await.0
        );

        let mut warm = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..301 {
            let (_, first, _, busy) = ours(&agent, &request(30_000)).await;
            warm.0.push(first);
            warm.1.push(busy);
            let (first, _, busy) = floor(&client, &server, 30_000).await;
            warm.2.push(first);
            warm.3.push(busy);
        }
        println!(
            "warm, a prompt of 30 KB, one delta: first after {:?} (floor {:?}), CPU {:?} (floor {:?})",
            median(warm.0),
            median(warm.2),
            median(warm.1),
            median(warm.3)
        );

        for (count, runs) in [(2_000, 31), (20_000, 11)] {
            server.otherwise(deltas(count));
            let mut took = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            for _ in 0..runs {
                let (got, _, wall, busy) = ours(&agent, &request(100)).await;
                assert_eq!(got, count);
                took.0.push(wall);
                took.1.push(busy);
                let (_, wall, busy) = floor(&client, &server, 100).await;
                took.2.push(wall);
                took.3.push(busy);
            }
            println!(
                "{count} deltas at once: {:?} (floor {:?}), CPU {:?} (floor {:?})",
                median(took.0),
                median(took.2),
                median(took.1),
                median(took.3)
            );
        }

        let count = 400;
        let paced =
            Reply::stream().gap(Duration::from_millis(5)).texts((0..count).map(|number| format!("word {number} ")));
        server.otherwise(paced);
        let (_, _, _, busy) = ours(&agent, &request(100)).await;
        let (_, _, base) = floor(&client, &server, 100).await;
        println!("200 deltas a second: CPU {:?} each (floor {:?})", busy / count, base / count);
    });
}
