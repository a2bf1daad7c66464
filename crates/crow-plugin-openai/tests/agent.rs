//! The plugin in a real agent, against a real server on loopback.
#![allow(missing_docs)]

use crow_acp::*;
use crow_tests::{ModelServer, Reply};
use serde_json::json;

struct Look;

impl ToolHandler for Look {
    fn call<'a>(&'a self, _: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, Result<ToolOutcome, ToolError>> {
        Box::pin(async { Ok(ToolOutcome::ok(format!("saw {}", call.arguments["at"]))) })
    }
}

struct World;

#[hookimpls]
impl CrowHooks for World {
    fn register_tools(&self) -> Vec<ToolDescriptor> {
        vec![ToolDescriptor::new("look", "Looks.", json!({ "type": "object" }), Look).read_only()]
    }

    fn system_prompt(&self, sections: &mut Sections) {
        sections.push(Section::new("role", "world", Scope::Static, "You are Crow."));
    }
}

async fn agent(config: &str) -> Result<Agent, RunError> {
    let plugins = PluginManager::new();
    plugins.register(Dispatch).unwrap();
    plugins.register(crow_plugin_openai::plugin()).unwrap();
    plugins.register(World).unwrap();
    Agent::new(Config::from_toml("/home/me/.crow", config).unwrap(), plugins).await
}

fn config(server: &ModelServer) -> String {
    let base = server.base_url();
    format!("model = \"local/scripted\"\n[providers.local]\nbase_url = \"{base}\"\napi_key = \"sk-very-secret\"\n")
}

#[tokio::test]
async fn a_tool_round() {
    let server = ModelServer::with([
        Reply::stream().thought("Two places.").text("Looking.").tool_fragments(&json!([
            { "index": 0, "id": "a", "function": { "name": "look", "arguments": "{\"at\": 1}" } },
            { "index": 1, "id": "b", "function": { "name": "look", "arguments": "{\"at\": 2}" } },
        ])),
        Reply::say("Seen.").usage(50, 3),
    ]);
    let agent = agent(&config(&server)).await.unwrap();
    let session = agent.new_session(NewSession::new("/tmp")).await.unwrap();
    let outcome = agent.prompt(&session, Message::user("Look around")).await;
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    assert_eq!(session.context_used(), 53);

    let requests = server.requests();
    let (first, second) = (requests[0].messages(), requests[1].messages());
    assert_eq!(second[..first.len()], first, "what was sent is sent again as it was");
    assert_eq!(requests[0].json()["tools"], requests[1].json()["tools"]);
    assert_eq!(
        second[first.len()..],
        [
            json!({ "role": "assistant", "reasoning_content": "Two places.", "content": "Looking.", "tool_calls": [
            { "id": "a", "type": "function", "function": { "name": "look", "arguments": "{\"at\": 1}" } },
            { "id": "b", "type": "function", "function": { "name": "look", "arguments": "{\"at\": 2}" } },
        ] }),
            json!({ "role": "tool", "tool_call_id": "a", "content": "saw 1" }),
            json!({ "role": "tool", "tool_call_id": "b", "content": "saw 2" }),
        ]
    );
}

#[tokio::test]
async fn an_error_names_the_provider_and_keeps_the_key_to_itself() {
    let server = ModelServer::with([Reply::error(401, "Incorrect API key provided: sk-very-secret.")]);
    let agent = agent(&config(&server)).await.unwrap();
    let session = agent.new_session(NewSession::new("/tmp")).await.unwrap();
    let error = agent.prompt(&session, Message::user("hi")).await.error.unwrap();
    assert_eq!(error.kind(), Some(ProviderErrorKind::Authentication));
    let wanted = format!(
        "provider `local` (127.0.0.1:{}) answered 401 Unauthorized: Incorrect API key provided: ***.",
        server.port()
    );
    assert_eq!(error.message, wanted);
}

#[tokio::test]
async fn every_provider_of_the_protocol_is_registered() {
    let config = "model = \"a/x\"\n[providers.a]\nbase_url = \"http://127.0.0.1:1/v1\"\n\
                  [providers.b]\nprotocol = \"anthropic\"\n[providers.openai]\napi_key = \"sk-123456\"\n";
    let agent = agent(config).await.unwrap();
    agent.startup().await;
    let names: Vec<String> = agent.providers().iter().map(|provider| provider.name.clone()).collect();
    assert_eq!(names, ["a", "openai"]);
    let model = agent.model(&"openai/gpt-5".parse().unwrap()).unwrap();
    assert_eq!((model.context_window, model.images), (Some(400_000), true));
    assert!(agent.model(&"a/x".parse().unwrap()).is_some_and(|model| model.context_window.is_none()));
}

#[tokio::test]
async fn bad_configuration_refuses_the_start() {
    let error = agent("[providers.local]\nbase_url = \"127.0.0.1:8080\"\n").await.unwrap_err().to_string();
    assert!(
        error.contains("config.toml:2: `providers.local.base_url`: expected an address such as http://"),
        "{error}"
    );
    let error = agent("[plugins.openai]\ntimeout = 3\n").await.unwrap_err().to_string();
    assert!(error.contains("config.toml:2: unknown key `timeout`"), "{error}");
}

#[tokio::test]
async fn a_key_that_is_not_set_is_told_when_it_is_needed() {
    let agent = agent("model = \"local/x\"\n[providers.local]\napi_key = \"${CROW_TEST_UNSET}\"\n").await.unwrap();
    let session = agent.new_session(NewSession::new("/tmp")).await.unwrap();
    let error = agent.prompt(&session, Message::user("hi")).await.error.unwrap();
    assert!(error.message.contains("CROW_TEST_UNSET"), "{error}");
}

#[tokio::test]
async fn the_configured_model_embeds() {
    let server = ModelServer::start();
    let agent = agent(&format!("{}[plugins.openai]\nembed = \"local/small\"\n", config(&server))).await.unwrap();
    let texts = ["the cat sat".to_owned(), "the cat sat".to_owned(), "prices rose".to_owned()];
    let vectors = agent.embed(&texts).await.unwrap().unwrap();
    assert_eq!(vectors[0], vectors[1]);
    assert_ne!(vectors[0], vectors[2]);
    let requests = server.all_requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].json()["model"], "small");
    assert_eq!(requests[0].header("authorization"), Some("Bearer sk-very-secret"));

    server.when("rose", Reply::error(503, "busy"));
    let error = agent.embed(&texts).await.unwrap_err();
    assert_eq!(error.kind(), Some(ProviderErrorKind::Overloaded), "{error}");
    assert!(error.message.contains("provider `local`"), "{error}");
}

#[tokio::test]
async fn without_a_model_for_it_nobody_embeds() {
    let server = ModelServer::start();
    let agent_without = agent(&config(&server)).await.unwrap();
    assert_eq!(agent_without.embed(&["a".to_owned()]).await.unwrap(), None);
    assert!(server.all_requests().is_empty());
    for wrong in ["small", "elsewhere/small"] {
        let text = format!("{}[plugins.openai]\nembed = \"{wrong}\"\n", config(&server));
        let error = agent(&text).await.unwrap_err().to_string();
        assert!(error.contains("plugins.openai.embed"), "{error}");
    }
}
