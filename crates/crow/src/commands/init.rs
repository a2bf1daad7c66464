//! `crow init`: which provider, which model; and the offer that `crow run` makes when none is configured.

use std::time::Duration;

use crow_acp::{Config, ModelId, ProviderError};
use tokio::time::timeout;

use crate::args::{Cli, Init};
use crate::config_file::{self, Provider};
use crate::dialog::{ask, choose, say};
use crate::discover::{self, Found};
use crate::exit::{Exit, Failure};
use crate::{host, turn};

/// How long an endpoint may take to list its models.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most models that are offered by number.
const MOST: usize = 30;

/// Runs the command.
///
/// # Errors
/// Nothing was chosen or found, or the configuration cannot be written.
pub(crate) async fn run(cli: &Cli, init: &Init) -> Result<Exit, Failure> {
    let mut overrides = cli.overrides.clone();
    let model = overrides.model.take();
    // A configuration that cannot be read would be written over.
    let config = host::config(overrides)?;
    let (provider, model) = match given(cli, init, model.as_deref()).await? {
        Some((provider, models)) if init.yes => {
            let model = model_without_asking(cli, &provider, models, model.as_deref()).await?;
            (provider, model)
        }
        Some((provider, _)) => {
            let model = choose_model(cli, &provider, Vec::new(), model.as_deref()).await?;
            (provider, model)
        }
        None if init.yes => {
            let found = discover::look(cli.plugins)
                .await
                .into_iter()
                .next()
                .ok_or_else(|| nothing_found("`crow init --yes` found"))?;
            let model = model_without_asking(cli, &found.provider, found.models, model.as_deref()).await?;
            (found.provider, model)
        }
        None if turn::person_is_there() => dialogue(cli, &config, model.as_deref()).await?,
        None => {
            return Err(Failure::usage("`crow init` asks questions, and there is no terminal to ask at").next(
                "Say it all at once, for example:\n  crow init --provider openai --key-env OPENAI_API_KEY --model openai/gpt-5 --yes\n\
                 or take what is found: crow init --yes",
            ));
        }
    };
    config_file::write(config.home(), &provider, &model)?;
    say(&format!("Written: {}\n  model = \"{model}\"", config.file().display()))?;
    say(
        "\nTry it:\n  crow run \"What is in this directory?\"\n  crow doctor\nIn your editor: crow acp --help says how.",
    )?;
    Ok(Exit::Done)
}

/// What `crow run` does without a model: says what there is, and lets the person choose.
///
/// # Errors
/// Nobody is there to choose, or there is nothing to choose from.
pub(crate) async fn offer(cli: &Cli, config: &Config) -> Result<Config, Failure> {
    if cli.json || !turn::person_is_there() {
        let found = discover::look(cli.plugins).await;
        let nothing = nothing_found("no model is configured, and there is");
        if found.is_empty() {
            return Err(nothing);
        }
        let titles: Vec<String> = found.iter().map(|found| format!("  {}", describe(found))).collect();
        return Err(Failure::usage("no model is configured").next(format!(
            "Found, but not used before you choose it:\n{}\nChoose with `crow init`, or for once with --model PROVIDER/MODEL.",
            titles.join("\n")
        )));
    }
    say("No model is configured yet.")?;
    let (provider, model) = dialogue(cli, config, None).await?;
    config_file::write(config.home(), &provider, &model)?;
    say(&format!("Written: {}\n", config.file().display()))?;
    host::config(cli.overrides.clone())
}

fn nothing_found(what: &str) -> Failure {
    Failure::usage(format!("{what} no key in the environment and no model server on this machine")).next(
        "crow demo       watch Crow work first: no key, no network\n\
         crow init       name a provider and a model\n\
         or set OPENAI_API_KEY (and OPENAI_BASE_URL) or ANTHROPIC_API_KEY, or start Ollama, LM Studio, llama.cpp or vLLM.",
    )
}

/// The provider that the command line describes, with the models it was found to have.
async fn given(cli: &Cli, init: &Init, model: Option<&str>) -> Result<Option<(Provider, Vec<String>)>, Failure> {
    let from_model = model.map(str::parse::<ModelId>).transpose().map_err(|error| Failure::usage(error.to_string()))?;
    let name = init.provider.clone().or_else(|| from_model.map(|id| id.provider));
    if name.is_none() && init.base_url.is_none() && init.key_env.is_none() {
        return Ok(None);
    }
    let name = name.unwrap_or_else(|| "openai".to_owned());
    if let Some(variable) = &init.key_env
        && std::env::var_os(variable).is_none()
    {
        return Err(Failure::usage(format!("--key-env {variable}: the environment has no such variable"))
            .next("Give the variable's name, not the key: the key stays out of the file."));
    }
    let api_key = init.key_env.as_ref().map(|variable| format!("${{{variable}}}"));
    // Some makers have a second address that speaks it.
    let is_compatible = init.base_url.as_ref().is_some_and(|url| url.contains("openai"));
    let protocol =
        if is_compatible { discover::CHAT_COMPLETIONS } else { discover::protocol_of(&name, cli.plugins).await };
    Ok(Some((Provider { name, protocol, base_url: init.base_url.clone(), api_key }, Vec::new())))
}

async fn dialogue(cli: &Cli, config: &Config, model: Option<&str>) -> Result<(Provider, String), Failure> {
    let mut found = discover::look(cli.plugins).await;
    let mut choices: Vec<String> = found.iter().map(describe).collect();
    choices.push("another endpoint that speaks the OpenAI protocol".to_owned());
    let chosen = choose("Which provider?", &choices)?;
    let (provider, models) = if chosen < found.len() {
        let found = found.swap_remove(chosen);
        (found.provider, found.models)
    } else {
        (another(config)?, Vec::new())
    };
    let model = choose_model(cli, &provider, models, model).await?;
    Ok((provider, model))
}

/// Asks for an endpoint that was not found.
fn another(config: &Config) -> Result<Provider, Failure> {
    let base_url = loop {
        let url = ask("Address", Some("https://api.openai.com/v1"))?;
        if url.starts_with("http://") || url.starts_with("https://") {
            break url;
        }
        say("An address starts with https:// or http://, and mostly ends with /v1.")?;
    };
    let host = base_url.split("://").nth(1).unwrap_or_default();
    let host = host.split(['/', ':']).next().unwrap_or_default();
    let guess = host.trim_start_matches("api.").trim_start_matches("www.").split('.').next().unwrap_or_default();
    let guess = if guess.is_empty() || guess.chars().all(|c| c.is_ascii_digit()) || guess == "localhost" {
        "local"
    } else {
        guess
    };
    let name = loop {
        let name = ask("What to call it", Some(guess))?;
        if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
            break name;
        }
        say("A name is made of letters, digits, - and _.")?;
    };
    if config.providers().contains_key(&name) {
        say(&format!("({name} is configured already; its address and key are replaced, the rest stays.)"))?;
    }
    let key = ask("Key: the name of an environment variable that holds it, the key itself, or nothing", Some(""))?;
    let api_key = match key.as_str() {
        "" => None,
        name if std::env::var_os(name).is_some() => Some(format!("${{{name}}}")),
        key => Some(key.replace("${", "$${")),
    };
    Ok(Provider { name, protocol: discover::CHAT_COMPLETIONS, base_url: Some(base_url), api_key })
}

/// The model to use: the one named, or one of those that the endpoint has.
async fn choose_model(
    cli: &Cli,
    provider: &Provider,
    mut models: Vec<String>,
    named: Option<&str>,
) -> Result<String, Failure> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    if models.is_empty() {
        models = match list(cli, provider).await {
            Ok(models) => models,
            Err(error) => {
                say(&format!("{} did not tell its models: {error}", provider.name))?;
                Vec::new()
            }
        };
    }
    let name = if models.is_empty() || models.len() > MOST {
        if !models.is_empty() {
            say(&format!("{} has {} models, such as {}.", provider.name, models.len(), models[..4].join(", ")))?;
        }
        loop {
            let name = ask("Model", None)?;
            if models.contains(&name) || (models.is_empty() && !name.is_empty()) {
                break name;
            }
            let near: Vec<&str> =
                models.iter().map(String::as_str).filter(|model| model.contains(&name)).take(10).collect();
            say(&if near.is_empty() {
                "It has no such model.".to_owned()
            } else {
                format!("Its models like that: {}", near.join(", "))
            })?;
        }
    } else {
        let chosen = choose("Which model?", &models)?;
        models.swap_remove(chosen)
    };
    Ok(format!("{}/{name}", provider.name))
}

async fn model_without_asking(
    cli: &Cli,
    provider: &Provider,
    models: Vec<String>,
    named: Option<&str>,
) -> Result<String, Failure> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    let models = if models.is_empty() {
        list(cli, provider).await.map_err(|error| {
            Failure::failed(format!("{} did not tell its models: {error}", provider.name))
                .next("Name one: crow init … --model PROVIDER/MODEL")
        })?
    } else {
        models
    };
    match models.as_slice() {
        [] => Err(Failure::failed(format!("{} has no models", provider.name))
            .next("Name one: crow init … --model PROVIDER/MODEL")),
        [only] => Ok(format!("{}/{only}", provider.name)),
        [first, ..] => {
            say(&format!(
                "{} has {} models; taking the first, {first}. --model names another.",
                provider.name,
                models.len()
            ))?;
            Ok(format!("{}/{first}", provider.name))
        }
    }
}

async fn list(cli: &Cli, provider: &Provider) -> Result<Vec<String>, ProviderError> {
    let late = || ProviderError::new(crow_acp::ProviderErrorKind::Timeout, "no answer within 10 s");
    let models = timeout(PATIENCE, discover::models(provider, cli.plugins)).await.map_err(|_| late())??;
    Ok(models.into_iter().map(|model| model.id.name).collect())
}

/// A thing that was found, on one line.
pub(crate) fn describe(found: &Found) -> String {
    match found.models.as_slice() {
        [] if found.provider.api_key.is_some() => found.title.clone(),
        [] => format!("{}, without a model yet", found.title),
        [one] => format!("{}: {one}", found.title),
        [one, two] => format!("{}: {one}, {two}", found.title),
        [one, two, more @ ..] => format!("{}: {one}, {two} and {} more", found.title, more.len()),
    }
}
