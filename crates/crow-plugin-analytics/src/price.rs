//! What models cost: what the user says, then what the registry knows, then a small table; else it is not known.

use crow_acp::{Config, Model, Price};

use crate::settings::Settings;

/// Prices of a maker's own endpoint, in US dollars for a million tokens.
struct Listed {
    /// The host of the maker's endpoint: the same name elsewhere may cost something else.
    host: &'static str,
    /// The model's name, without a version or date behind it.
    name: &'static str,
    input: f64,
    cached: f64,
    output: f64,
}

const fn listed(host: &'static str, name: &'static str, input: f64, cached: f64, output: f64) -> Listed {
    Listed { host, name, input, cached, output }
}

const ANTHROPIC: &str = "api.anthropic.com";
const GEMINI: &str = "generativelanguage.googleapis.com";
const XAI: &str = "api.x.ai";
const OPENAI: &str = "api.openai.com";

/// List prices of December 2025, for prompts of ordinary length.
const TABLE: &[Listed] = &[
    listed(ANTHROPIC, "claude-opus-4-5", 5.0, 0.5, 25.0),
    listed(ANTHROPIC, "claude-opus-4", 15.0, 1.5, 75.0),
    listed(ANTHROPIC, "claude-sonnet-4", 3.0, 0.3, 15.0),
    listed(ANTHROPIC, "claude-haiku-4-5", 1.0, 0.1, 5.0),
    listed(ANTHROPIC, "claude-3-5-haiku", 0.8, 0.08, 4.0),
    listed(GEMINI, "gemini-3-pro", 2.0, 0.2, 12.0),
    listed(GEMINI, "gemini-2.5-pro", 1.25, 0.125, 10.0),
    listed(GEMINI, "gemini-2.5-flash-lite", 0.1, 0.01, 0.4),
    listed(GEMINI, "gemini-2.5-flash", 0.3, 0.03, 2.5),
    listed(XAI, "grok-4-fast", 0.2, 0.05, 0.5),
    listed(XAI, "grok-4-1-fast", 0.2, 0.05, 0.5),
    listed(XAI, "grok-code-fast", 0.2, 0.02, 1.5),
    listed(XAI, "grok-4", 3.0, 0.75, 15.0),
    listed(OPENAI, "gpt-5.2", 1.75, 0.175, 14.0),
    listed(OPENAI, "gpt-5.1", 1.25, 0.125, 10.0),
    listed(OPENAI, "gpt-5", 1.25, 0.125, 10.0),
    listed(OPENAI, "gpt-5-mini", 0.25, 0.025, 2.0),
    listed(OPENAI, "gpt-5-nano", 0.05, 0.005, 0.4),
    listed(OPENAI, "gpt-4.1", 2.0, 0.5, 8.0),
    listed(OPENAI, "gpt-4.1-mini", 0.4, 0.1, 1.6),
    listed(OPENAI, "gpt-4.1-nano", 0.1, 0.025, 0.4),
    listed(OPENAI, "gpt-4o", 2.5, 1.25, 10.0),
    listed(OPENAI, "gpt-4o-mini", 0.15, 0.075, 0.6),
    listed(OPENAI, "o3", 2.0, 0.5, 8.0),
    listed(OPENAI, "o4-mini", 1.1, 0.275, 4.4),
    listed(OPENAI, "gpt-5.2-codex", 1.75, 0.175, 14.0),
    listed(OPENAI, "gpt-5.1-codex-mini", 0.25, 0.025, 2.0),
    listed(OPENAI, "gpt-5.1-codex", 1.25, 0.125, 10.0),
    listed(OPENAI, "gpt-5-codex", 1.25, 0.125, 10.0),
];

/// The price of `model`, if anybody knows it.
pub(crate) fn of(model: &Model, settings: &Settings, config: &Config) -> Option<Price> {
    let own = settings.prices.get(&model.id.to_string()).copied();
    own.or(model.price).or_else(|| {
        let provider = config.providers().get(&model.id.provider)?;
        let host = match &provider.base_url {
            Some(url) => host(url)?,
            None => home(&provider.protocol)?,
        };
        let name = model.id.name.to_lowercase();
        let entry = TABLE.iter().find(|entry| entry.host == host && is_version(&name, entry.name))?;
        Some(Price { input: entry.input, cached_input: Some(entry.cached), output: entry.output })
    })
}

/// `NAME`, and `NAME-…` if nothing but a version or a date follows: anything else is another model.
fn is_version(name: &str, known: &str) -> bool {
    const WORDS: [&str; 5] = ["latest", "preview", "exp", "reasoning", "non"];
    let is_plain = |part: &str| WORDS.contains(&part) || part.bytes().all(|byte| byte.is_ascii_digit());
    name.strip_prefix(known).is_some_and(|rest| match rest.strip_prefix('-') {
        Some(version) => version.split('-').all(is_plain),
        None => rest.is_empty(),
    })
}

/// The maker's endpoint for protocols that have one.
fn home(protocol: &str) -> Option<&'static str> {
    match protocol {
        "anthropic" => Some(ANTHROPIC),
        "gemini" => Some(GEMINI),
        "openai" | "responses" => Some(OPENAI),
        _ => None,
    }
}

fn host(url: &str) -> Option<&str> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split(['/', '?']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    host.split(':').next().filter(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crow_acp::ModelId;

    fn price(toml: &str, model: &str) -> Option<f64> {
        let config = Config::from_toml("/home/ada/.crow", toml).unwrap();
        let settings = Settings::of(&config).unwrap();
        of(&Model::new(model.parse().unwrap()), &settings, &config).map(|price| price.output)
    }

    #[test]
    fn the_table_holds_at_the_makers_own_endpoint_only() {
        let at = |url: &str| format!("[providers.a]\nprotocol = \"openai\"\nbase_url = \"{url}\"");
        assert_eq!(price(&at("https://api.anthropic.com/v1"), "a/claude-sonnet-4-5-20250929"), Some(15.0));
        assert_eq!(price(&at("https://key@api.x.ai:443/v1"), "a/grok-4-fast-reasoning"), Some(0.5));
        assert_eq!(price(&at("https://gateway.example/v1"), "a/claude-sonnet-4-5"), None, "somebody else's price");
        assert_eq!(price(&at("https://api.anthropic.com/v1"), "a/claude-next"), None, "not guessed");
        assert_eq!(price(&at("https://api.x.ai"), "a/grok-4.20"), None, "another model");
        let own = |protocol: &str| format!("[providers.p]\nprotocol = \"{protocol}\"");
        assert_eq!(price(&own("gemini"), "p/gemini-2.5-flash-lite"), Some(0.4));
        assert_eq!(price(&own("gemini"), "p/gemini-2.5-flash-image"), None, "no version, another model");
        assert_eq!(price(&own("anthropic"), "p/claude-opus-4-1-20250805"), Some(75.0));
        assert_eq!(price(&own("anthropic"), "p/claude-opus-4-5-20251101"), Some(25.0));
        assert_eq!(price(&own("responses"), "p/gpt-5-2025-08-07"), Some(10.0));
        assert_eq!(price(&own("responses"), "p/gpt-5-pro"), None);
        assert_eq!(price(&own("ollama"), "p/gpt-5"), None);
    }

    #[test]
    fn what_the_user_says_goes_first() {
        let own = "[plugins.analytics.prices]\n\"a/m\" = { input = 1, output = 7 }";
        assert_eq!(price(own, "a/m"), Some(7.0));
        let config = Config::from_toml("/home/ada/.crow", own).unwrap();
        let settings = Settings::of(&config).unwrap();
        let mut model = Model::new(ModelId::new("a", "m"));
        model.price = Some(Price { input: 1.0, cached_input: None, output: 3.0 });
        let output = |model: &Model| of(model, &settings, &config).map(|price| price.output);
        assert_eq!(output(&model), Some(7.0));
        model.id.name = "n".into();
        assert_eq!(output(&model), Some(3.0), "then the registry");
    }
}
