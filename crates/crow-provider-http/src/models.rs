//! What is known of models without asking: a small table, and what an endpoint's `/models` says.

use crow_acp::{Model, ModelId, Price, ProviderConfig};
use reqwest::Url;
use serde_json::Value;

/// A model as its maker's own endpoint serves it. The same name elsewhere may have another window, limit and price, so
/// these hold on that host alone; what the model can do holds everywhere.
struct Known {
    host: &'static str,
    /// The name; dated snapshots (`NAME-2025-08-07`, `NAME-20250929`) are the same model.
    name: &'static str,
    window: u64,
    output: u64,
    images: bool,
    reasoning: bool,
    /// Input, cached input, output: US dollars for a million tokens.
    price: [f64; 3],
}

const fn known(
    host: &'static str,
    name: &'static str,
    window: u64,
    output: u64,
    images: bool,
    reasoning: bool,
    price: [f64; 3],
) -> Known {
    Known { host, name, window, output, images, reasoning, price }
}

const OPENAI: &str = "api.openai.com";
const DEEPSEEK: &str = "api.deepseek.com";
const ANTHROPIC: &str = "api.anthropic.com";
const GEMINI: &str = "generativelanguage.googleapis.com";

/// List prices of December 2025. Whoever pays others says so in `[providers.NAME.models.MODEL]`.
const TABLE: &[Known] = &[
    known(OPENAI, "gpt-5.2", 400_000, 128_000, true, true, [1.75, 0.175, 14.0]),
    known(OPENAI, "gpt-5.1", 400_000, 128_000, true, true, [1.25, 0.125, 10.0]),
    known(OPENAI, "gpt-5", 400_000, 128_000, true, true, [1.25, 0.125, 10.0]),
    known(OPENAI, "gpt-5-mini", 400_000, 128_000, true, true, [0.25, 0.025, 2.0]),
    known(OPENAI, "gpt-5-nano", 400_000, 128_000, true, true, [0.05, 0.005, 0.4]),
    known(OPENAI, "gpt-4.1", 1_047_576, 32_768, true, false, [2.0, 0.5, 8.0]),
    known(OPENAI, "gpt-4.1-mini", 1_047_576, 32_768, true, false, [0.4, 0.1, 1.6]),
    known(OPENAI, "gpt-4.1-nano", 1_047_576, 32_768, true, false, [0.1, 0.025, 0.4]),
    known(OPENAI, "gpt-4o", 128_000, 16_384, true, false, [2.5, 1.25, 10.0]),
    known(OPENAI, "gpt-4o-mini", 128_000, 16_384, true, false, [0.15, 0.075, 0.6]),
    known(OPENAI, "o3", 200_000, 100_000, true, true, [2.0, 0.5, 8.0]),
    known(OPENAI, "o3-mini", 200_000, 100_000, false, true, [1.1, 0.55, 4.4]),
    known(OPENAI, "o4-mini", 200_000, 100_000, true, true, [1.1, 0.275, 4.4]),
    known(DEEPSEEK, "deepseek-chat", 128_000, 8_192, false, false, [0.28, 0.028, 0.42]),
    known(DEEPSEEK, "deepseek-reasoner", 128_000, 64_000, false, true, [0.28, 0.028, 0.42]),
    known(ANTHROPIC, "claude-opus-4-5", 200_000, 64_000, true, true, [5.0, 0.5, 25.0]),
    known(ANTHROPIC, "claude-sonnet-4-5", 200_000, 64_000, true, true, [3.0, 0.3, 15.0]),
    known(ANTHROPIC, "claude-haiku-4-5", 200_000, 64_000, true, true, [1.0, 0.1, 5.0]),
    known(GEMINI, "gemini-2.5-pro", 1_048_576, 65_536, true, true, [1.25, 0.125, 10.0]),
    known(GEMINI, "gemini-2.5-flash", 1_048_576, 65_536, true, true, [0.3, 0.03, 2.5]),
    known(GEMINI, "gemini-2.5-flash-lite", 1_048_576, 65_536, true, true, [0.1, 0.01, 0.4]),
];

/// Families that take pictures, by parts of their names (lower case).
const SEEING: [&str; 14] = [
    "gpt-5",
    "gpt-4.1",
    "gpt-4o",
    "claude",
    "gemini",
    "gemma-3",
    "gemma3",
    "-vl",
    "vision",
    "llava",
    "pixtral",
    "llama-4",
    "kimi-k2.5",
    "omni",
];

/// Families that reason, by parts of their names (lower case).
const REASONING: [&str; 14] = [
    "gpt-5",
    "gpt-oss",
    "deepseek-r",
    "deepseek-v3.2",
    "thinking",
    "reason",
    "qwq",
    "qwen3",
    "glm-4.5",
    "glm-4.6",
    "glm-4.7",
    "glm-5",
    "magistral",
    "minimax-m",
];

/// What is known of the model `id` at the endpoint `base`; nothing is guessed but what its family can do.
pub fn lookup(id: ModelId, base: &Url) -> Model {
    let host = base.host_str().unwrap_or_default();
    let name = id.name.to_lowercase();
    let mut model = Model::new(id);
    let entry = TABLE.iter().find(|known| known.host == host && is_snapshot(&name, known.name));
    if let Some(known) = entry {
        let [input, cached, output] = known.price;
        model.context_window = Some(known.window);
        model.max_output = Some(known.output);
        model.images = known.images;
        model.reasoning = known.reasoning;
        model.price = Some(Price { input, cached_input: Some(cached), output });
    } else {
        model.images = SEEING.iter().any(|family| name.contains(family));
        model.reasoning = REASONING.iter().any(|family| name.contains(family));
    }
    model
}

/// The models of the table that the endpoint `base` serves.
fn listed<'a>(provider: &'a str, base: &'a Url) -> impl Iterator<Item = Model> + 'a {
    let host = base.host_str().unwrap_or_default();
    let names = TABLE.iter().filter(move |known| known.host == host).map(|known| known.name);
    names.map(move |name| lookup(ModelId::new(provider, name), base))
}

/// The models of a provider that are known without asking it: the bundled table's, the configured ones and the `default`
/// one, with what the configuration says of them.
pub fn known_models(provider: &str, base: &Url, config: &ProviderConfig, default: Option<&ModelId>) -> Vec<Model> {
    let mut models: Vec<Model> = listed(provider, base).collect();
    let default = default.filter(|id| id.provider == provider).map(|id| id.name.as_str());
    for name in config.models.keys().map(String::as_str).chain(default) {
        if !models.iter().any(|model| model.id.name == name) {
            models.push(lookup(ModelId::new(provider, name), base));
        }
    }
    apply_overrides(&mut models, config);
    models
}

/// Puts what the user says of models over what is known of them.
pub fn apply_overrides(models: &mut [Model], config: &ProviderConfig) {
    for model in models {
        if let Some(said) = config.models.get(&model.id.name) {
            said.apply(model);
        }
    }
}

fn is_snapshot(name: &str, known: &str) -> bool {
    match name.strip_prefix(known) {
        Some("") => true,
        Some(rest) => {
            let is_date = rest.bytes().skip(1).all(|b| b.is_ascii_digit() || b == b'-');
            matches!(rest.len(), 9 | 11) && rest.starts_with('-') && is_date
        }
        None => false,
    }
}

/// What an endpoint says of its models. Names alone are the rule; several servers tell more, each in its own way.
/// `None` if this is no list of models.
pub fn from_endpoint(provider: &str, base: &Url, body: &Value) -> Option<Vec<Model>> {
    let list = [Some(body), body.get("data"), body.get("models")].into_iter().flatten().find_map(Value::as_array)?;
    let mut models: Vec<Model> = list.iter().filter_map(|entry| read_entry(provider, base, entry)).collect();
    models.sort_by(|a, b| a.id.cmp(&b.id));
    models.dedup_by(|a, b| a.id == b.id);
    Some(models)
}

fn read_entry(provider: &str, base: &Url, entry: &Value) -> Option<Model> {
    let name = ["id", "name", "model"].iter().find_map(|key| entry.get(key)?.as_str()).or(entry.as_str())?;
    let mut model = lookup(ModelId::new(provider, name), base);
    let number =
        |paths: &[&str]| paths.iter().find_map(|path| entry.pointer(path)?.as_u64()).filter(|number| *number > 0);
    // What this endpoint gives before what the model could do elsewhere.
    model.context_window = number(&[
        "/top_provider/context_length",
        "/context_length",
        "/max_model_len",
        "/context_window",
        "/loaded_context_length",
        "/max_context_length",
        "/meta/n_ctx",
    ])
    .or(model.context_window);
    model.max_output = number(&["/top_provider/max_completion_tokens", "/max_completion_tokens", "/max_output_tokens"])
        .or(model.max_output);
    let lists = |path: &str, wanted: &str| {
        entry.pointer(path).and_then(Value::as_array).map(|list| list.iter().any(|item| item.as_str() == Some(wanted)))
    };
    model.images = lists("/architecture/input_modalities", "image")
        .or_else(|| entry.pointer("/capabilities/vision")?.as_bool())
        .unwrap_or(model.images);
    model.reasoning = lists("/supported_parameters", "reasoning").unwrap_or(model.reasoning);
    model.price = read_price(entry).or(model.price);
    Some(model)
}

/// Prices for one token, as text.
fn read_price(entry: &Value) -> Option<Price> {
    let pricing = entry.get("pricing")?;
    let price = |key: &str| pricing.get(key)?.as_str()?.parse::<f64>().ok().filter(|price| *price >= 0.0);
    // Cents of a cent for one token become round numbers for a million.
    let million = |price: f64| (price * 1e12).round() / 1e6;
    Some(Price {
        input: million(price("prompt")?),
        cached_input: price("input_cache_read").map(million),
        output: million(price("completion")?),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn base(text: &str) -> Url {
        text.parse().expect("a URL")
    }

    #[test]
    fn numbers_hold_at_the_makers_endpoint_only() {
        let model = |name: &str, at: &str| lookup(ModelId::new("p", name), &base(at));
        let own = model("gpt-5-2025-08-07", "https://api.openai.com/v1");
        assert_eq!(
            (own.context_window, own.max_output, own.images, own.reasoning),
            (Some(400_000), Some(128_000), true, true)
        );
        assert_eq!(own.price.map(|price| price.output), Some(10.0));
        let other = model("gpt-5", "https://gateway.example/v1");
        assert_eq!((other.context_window, other.max_output, other.price), (None, None, None));
        assert!(other.images && other.reasoning);
    }

    #[test]
    fn another_model_of_the_same_family_is_not_in_the_table() {
        let model = lookup(ModelId::new("p", "gpt-5-mega"), &base("https://api.openai.com/v1"));
        assert_eq!((model.context_window, model.price), (None, None));
    }

    #[test]
    fn names_in_the_table_are_unique() {
        let mut names: Vec<_> = TABLE.iter().map(|known| (known.host, known.name)).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        assert_eq!(listed("openai", &base("https://api.openai.com/v1")).count(), 13);
        assert_eq!(listed("anthropic", &base("https://api.anthropic.com/v1")).count(), 3);
        assert_eq!(listed("local", &base("http://127.0.0.1:8080/v1")).count(), 0);
    }

    #[test]
    fn lists_of_models_in_any_shape() {
        let at = base("http://127.0.0.1:1/v1");
        let names = |body: Value| {
            from_endpoint("p", &at, &body)
                .map(|models| models.into_iter().map(|model| model.id.name).collect::<Vec<_>>())
        };
        assert_eq!(
            names(json!({ "object": "list", "data": [{ "id": "b" }, { "id": "a" }, { "id": "a" }] })),
            Some(vec!["a".into(), "b".into()])
        );
        assert_eq!(names(json!([{ "id": "a" }])), Some(vec!["a".into()]));
        assert_eq!(names(json!({ "models": [{ "name": "a" }] })), Some(vec!["a".into()]));
        assert_eq!(names(json!({ "data": [] })), Some(Vec::new()));
        assert_eq!(names(json!({ "hello": "world" })), None);
    }

    #[test]
    fn what_the_endpoint_tells_counts() {
        let body = json!({ "data": [{
            "id": "z-ai/glm-9", "context_length": 200_000, "top_provider": { "context_length": 128_000, "max_completion_tokens": 32_000 },
            "architecture": { "input_modalities": ["text", "image"] }, "supported_parameters": ["tools", "reasoning"],
            "pricing": { "prompt": "0.0000006", "completion": "0.0000022", "input_cache_read": "0.00000011" },
        }, { "id": "local", "max_model_len": 32_768 }] });
        let models = from_endpoint("p", &base("https://openrouter.ai/api/v1"), &body).expect("a list");
        let price = Price { input: 0.6, cached_input: Some(0.11), output: 2.2 };
        assert_eq!(models[0].context_window, Some(32_768));
        assert_eq!((models[1].context_window, models[1].max_output), (Some(128_000), Some(32_000)));
        assert_eq!((models[1].images, models[1].reasoning, models[1].price), (true, true, Some(price)));
    }
}
