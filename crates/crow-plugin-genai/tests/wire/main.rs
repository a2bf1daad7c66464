//! The plugin in a real agent, against servers on loopback that speak the protocols.

mod anthropic;
mod gemini;
mod ollama;
mod responses;
mod server;

use crow_acp::*;
use serde_json::json;

use crate::server::Server;

/// A tool that looks at something, and fails at 2.
struct Look;

impl ToolHandler for Look {
    fn call<'a>(&'a self, _: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, Result<ToolOutcome, ToolError>> {
        Box::pin(async {
            match call.arguments["at"].as_u64() {
                Some(2) => Err(ToolError::new("nothing there")),
                _ => Ok(ToolOutcome::ok(format!("saw {}", call.arguments["at"]))),
            }
        })
    }
}

struct World;

#[hookimpls]
impl CrowHooks for World {
    fn register_tools(&self) -> Vec<ToolDescriptor> {
        let schema = json!({ "type": "object", "properties": { "at": { "type": "integer" } } });
        vec![ToolDescriptor::new("look", "Looks.", schema, Look).read_only()]
    }

    fn system_prompt(&self, sections: &mut Sections) {
        sections.push(Section::new("role", "world", Scope::Static, "You are Crow."));
        sections.push(Section::new("place", "world", Scope::Session, "You are here."));
        sections.push(Section::new("day", "world", Scope::Turn, "It is Monday."));
    }
}

async fn start(config: &str) -> Result<Agent, RunError> {
    let plugins = PluginManager::new();
    plugins.register(Dispatch).unwrap();
    plugins.register(crow_plugin_genai::plugin()).unwrap();
    plugins.register(World).unwrap();
    Agent::new(Config::from_toml("/home/me/.crow", config).unwrap(), plugins).await
}

/// A session with a model of this protocol on the server.
async fn session(server: &Server, protocol: &str, path: &str, model: &str) -> (Agent, Session) {
    let agent = start(&format!(
        "model = \"p/{model}\"\n[providers.p]\nprotocol = \"{protocol}\"\nbase_url = \"{}\"\napi_key = \"sk-very-secret\"\n\
         headers = {{ X-Own = \"mine\" }}\nidle_timeout = 1\n",
        server.url(path)
    ))
    .await
    .unwrap();
    let session = agent.new_session(NewSession::new("/tmp")).await.unwrap();
    (agent, session)
}

async fn ask(agent: &Agent, session: &Session, text: &str) -> RunOutcome {
    agent.prompt(session, Message::user(text)).await
}

/// The last answer.
fn said(session: &Session) -> Message {
    let messages = session.messages();
    messages.iter().rev().find(|message| message.role == Role::Assistant).expect("an answer").clone()
}

async fn error_of(server: &Server, protocol: &str, model: &str) -> RunError {
    let (agent, session) = session(server, protocol, "", model).await;
    ask(&agent, &session, "hi").await.error.expect("an error")
}

#[tokio::test]
async fn bad_configuration_refuses_the_start() {
    let of = |config: &'static str| async move { start(config).await.unwrap_err().to_string() };
    let error = of("[providers.x]\nprotocol = \"anthropic\"\nbase_url = \"somewhere\"\n").await;
    assert!(
        error.contains("config.toml:3: `providers.x.base_url`: expected an address such as https://api.anthropic.com"),
        "{error}"
    );
    let error = of("[providers.x]\nprotocol = \"gemini\"\napi_key = \"a\\nb\"\n").await;
    assert!(error.contains("`providers.x.api_key`: holds characters"), "{error}");
    let error = of("[providers.x]\nprotocol = \"ollama\"\nheaders = { \"a b\" = \"c\" }\n").await;
    assert!(error.contains("`providers.x.headers.a b`"), "{error}");
    let error = of("[plugins.genai]\ntimeout = 3\n").await;
    assert!(error.contains("config.toml:2: unknown key `timeout`"), "{error}");
}

#[tokio::test]
async fn every_provider_of_the_protocols_is_registered_and_no_other() {
    let config = "[providers.a]\nprotocol = \"anthropic\"\n[providers.b]\nprotocol = \"responses\"\n\
                  [providers.c]\nprotocol = \"gemini\"\n[providers.d]\nprotocol = \"ollama\"\n\
                  [providers.e]\nprotocol = \"openai\"\n[providers.f]\nprotocol = \"antropic\"\n";
    let agent = start(config).await.unwrap();
    agent.startup().await;
    let names: Vec<String> = agent.providers().iter().map(|provider| provider.name.clone()).collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
    let known = agent.models().into_iter().find(|model| model.id.to_string() == "a/claude-sonnet-4-5").unwrap();
    assert_eq!((known.context_window, known.max_output), (Some(200_000), Some(64_000)));
    let error = agent.config().providers()["f"].error.clone().expect("an unknown protocol").to_string();
    assert!(error.contains("did you mean `anthropic`"), "{error}");
}

#[tokio::test]
async fn a_key_that_is_not_set_is_told_when_it_is_needed() {
    let config = "model = \"a/x\"\n[providers.a]\nprotocol = \"anthropic\"\napi_key = \"${CROW_TEST_UNSET}\"\n";
    let agent = start(config).await.unwrap();
    let session = agent.new_session(NewSession::new("/tmp")).await.unwrap();
    let error = ask(&agent, &session, "hi").await.error.unwrap();
    assert!(error.message.contains("CROW_TEST_UNSET"), "{error}");
}
