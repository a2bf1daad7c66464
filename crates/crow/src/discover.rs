//! Looking for models nobody has configured yet: keys in the environment, and model servers on this machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crow_acp::{Config, Model, Overrides, ProviderDescriptor, ProviderError, ProviderErrorKind, Sources};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config_file::Provider;
use crate::exit::Failure;
use crate::host::Host;
use crate::plugins::Plugins;

/// How long a server on this machine may take to be found.
const PATIENCE: Duration = Duration::from_millis(140);

/// The usual loopback ports of model servers.
const SERVERS: [(&str, &str, u16); 4] = [
    ("ollama", "Ollama", 11434),
    ("lmstudio", "LM Studio", 1234),
    ("llamacpp", "llama.cpp", 8080),
    ("vllm", "vLLM", 8000),
];

/// A variable in which people keep a key, and whose key it is.
struct Key {
    variable: &'static str,
    provider: &'static str,
    title: &'static str,
    protocol: &'static str,
    /// `None`: the protocol's own.
    url: Option<&'static str>,
}

const fn key(variable: &'static str, provider: &'static str, title: &'static str, url: Option<&'static str>) -> Key {
    Key { variable, provider, title, protocol: CHAT_COMPLETIONS, url }
}

/// The protocol that nearly all endpoints speak.
pub(crate) const CHAT_COMPLETIONS: &str = "openai";

/// Of two rows with one provider the first counts whose protocol some plugin carries.
const KEYS: [Key; 10] = [
    key("OPENAI_API_KEY", "openai", "OpenAI", None),
    Key { protocol: "anthropic", ..key("ANTHROPIC_API_KEY", "anthropic", "Anthropic", None) },
    Key { protocol: "gemini", ..key("GEMINI_API_KEY", "gemini", "Gemini", None) },
    key("OPENROUTER_API_KEY", "openrouter", "OpenRouter", Some("https://openrouter.ai/api/v1")),
    key("DEEPSEEK_API_KEY", "deepseek", "DeepSeek", Some("https://api.deepseek.com/v1")),
    key("MISTRAL_API_KEY", "mistral", "Mistral", Some("https://api.mistral.ai/v1")),
    key("GROQ_API_KEY", "groq", "Groq", Some("https://api.groq.com/openai/v1")),
    key("XAI_API_KEY", "xai", "xAI", Some("https://api.x.ai/v1")),
    key("MOONSHOT_API_KEY", "moonshot", "Moonshot", Some("https://api.moonshot.ai/v1")),
    key("GEMINI_API_KEY", "gemini", "Gemini", Some("https://generativelanguage.googleapis.com/v1beta/openai")),
];

/// The protocol that a provider of this name speaks, if some plugin carries it.
pub(crate) async fn protocol_of(name: &str, plugins: Plugins) -> &'static str {
    for known in KEYS.iter().filter(|known| known.provider == name) {
        if is_carried(known.protocol, plugins).await {
            return known.protocol;
        }
    }
    CHAT_COMPLETIONS
}

/// Whether some plugin carries a protocol.
async fn is_carried(protocol: &'static str, plugins: Plugins) -> bool {
    if protocol == CHAT_COMPLETIONS {
        return true;
    }
    let provider = Provider { name: "found".into(), protocol, base_url: None, api_key: None };
    let Ok(config) = config_with(&provider) else { return false };
    let host = Host::new(config, plugins, None).await;
    host.is_ok_and(|host| host.agent.config().providers().get("found").is_some_and(|provider| provider.error.is_none()))
}

/// Something that has models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// As it would be configured.
    pub(crate) provider: Provider,
    /// What it is, for people: `Ollama at 127.0.0.1:11434`.
    pub(crate) title: String,
    /// Its models, if it was asked: only servers on this machine are.
    pub(crate) models: Vec<String>,
}

/// Everything that is found without asking anybody outside this machine. A server is asked which models it has; it is
/// not used before the user chose it.
pub(crate) async fn look(plugins: Plugins) -> Vec<Found> {
    let mut found = keys(|variable| std::env::var(variable).ok(), plugins).await;
    found.extend(servers(&SERVERS, plugins).await);
    found
}

/// The keys in the environment.
async fn keys(variable: impl Fn(&str) -> Option<String>, plugins: Plugins) -> Vec<Found> {
    let set = |name: &str| variable(name).is_some_and(|value| !value.trim().is_empty());
    let mut found: Vec<Found> = Vec::new();
    for known in KEYS.iter().filter(|known| set(known.variable)) {
        let is_there = found.iter().any(|other| other.provider.name == known.provider);
        if is_there || !is_carried(known.protocol, plugins).await {
            continue;
        }
        found.push(Found {
            provider: Provider {
                name: known.provider.to_owned(),
                protocol: known.protocol,
                base_url: known.url.map(str::to_owned),
                api_key: Some(format!("${{{}}}", known.variable)),
            },
            title: format!("{} (key in {})", known.title, known.variable),
            models: Vec::new(),
        });
    }
    found
}

/// The model servers that answer on these ports of this machine, all asked at once.
async fn servers(ports: &[(&str, &str, u16)], plugins: Plugins) -> Vec<Found> {
    let asked = ports.iter().map(|&(name, title, port)| server(name, title, port, plugins));
    futures_util::future::join_all(asked).await.into_iter().flatten().collect()
}

async fn server(name: &str, title: &str, port: u16, plugins: Plugins) -> Option<Found> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let asking = async {
        drop(TcpStream::connect(address).await.ok()?);
        let base_url = Some(format!("http://{address}/v1"));
        let provider = Provider { name: name.to_owned(), protocol: CHAT_COMPLETIONS, base_url, api_key: None };
        // Whatever else may listen there does not answer like this.
        let models = models(&provider, plugins).await.ok()?;
        Some((provider, models))
    };
    let (provider, models) = timeout(PATIENCE, asking).await.ok()??;
    let models = models.into_iter().map(|model| model.id.name).collect();
    Some(Found { provider, title: format!("{title} at {address}"), models })
}

/// Asks a provider for its models, as the agent would: through whichever plugin carries its protocol.
///
/// # Errors
/// What the endpoint answered, or that it cannot be reached.
pub(crate) async fn models(provider: &Provider, plugins: Plugins) -> Result<Vec<Model>, ProviderError> {
    let wrong = |failure: Failure| ProviderError::new(ProviderErrorKind::BadRequest, failure.what);
    let config = config_with(provider).map_err(wrong)?;
    let host = Host::new(config, plugins, None).await.map_err(wrong)?;
    list(&host, &provider.name).await
}

/// Asks the provider called `name` for its models.
///
/// # Errors
/// As for [`models`].
pub(crate) async fn list(host: &Host, name: &str) -> Result<Vec<Model>, ProviderError> {
    let nobody =
        || ProviderError::new(ProviderErrorKind::Unsupported, format!("no plugin carries the provider `{name}`"));
    carried(host, name).await?.ok_or_else(nobody)?.handler.list_models().await
}

/// The provider called `name`, if a plugin carries it.
///
/// # Errors
/// A plugin failed.
pub(crate) async fn carried(host: &Host, name: &str) -> Result<Option<ProviderDescriptor>, ProviderError> {
    let agent = &host.agent;
    // Not by starting the agent: that would open the store.
    let failed =
        |error: crow_acp::crow_hooks::HookError| ProviderError::new(ProviderErrorKind::BadRequest, error.to_string());
    let answers = agent.hooks().register_providers(agent).await.map_err(failed)?;
    Ok(answers.into_iter().flatten().find(|provider| provider.name == name))
}

/// The configuration of this process with a provider put in.
fn config_with(provider: &Provider) -> Result<Config, Failure> {
    let mut sources = Sources::from_process()?;
    let mut set = |key: &str, value: &str| {
        // As TOML text: an address with a `#` must not be cut.
        let value = toml_edit::Value::from(expand(value)).to_string();
        sources.overrides.set.push(format!("providers.{}.{key}={}", provider.name, value.trim()));
    };
    set("protocol", provider.protocol);
    for (key, value) in [("base_url", &provider.base_url), ("api_key", &provider.api_key)] {
        if let Some(value) = value {
            set(key, value);
        }
    }
    Ok(Config::load(&Sources { overrides: Overrides { model: None, mode: None, ..sources.overrides }, ..sources })?)
}

/// `${VARIABLE}` as its value: the configuration file's own syntax does not hold on the command line.
fn expand(value: &str) -> String {
    let variable = value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    variable.map_or_else(|| value.to_owned(), |name| std::env::var(name).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keys_are_offered_by_name_never_by_value() {
        let set = |name: &str| {
            (name == "DEEPSEEK_API_KEY" || name == "XAI_API_KEY")
                .then(|| "sk-123".repeat(usize::from(name != "XAI_API_KEY")))
        };
        let found = keys(set, Plugins::built_in()).await;
        assert_eq!(found.len(), 1, "an empty variable is no key");
        assert_eq!(found[0].provider.api_key.as_deref(), Some("${DEEPSEEK_API_KEY}"));
        assert!(!format!("{found:?}").contains("sk-123"));
    }

    #[tokio::test]
    async fn keys_of_other_protocols_are_offered_with_them() {
        let set = |name: &str| matches!(name, "ANTHROPIC_API_KEY" | "GEMINI_API_KEY").then(|| "sk-123".to_owned());
        let found = keys(set, Plugins::built_in()).await;
        let found: Vec<_> = found.iter().map(|found| (found.provider.name.as_str(), found.provider.protocol)).collect();
        assert_eq!(found, [("anthropic", "anthropic"), ("gemini", "gemini")]);
        assert_eq!(protocol_of("anthropic", Plugins::built_in()).await, "anthropic");
        assert_eq!(protocol_of("somebody", Plugins::built_in()).await, CHAT_COMPLETIONS);
    }

    #[tokio::test]
    async fn only_what_answers_like_a_model_server_is_found() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let model = serve(r#"{"object":"list","data":[{"id":"qwen3:8b","object":"model"}]}"#);
        let page = serve("<html>a page</html>");
        let ports = [
            ("closed", "C", closed),
            ("mute", "M", mute.local_addr().unwrap().port()),
            ("page", "P", page),
            ("ollama", "Ollama", model),
        ];
        let found = servers(&ports, Plugins::built_in()).await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].title, format!("Ollama at 127.0.0.1:{model}"));
        assert_eq!(found[0].models, ["qwen3:8b"]);
    }

    /// Answers every request with this body.
    fn serve(body: &'static str) -> u16 {
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                std::thread::spawn(move || {
                    let mut request = [0; 4096];
                    if matches!(stream.read(&mut request), Ok(1..)) {
                        let length = body.len();
                        let _ = write!(
                            stream,
                            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                        );
                    }
                });
            }
        });
        port
    }
}
