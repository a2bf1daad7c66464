//! What the plugin costs a run: a stream of many fragments, without the plugin, with it, and with hook times.
//!
//! `cargo bench -p crow-plugin-analytics --bench monitor`

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crow_acp::{
    Agent, AskError, BoxFuture, Client, ClientError, ClientInfo, Completion, Config, CrowHooks, Delta, Deltas,
    Dispatch, Finish, Message, Model, ModelId, NewSession, PluginManager, Provider, ProviderDescriptor, ProviderError,
    ProviderErrorKind, Question, Request, Session, Update, Usage, hookimpls,
};

const FRAGMENTS: u32 = 100_000;
const ROUNDS: usize = 15;

struct Flood;

impl Provider for Flood {
    fn stream<'a>(
        &'a self,
        _request: &'a Request,
        deltas: &'a mut Deltas<'_>,
    ) -> BoxFuture<'a, Result<Completion, ProviderError>> {
        Box::pin(async move {
            for _ in 0..FRAGMENTS {
                let pushed = deltas.push(Delta::text("word ")).await;
                pushed.map_err(|error| ProviderError::new(ProviderErrorKind::Protocol, error.to_string()))?;
            }
            Ok(Completion::new(Finish::Stop, Some(Usage::new(10, 10))))
        })
    }
}

/// An editor that reads everything and does nothing.
#[derive(Debug)]
struct Editor;

impl Client for Editor {
    fn info(&self) -> ClientInfo {
        ClientInfo::default()
    }
    fn send(&self, _: &str, update: Update) {
        std::hint::black_box(update);
    }
    fn room(&self) -> Option<BoxFuture<'_, ()>> {
        None
    }
    fn ask<'a>(&'a self, _: &'a Session, _: Question) -> BoxFuture<'a, Result<String, AskError>> {
        Box::pin(async { Err(AskError::NoClient) })
    }
    fn read_text_file<'a>(&'a self, _: &'a Session, _: &'a Path) -> BoxFuture<'a, Result<String, ClientError>> {
        unreachable!("it offers no files")
    }
    fn write_text_file<'a>(
        &'a self,
        _: &'a Session,
        _: &'a Path,
        _: &'a str,
    ) -> BoxFuture<'a, Result<(), ClientError>> {
        unreachable!("it offers no files")
    }
}

struct World {
    listens: bool,
}

#[hookimpls]
impl CrowHooks for World {
    fn register_providers(&self) -> Vec<ProviderDescriptor> {
        vec![ProviderDescriptor::new("test", vec![Model::new(ModelId::new("test", "m"))], Flood)]
    }
}

struct Listener;

#[hookimpls]
impl CrowHooks for Listener {
    fn on_stream_delta(&self, delta: &mut Delta) {
        std::hint::black_box(delta);
    }
}

async fn agent(config: Option<&str>, world: World, home: &Path) -> (Agent, Session) {
    let plugins = PluginManager::new();
    plugins.register(Dispatch).expect("registered");
    if world.listens {
        plugins.register(Listener).expect("registered");
    }
    plugins.register(world).expect("registered");
    if config.is_some() {
        plugins.register(crow_plugin_analytics::plugin()).expect("registered");
    }
    let config = Config::from_toml(home, config.unwrap_or_default()).expect("a configuration");
    let agent = Agent::new(config, plugins).await.expect("an agent");
    agent.connect(Arc::new(Editor));
    let session = agent.new_session(NewSession::new(home)).await.expect("a session");
    session.set_model(&ModelId::new("test", "m")).await.expect("a model");
    (agent, session)
}

#[allow(clippy::print_stdout, reason = "a benchmark prints")]
fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let home = tempfile::tempdir().expect("a directory");
    runtime.block_on(async {
        for (who, listens) in [("nobody listens", false), ("a plugin listens to on_stream_delta", true)] {
            println!("{FRAGMENTS} fragments of an answer, {who}; the fastest of {ROUNDS}:");
            let mut agents = Vec::new();
            for (name, config) in [
                ("without analytics", None),
                ("analytics, hook_times = false", Some("[plugins.analytics]\nhook_times = false\n")),
                ("analytics", Some("")),
            ] {
                agents.push((name, agent(config, World { listens }, home.path()).await, Duration::MAX));
            }
            for _ in 0..ROUNDS {
                for (_, (agent, session), best) in &mut agents {
                    let start = Instant::now();
                    let outcome = agent.prompt(session, Message::user("go")).await;
                    *best = start.elapsed().min(*best);
                    assert!(outcome.error.is_none(), "{outcome:?}");
                }
            }
            let floor = agents[0].2;
            for (name, (agent, _), best) in &agents {
                let more = best.saturating_sub(floor).as_nanos() as f64 / f64::from(FRAGMENTS);
                println!("  {name:<32} {best:>10.1?}  {more:>6.0} ns more for a fragment");
                agent.shutdown().await;
            }
        }
    });
}
