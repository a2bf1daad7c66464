//! Looking for models nobody has configured yet: keys in the environment, and model servers on this machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crow_acp::{Config, Model, Overrides, ProviderError, ProviderErrorKind, Sources};
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

/// Variables in which people keep keys, and whose keys they are. All of these endpoints speak Chat Completions.
const KEYS: [(&str, &str, &str, Option<&str>); 8] = [
    ("OPENAI_API_KEY", "openai", "OpenAI", None),
    ("OPENROUTER_API_KEY", "openrouter", "OpenRouter", Some("https://openrouter.ai/api/v1")),
    ("DEEPSEEK_API_KEY", "deepseek", "DeepSeek", Some("https://api.deepseek.com/v1")),
    ("MISTRAL_API_KEY", "mistral", "Mistral", Some("https://api.mistral.ai/v1")),
    ("GROQ_API_KEY", "groq", "Groq", Some("https://api.groq.com/openai/v1")),
    ("XAI_API_KEY", "xai", "xAI", Some("https://api.x.ai/v1")),
    ("MOONSHOT_API_KEY", "moonshot", "Moonshot", Some("https://api.moonshot.ai/v1")),
    ("GEMINI_API_KEY", "gemini", "Gemini", Some("https://generativelanguage.googleapis.com/v1beta/openai")),
];

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
    let mut found = keys(|variable| std::env::var(variable).ok());
    found.extend(servers(&SERVERS, plugins).await);
    found
}

/// The keys in the environment.
fn keys(variable: impl Fn(&str) -> Option<String>) -> Vec<Found> {
    let set = |name: &str| variable(name).is_some_and(|value| !value.trim().is_empty());
    KEYS.iter()
        .filter(|(name, ..)| set(name))
        .map(|(name, provider, title, url)| Found {
            provider: Provider {
                name: (*provider).to_owned(),
                base_url: url.map(str::to_owned),
                api_key: Some(format!("${{{name}}}")),
            },
            title: format!("{title} (key in {name})"),
            models: Vec::new(),
        })
        .collect()
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
        let provider =
            Provider { name: name.to_owned(), base_url: Some(format!("http://{address}/v1")), api_key: None };
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
    let agent = &host.agent;
    // Not by starting the agent: that would open the store.
    let failed =
        |error: crow_acp::crow_hooks::HookError| ProviderError::new(ProviderErrorKind::BadRequest, error.to_string());
    let answers = agent.hooks().register_providers(agent).await.map_err(failed)?;
    let provider = answers.into_iter().flatten().find(|provider| provider.name == name);
    let nobody =
        || ProviderError::new(ProviderErrorKind::Unsupported, format!("no plugin carries the provider `{name}`"));
    provider.ok_or_else(nobody)?.handler.list_models().await
}

/// The configuration of this process with a provider put in.
fn config_with(provider: &Provider) -> Result<Config, Failure> {
    let mut sources = Sources::from_process()?;
    let mut set = |key: &str, value: &str| {
        // As TOML text: an address with a `#` must not be cut.
        let value = toml_edit::Value::from(expand(value)).to_string();
        sources.overrides.set.push(format!("providers.{}.{key}={}", provider.name, value.trim()));
    };
    set("protocol", "openai");
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

    #[test]
    fn keys_are_offered_by_name_never_by_value() {
        let found = keys(|name| {
            (name == "DEEPSEEK_API_KEY" || name == "XAI_API_KEY")
                .then(|| "sk-123".repeat(usize::from(name != "XAI_API_KEY")))
        });
        assert_eq!(found.len(), 1, "an empty variable is no key");
        assert_eq!(found[0].provider.api_key.as_deref(), Some("${DEEPSEEK_API_KEY}"));
        assert!(!format!("{found:?}").contains("sk-123"));
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
