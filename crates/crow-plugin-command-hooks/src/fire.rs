//! Runs the commands of an event: those that match, all at once, each told the same.

use std::ffi::OsString;
use std::time::Duration;

use crow_acp::{Agent, Session, Severity};
use futures_util::future::join_all;
use serde_json::Value;

use crate::answer::Answer;
use crate::config::{GateFailure, Settings};
use crate::file::{Event, Hook};
use crate::load::{self, Loaded};
use crate::process::Job;
use crate::state::State;
use crate::tools;

/// Something that happens.
#[derive(Debug)]
pub(crate) struct Occasion<'a> {
    event: Event,
    /// What matchers are about, by all the names it goes by.
    names: Vec<&'a str>,
    /// What commands are told of it, beside what they are always told.
    told: Value,
}

impl<'a> Occasion<'a> {
    pub(crate) fn of(event: Event, name: &'a str, told: Value) -> Self {
        Self { event, names: vec![name], told }
    }

    pub(crate) fn of_tool(event: Event, tool: &'a str, told: Value) -> Self {
        Self { event, names: tools::names(tool), told }
    }
}

/// The settings of a session. Bad values were refused at the start.
pub(crate) fn settings(session: &Session) -> Settings {
    session.config().plugin("command-hooks").unwrap_or_default()
}

/// Runs what there is to run, and tells the user what they should know.
pub(crate) async fn fire(agent: &Agent, session: &Session, occasion: Occasion<'_>) -> Answer {
    let settings = settings(session);
    let Loaded { hooks, broken, problems } = load::load(agent, session, &settings);
    let state = State::of(session);
    for problem in problems {
        state.tell_once(session, Severity::Warning, &problem);
    }
    let mut answer = Answer::default();
    if let Some(broken) = broken {
        state.tell_once(session, Severity::Error, &format!("{broken}; its hooks cannot be run"));
        answer.failed = Some(broken);
    }
    let mut due: Vec<&Hook> = Vec::new();
    for hook in hooks.iter().filter(|hook| hook.event == occasion.event && hook.matches(&occasion.names)) {
        // Several files or matchers may name one command; it is run once.
        if !due.iter().any(|other| other.command == hook.command) {
            due.push(hook);
        }
    }
    if due.is_empty() {
        return answer;
    }
    let input = told(session, &occasion).to_string();
    let project = session.config().project().unwrap_or(session.cwd()).as_os_str().to_owned();
    let env = [("CLAUDE_PROJECT_DIR", project.clone()), ("CROW_PROJECT_DIR", project)];
    let runs = due.iter().map(|hook| run(hook, occasion.event, session, &settings, &env, input.as_bytes()));
    for one in join_all(runs).await {
        answer.merge(one);
    }
    for message in &answer.messages {
        state.tell_once(session, Severity::Warning, message);
    }
    if let Some(failed) = answer.failed.as_ref().filter(|_| !occasion.event.is_gate()) {
        state.tell_once(session, Severity::Warning, failed);
    }
    answer
}

async fn run(
    hook: &Hook,
    event: Event,
    session: &Session,
    settings: &Settings,
    env: &[(&'static str, OsString)],
    input: &[u8],
) -> Answer {
    let timeout = hook.timeout.unwrap_or(Duration::from_secs(settings.timeout));
    let job = Job { command: &hook.command, cwd: session.cwd(), env, input, timeout, limit: settings.output_limit };
    match job.run().await {
        Ok(exit) => Answer::of(event, &hook.command, &exit),
        Err(why) => Answer::failed(&hook.command, why),
    }
}

/// What commands are told on standard input.
fn told(session: &Session, occasion: &Occasion<'_>) -> Value {
    let mut told = occasion.told.clone();
    told["session_id"] = session.id().into();
    told["cwd"] = session.cwd().to_string_lossy().into();
    told["hook_event_name"] = occasion.event.name().into();
    told["permission_mode"] = match session.mode().as_deref() {
        Some("accept-edits") => "acceptEdits",
        Some("plan") => "plan",
        Some("full") => "bypassPermissions",
        _ => "default",
    }
    .into();
    told
}

/// Why what waits for leave must not happen: a command says so, or one that was to decide could not.
pub(crate) fn refusal(session: &Session, answer: &Answer) -> Option<String> {
    if let Some(reason) = answer.refusal() {
        return Some(reason.to_owned());
    }
    let failed = answer.failed.as_ref()?;
    if settings(session).gate_failure == GateFailure::Allow {
        State::of(session).tell_once(session, Severity::Warning, failed);
        return None;
    }
    Some(format!("{failed}, and what it guards stays shut (`gate_failure` in [plugins.command-hooks])"))
}
