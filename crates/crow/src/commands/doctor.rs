//! `crow doctor`: everything that may keep Crow from working, and what to do about it.

use std::path::Path;
use std::time::{Duration, Instant};

use crow_acp::{Config, ModelId, ProviderError, ProviderErrorKind, SessionQuery};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::args::Cli;
use crate::dialog::say;
use crate::exit::{Exit, Failure};
use crate::host::{self, Host};
use crate::render::{Palette, Style, clean};
use crate::{discover, logs, plugins};

/// How long a provider may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Ok,
    Warning,
    Error,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Check {
    name: String,
    state: State,
    found: String,
    /// What to do about it.
    fix: Option<String>,
}

impl Check {
    fn new(name: impl Into<String>, state: State, found: impl Into<String>) -> Self {
        Self { name: name.into(), state, found: found.into(), fix: None }
    }

    fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

/// Runs the command.
///
/// # Errors
/// Nobody reads the output.
pub(crate) async fn run(cli: &Cli) -> Result<Exit, Failure> {
    let mut checks = Vec::new();
    let mut unusable = false;
    match host::config(cli.overrides.clone()) {
        Err(failure) => {
            unusable = true;
            checks.push(
                Check::new("configuration", State::Error, failure.what)
                    .fix("correct that line, then run crow doctor again"),
            );
        }
        Ok(config) => match Host::new(config.clone(), cli.plugins, None).await {
            Err(failure) => {
                unusable = true;
                checks.push(configuration(&config));
                checks.push(Check::new("plugins", State::Error, failure.what));
            }
            // With what the plugins found wrong with it.
            Ok(host) => checks.extend(all(cli, &host.agent.config(), &host).await),
        },
    }
    if cli.json {
        let checks: Vec<Value> = checks
            .iter()
            .map(|check| {
                let state = match check.state {
                    State::Ok => "ok",
                    State::Warning => "warning",
                    State::Error => "error",
                };
                json!({ "name": check.name, "state": state, "found": check.found, "fix": check.fix })
            })
            .collect();
        say(&json!({ "version": env!("CARGO_PKG_VERSION"), "checks": checks }).to_string())?;
    } else {
        print(&checks)?;
    }
    Ok(match checks.iter().map(|check| check.state).max() {
        _ if unusable => Exit::Usage,
        Some(State::Error) => Exit::Failed,
        _ => Exit::Done,
    })
}

fn print(checks: &[Check]) -> Result<(), Failure> {
    let palette = Palette::of(&std::io::stdout());
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    for check in checks {
        let (mark, style) = match check.state {
            State::Ok => ("✓", Style::Good),
            State::Warning => ("!", Style::Warn),
            State::Error => ("✗", Style::Bad),
        };
        say(&format!("{} {:width$}  {}", palette.paint(style, mark), check.name, clean(&check.found)))?;
        for line in check.fix.iter().flat_map(|fix| fix.lines()) {
            say(&format!("  {:width$}  {}", "", palette.paint(Style::Dim, &format!("→ {line}"))))?;
        }
    }
    Ok(())
}

async fn all(cli: &Cli, config: &Config, host: &Host) -> Vec<Check> {
    let mut checks = vec![configuration(config)];
    checks.push(permissions(config.home()));
    checks.push(plugins_check(host));
    let brought = brought(config, host).await;
    let (providers, models) = providers(cli, config, host, brought).await;
    checks.extend(providers);
    checks.push(model(config, brought, &models));
    checks.push(store(host).await);
    checks.push(log(config));
    checks
}

fn configuration(config: &Config) -> Check {
    let file = config.file();
    if file.exists() {
        Check::new("configuration", State::Ok, file.display().to_string())
    } else {
        Check::new("configuration", State::Ok, format!("no {}; defaults and the environment", file.display()))
    }
}

/// What is in `CROW_HOME` is nobody else's business: conversations, and perhaps keys.
#[cfg(unix)]
fn permissions(home: &Path) -> Check {
    use std::os::unix::fs::PermissionsExt;
    let name = "home";
    let open: Vec<String> = [home.to_owned(), home.join("config.toml")]
        .iter()
        .filter(|path| std::fs::metadata(path).is_ok_and(|data| data.permissions().mode() & 0o077 != 0))
        .map(|path| path.display().to_string())
        .collect();
    if !home.exists() {
        Check::new(name, State::Ok, format!("{} does not exist yet", home.display()))
    } else if open.is_empty() {
        Check::new(name, State::Ok, format!("{}, readable by you only", home.display()))
    } else {
        Check::new(name, State::Warning, format!("others can read {}", open.join(" and ")))
            .fix(format!("chmod -R go= {}", home.display()))
    }
}

#[cfg(not(unix))]
fn permissions(home: &Path) -> Check {
    Check::new("home", State::Ok, home.display().to_string())
}

fn plugins_check(host: &Host) -> Check {
    let manager = host.agent.plugins();
    let off = plugins::off(manager);
    let off = if off.is_empty() { String::new() } else { format!(", off: {}", off.join(", ")) };
    let found = format!("{} on{off}", manager.names().len());
    let wrong: Vec<String> = host.notices.iter().map(|notice| notice.title.clone()).collect();
    if wrong.is_empty() {
        Check::new("plugins", State::Ok, found)
    } else {
        Check::new("plugins", State::Warning, wrong.join("; "))
    }
}

/// The provider of the model that is chosen, if no configuration names it but a plugin brings it along.
async fn brought<'a>(config: &'a Config, host: &Host) -> Option<&'a str> {
    let name = config.model()?.provider.as_str();
    let unknown = !config.providers().contains_key(name);
    (unknown && discover::carried(host, name).await.is_ok_and(|provider| provider.is_some())).then_some(name)
}

/// Tries every provider, and tells which models they have.
async fn providers(
    cli: &Cli,
    config: &Config,
    host: &Host,
    brought: Option<&str>,
) -> (Vec<Check>, Vec<(String, Vec<String>)>) {
    if config.providers().is_empty() && brought.is_none() {
        let found = discover::look(cli.plugins).await;
        let fix = if found.is_empty() {
            "crow init, or set OPENAI_API_KEY, or start a model server on this machine"
        } else {
            "crow init offers what was found"
        };
        let titles: Vec<String> = found.iter().map(crate::commands::init::describe).collect();
        let found = if titles.is_empty() {
            "none configured".to_owned()
        } else {
            format!("none configured; found {}", titles.join("; "))
        };
        return (vec![Check::new("provider", State::Error, found).fix(fix)], Vec::new());
    }
    let mut checks = Vec::new();
    let mut models = Vec::new();
    let configured = config.providers().iter().map(|(name, provider)| (name.as_str(), Some(provider)));
    for (name, provider) in configured.chain(brought.map(|name| (name, None))) {
        let title = format!("provider {name}");
        if let Some(error) = provider.and_then(|provider| provider.error.as_ref()) {
            checks.push(Check::new(title, State::Error, error.to_string()).fix("correct it, or take the provider out"));
            continue;
        }
        let since = Instant::now();
        let late =
            |_| ProviderError::new(ProviderErrorKind::Timeout, format!("no answer within {} s", PATIENCE.as_secs()));
        let answer = timeout(PATIENCE, discover::list(host, name)).await.map_err(late).flatten();
        let address = provider.and_then(|provider| provider.base_url.as_deref());
        let at = address.map(|url| format!("{}: ", config.secrets().scrub(url))).unwrap_or_default();
        match answer {
            Ok(list) => {
                let took = since.elapsed().as_millis();
                checks.push(Check::new(title, State::Ok, format!("{at}{} models, {took} ms", list.len())));
                models.push((name.to_owned(), list.into_iter().map(|model| model.id.name).collect()));
            }
            Err(error) if provider.is_none() && error.kind == ProviderErrorKind::Unsupported => {
                checks.push(Check::new(title, State::Ok, "a plugin's, which does not list its models"));
                models.push((name.to_owned(), Vec::new()));
            }
            Err(error) => checks.push(refused(title, &at, &error, config)),
        }
    }
    (checks, models)
}

/// What a failed try of a provider means.
fn refused(title: String, at: &str, error: &ProviderError, config: &Config) -> Check {
    let said = config.secrets().scrub(&error.message).into_owned();
    let state = if error.kind == ProviderErrorKind::Unsupported { State::Warning } else { State::Error };
    let fix = match error.kind {
        ProviderErrorKind::Authentication => "check api_key; `crow init` sets it",
        ProviderErrorKind::Payment => "the account needs credit",
        ProviderErrorKind::NotFound => "check base_url: it mostly ends with /v1",
        ProviderErrorKind::RateLimit | ProviderErrorKind::Overloaded | ProviderErrorKind::Server => {
            "the provider is there but busy or broken: try again later"
        }
        ProviderErrorKind::Connection | ProviderErrorKind::Timeout => {
            "is the server running, is base_url right, does a proxy stand between?"
        }
        ProviderErrorKind::Protocol => "something answers there, but not as a model endpoint: check base_url",
        _ => return Check::new(title, state, format!("{at}{said}")),
    };
    Check::new(title, state, format!("{at}{said}")).fix(fix)
}

fn model(config: &Config, brought: Option<&str>, models: &[(String, Vec<String>)]) -> Check {
    let name = "model";
    let Some(id) = config.model() else {
        return Check::new(name, State::Error, "none configured")
            .fix("crow init, or model = \"PROVIDER/MODEL\" in config.toml, or CROW_MODEL");
    };
    let ModelId { provider, name: wanted } = id;
    match models.iter().find(|(name, _)| name == provider) {
        _ if brought.is_none() && !config.providers().contains_key(provider) => {
            Check::new(name, State::Error, format!("{id}: there is no provider `{provider}`"))
                .fix(format!("add [providers.{provider}], or choose another model"))
        }
        None => Check::new(name, State::Warning, format!("{id}: could not be checked")),
        Some((_, list)) if list.is_empty() || list.contains(wanted) => Check::new(name, State::Ok, id.to_string()),
        Some((_, list)) => {
            let near = crate::args::nearest(wanted, list.iter().map(String::as_str));
            let fix = near.map_or_else(
                || format!("it has {}", list[..list.len().min(5)].join(", ")),
                |near| format!("did you mean {provider}/{near}?"),
            );
            Check::new(name, State::Warning, format!("{id}: {provider} does not list it")).fix(fix)
        }
    }
}

async fn store(host: &Host) -> Check {
    let listed = host.agent.list_sessions(&SessionQuery::newest(1000)).await;
    host.agent.shutdown().await;
    match listed {
        Ok(sessions) => {
            let place = plugins::archive(&host.agent).ok().flatten();
            let place = place.map(|archive| format!(" in {}", archive.location())).unwrap_or_default();
            Check::new("store", State::Ok, format!("{} sessions{place}", sessions.len()))
        }
        Err(error) => Check::new("store", State::Error, error.message),
    }
}

fn log(config: &Config) -> Check {
    let dir = logs::dir(config.home());
    let bytes: u64 = std::fs::read_dir(&dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.metadata().ok())
        .map(|data| data.len())
        .sum();
    Check::new("log", State::Ok, format!("{} ({} KB)", dir.display(), bytes.div_ceil(1024)))
}
