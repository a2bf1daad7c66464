//! Bare `crow`: how things stand, and what to do next.

use crow_acp::{Config, SessionQuery};

use crate::args::Cli;
use crate::dialog::say;
use crate::exit::{Exit, Failure};
use crate::host::{self, Host};
use crate::render::{Palette, Style, clean};
use crate::time::ago;
use crate::{commands, discover, plugins};

/// Runs the command.
///
/// # Errors
/// The configuration cannot be used.
pub(crate) async fn run(cli: &Cli) -> Result<Exit, Failure> {
    let config = host::config(cli.overrides.clone())?;
    let palette = Palette::of(&std::io::stdout());
    let title = palette.paint(Style::Bold, concat!("Crow ", env!("CARGO_PKG_VERSION")));
    say(&format!("{title}: a coding agent for your editor and your terminal\n"))?;
    let row = |name: &str, text: &str| say(&format!("  {} {text}", palette.paint(Style::Dim, &format!("{name:<10}"))));
    let configured = config.model().is_some();
    match config.model() {
        Some(model) => row("Model", &model.to_string())?,
        None => row("Model", "none yet")?,
    }
    let providers = providers(&config);
    if !providers.is_empty() {
        row("Providers", &providers.join(", "))?;
    }
    let found = if configured { Vec::new() } else { discover::look(cli.plugins).await };
    for (at, one) in found.iter().enumerate() {
        row(if at == 0 { "Found" } else { "" }, &commands::init::describe(one))?;
    }
    let host = Host::new(config, cli.plugins, None).await?;
    let off = plugins::off(host.agent.plugins());
    let on = host.agent.plugins().names().len();
    row("Plugins", &if off.is_empty() { format!("{on} on") } else { format!("{on} on, off: {}", off.join(", ")) })?;
    row("Sessions", &sessions(&host).await)?;
    for notice in &host.notices {
        say(&palette.paint(Style::Warn, &format!("  {}", notice.title)))?;
    }
    say("\nNext")?;
    let mut next = vec![("crow run \"PROMPT\"", "do one task in this directory")];
    if !configured {
        let init =
            if found.is_empty() { "choose a provider and a model" } else { "choose one of what was found, or another" };
        next = vec![("crow demo", "watch Crow fix a bug; needs no key and no network"), ("crow init", init)];
    }
    next.extend([("crow acp --help", "use Crow in your editor"), ("crow --help", "everything else")]);
    for (command, what) in next {
        say(&format!("  {}{}{what}", palette.paint(Style::Bold, command), " ".repeat(20 - command.len())))?;
    }
    Ok(Exit::Done)
}

/// The providers, each with what is wrong with it.
fn providers(config: &Config) -> Vec<String> {
    let describe = |(name, provider): (&String, &crow_acp::ProviderConfig)| match (&provider.error, &provider.base_url)
    {
        (Some(error), _) => format!("{name} ({})", error.message()),
        (None, Some(url)) => format!("{name} ({})", config.secrets().scrub(url)),
        (None, None) => name.clone(),
    };
    config.providers().iter().map(describe).collect()
}

async fn sessions(host: &Host) -> String {
    const MOST: usize = 100;
    let agent = &host.agent;
    if !agent.config().home().exists() {
        // Looking must not make anything.
        return "none yet".to_owned();
    }
    let listed = agent.list_sessions(&SessionQuery::newest(MOST)).await;
    agent.shutdown().await;
    match listed {
        Err(error) => format!("the store cannot be read: {}", error.message),
        Ok(sessions) => match sessions.first() {
            None => "none yet".to_owned(),
            Some(last) => {
                let count = if sessions.len() == MOST { format!("{MOST} or more") } else { sessions.len().to_string() };
                let title = last.title.as_deref().map(|title| format!(" “{}”", clean(title))).unwrap_or_default();
                format!("{count}, the last {}{title}", ago(last.updated_at))
            }
        },
    }
}
