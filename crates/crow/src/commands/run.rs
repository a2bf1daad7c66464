//! `crow run`: one prompt in this directory.

use std::io::Read;
use std::sync::Arc;

use agent_client_protocol::v1::schema::{SessionConfigKind, SessionConfigOption};
use crow_acp::crow_hooks::Monitor;

use crate::args::{Cli, Run};
use crate::client::{self, News};
use crate::exit::{Exit, Failure};
use crate::host::{self, Host};
use crate::render::Style;
use crate::show::{Show, TraceTo};
use crate::signals::Interrupts;
use crate::trace::Trace;
use crate::turn::{self, Answers};
use crate::{commands, turn::complain};

/// Runs the command.
///
/// # Errors
/// It could not start.
pub(crate) async fn run(cli: &Cli, run: &Run) -> Result<Exit, Failure> {
    let prompt = prompt(&run.prompt)?;
    let mut config = host::config(cli.overrides.clone())?;
    if config.model().is_none() {
        config = commands::init::offer(cli, &config).await?;
    }
    let queue = client::queue();
    let trace = cli.trace_hooks.then(|| {
        let sender = queue.0.clone();
        Arc::new(Trace::new(move |fired| drop(sender.send(News::Hook(fired)))))
    });
    let mode = config.mode().unwrap_or("ask").to_owned();
    let host = Host::new(config, cli.plugins, trace.clone().map(|trace| trace as Arc<dyn Monitor>)).await?;
    let agent = host.agent.clone();
    let cwd = std::env::current_dir()
        .map_err(|error| Failure::usage(format!("the current directory cannot be used: {error}")))?;
    let mut interrupts = Interrupts::listen()?;
    let mut show = Show::new(cli.json);
    let answers = if turn::person_is_there() && !cli.json && run.prompt != "-" {
        Answers::Person
    } else {
        Answers::Nobody { mode }
    };
    let session = match &run.session {
        Some(start) => Some(commands::sessions::find(&agent, start).await?),
        None => None,
    };
    let ended = client::connect(&agent, queue, async |mut connection| {
        connection.initialize().await?;
        let opened = connection.open(&cwd, session.as_deref()).await?;
        show.session(&opened.id.to_string(), current(&opened.options, "model"), current(&opened.options, "mode"));
        for notice in &host.notices {
            show.note(Style::Warn, &notice.title);
        }
        Ok(turn::run(&mut connection, &opened.id, prompt, &mut show, &answers, TraceTo::Stderr, &mut interrupts).await)
    });
    let ended = ended.await;
    if let Some(trace) = trace {
        trace.flush();
    }
    let ended = ended?;
    if let Some(error) = &ended.error {
        let error = agent.secrets().scrub(error);
        if !show.has_said(&error) {
            complain(&Failure::failed(error).to_string());
        }
    }
    Ok(ended.exit)
}

/// The prompt itself, or what stands on standard input.
fn prompt(argument: &str) -> Result<String, Failure> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| Failure::usage(format!("the prompt cannot be read from standard input: {error}")))?;
    if text.trim().is_empty() {
        return Err(Failure::usage("the prompt on standard input is empty"));
    }
    Ok(text)
}

/// The current value of an option.
fn current<'a>(options: &'a [SessionConfigOption], id: &str) -> Option<&'a str> {
    let option = options.iter().find(|option| &*option.id.0 == id)?;
    match &option.kind {
        SessionConfigKind::Select(select) => Some(&select.current_value.0),
        _ => None,
    }
}
