//! The plugin `command-hooks`: commands that are run when something happens, in the `hooks.json` format that coding
//! agents share, so that what people already have keeps working.
//!
//! The user's own file is `CROW_HOME/hooks.json`; a project's are run only when they are trusted. A gate that cannot be
//! run stays shut.
#![forbid(unsafe_code)]

mod answer;
mod config;
mod file;
mod fire;
mod leave;
mod load;
mod process;
mod state;
mod tools;

use std::time::Duration;

use crow_acp::crow_hooks::{Next, Outcome};
use crow_acp::{
    Agent, AskError, Choice, ChoiceKind, Compact, CompactPlan, CompactTrigger, Config, ConfigError, CrowHooks,
    EndReason, KeepGoing, Message, Origin, Permission, Question, RequestPermission, Session, Severity, StopReason,
    ToolCall, ToolGate, ToolOutcome, ToolStatus, Turn, TurnDecision, hookimpls,
};
use serde_json::json;

use answer::{Answer, Decision};
use config::Settings;
use file::Event;
use fire::Occasion;
use state::State;

/// After so long somebody is being waited for, and `Notification` commands say so.
const WAITING: Duration = Duration::from_millis(500);

/// The plugin.
#[derive(Debug, Clone, Copy, Default)]
pub struct CommandHooks;

/// The plugin, ready to be registered.
pub fn plugin() -> CommandHooks {
    CommandHooks
}

/// Commands have time limits of their own: the agent's for plugins would cut them short.
#[hookimpls(name = "command-hooks", budget = "1h")]
impl CrowHooks for CommandHooks {
    fn configure(&self, config: &mut Config) -> Result<(), ConfigError> {
        let settings: Settings = config.plugin("command-hooks")?;
        if settings.timeout == 0 {
            return Err(config.error_at("plugins.command-hooks.timeout", "`timeout`: expected 1 second or more"));
        }
        Ok(())
    }

    /// The files are looked at, so that what a project brings along is known. `SessionStart` commands are run beside:
    /// an editor must not wait for them, only the first prompt does.
    fn on_session_start(&self, agent: &Agent, session: &Session) {
        let loaded = load::load(agent, session, &fire::settings(session));
        // Without a client nobody has opened anything yet: `crow trust` only looks.
        if loaded.hooks.iter().any(|hook| hook.event == Event::SessionStart) && agent.client().is_some() {
            let (agent_, session) = (agent.clone(), session.clone());
            agent.spawn(async move { started(&agent_, &session).await });
        }
    }

    async fn on_session_end(&self, agent: &Agent, session: &Session, reason: &EndReason) {
        let reason = match reason {
            EndReason::Deleted => "clear",
            EndReason::Disconnected => "prompt_input_exit",
            _ => "other",
        };
        fire::fire(agent, session, Occasion::of(Event::SessionEnd, reason, json!({ "reason": reason }))).await;
    }

    async fn before_prompt(&self, agent: &Agent, session: &Session, prompt: &mut Message) -> Result<(), String> {
        let state = State::of(session);
        state.begin();
        started(agent, session).await;
        let answer =
            fire::fire(agent, session, Occasion::of(Event::UserPromptSubmit, "", json!({ "prompt": prompt.text() })))
                .await;
        if let Some(reason) = fire::refusal(session, &answer) {
            return Err(reason);
        }
        state.add_context("UserPromptSubmit", answer.context);
        Ok(())
    }

    fn before_run(&self, session: &Session) {
        for (event, text) in State::of(session).take_context() {
            session.inject("command-hooks", event, &text);
        }
    }

    fn before_turn(&self, session: &Session, turn: &Turn) -> Option<TurnDecision> {
        let _ = turn;
        let message = State::of(session).take_stop()?;
        Some(TurnDecision::Stop { reason: StopReason::EndTurn, message: Some(message) })
    }

    #[hookimpl(tryfirst)]
    async fn before_tool_call(&self, agent: &Agent, session: &Session, call: &mut ToolCall) -> Option<ToolGate> {
        let input = tools::input(&call.name, &call.arguments, session.cwd());
        let told = json!({ "tool_name": tools::told(&call.name), "tool_input": input, "tool_use_id": call.id });
        let answer = fire::fire(agent, session, Occasion::of_tool(Event::PreToolUse, &call.name, told)).await;
        let state = State::of(session);
        if let Some(reason) = answer.stopped.clone() {
            state.stop(reason);
        }
        if let Some(reason) = fire::refusal(session, &answer) {
            return Some(ToolGate::Deny { reason });
        }
        if !answer.updated.is_empty() {
            call.arguments = tools::rewritten(&call.name, &call.arguments, &answer.updated);
        }
        for text in answer.context {
            session.inject("command-hooks", "PreToolUse", &text);
        }
        if let Some(decision) = answer.decision {
            state.decide(&call.id, decision);
        }
        None
    }

    /// What a `PreToolUse` command decided about the question that would come now.
    async fn request_permission(&self, agent: &Agent, session: &Session, call: &ToolCall) -> Option<Permission> {
        match State::of(session).take_decision(&call.id)? {
            (Decision::Allow, _) => leave::suffices(session, call).then_some(Permission::Allow),
            (Decision::Ask, reason) => Some(ask(agent, session, call, &reason).await?),
            (Decision::Deny, reason) => Some(Permission::Deny { reason }),
        }
    }

    /// Whoever is away from the keyboard wants to know that they are waited for.
    #[hookimpl(wrapper, specname = "request_permission")]
    async fn while_somebody_is_asked(&self, mut next: Next<'_, RequestPermission>) -> Outcome<RequestPermission> {
        let (agent, session) = (next.args.agent.clone(), next.args.session.clone());
        let name = tools::told(&next.args.call.name).to_owned();
        let notification = async {
            tokio::time::sleep(WAITING).await;
            let message = format!("Crow needs your permission to use {name}");
            let told = json!({ "message": message, "title": "Crow", "notification_type": "permission_prompt" });
            fire::fire(&agent, &session, Occasion::of(Event::Notification, "permission_prompt", told)).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            outcome = next.run() => outcome,
            () = notification => unreachable!("it never ends"),
        }
    }

    async fn after_tool_call(&self, agent: &Agent, session: &Session, call: &ToolCall, outcome: &mut ToolOutcome) {
        let event = match outcome.status {
            ToolStatus::Completed => Event::PostToolUse,
            ToolStatus::Failed => Event::PostToolUseFailure,
            _ => return,
        };
        let input = tools::input(&call.name, &call.arguments, session.cwd());
        let mut response = json!({ "success": !outcome.is_error(), "text": outcome.text });
        if call.name == "terminal" {
            response["stdout"] = outcome.text.clone().into();
        }
        if let Some(path) = input.get("file_path") {
            response["filePath"] = path.clone();
        }
        let told = json!({
            "tool_name": tools::told(&call.name), "tool_input": input, "tool_response": response,
            "tool_use_id": call.id, "error": outcome.is_error().then_some(&outcome.text),
        });
        let answer = fire::fire(agent, session, Occasion::of_tool(event, &call.name, told)).await;
        if let Some(reason) = answer.stopped {
            State::of(session).stop(reason);
        }
        let remarks = answer.blocked.into_iter().chain(answer.context);
        outcome.text.extend(remarks.map(|text| format!("\n\n<hook event=\"{}\">\n{text}\n</hook>", event.name())));
    }

    #[hookimpl(wrapper)]
    async fn compact(&self, mut next: Next<'_, Compact>) -> Outcome<Compact> {
        let (agent, session) = (next.args.agent.clone(), next.args.session.clone());
        let CompactPlan { trigger, .. } = next.args.plan.clone();
        let (name, focus) = match trigger {
            CompactTrigger::Asked { focus } => ("manual", focus),
            _ => ("auto", None),
        };
        let told = json!({ "trigger": name, "custom_instructions": focus.unwrap_or_default() });
        let answer = fire::fire(&agent, &session, Occasion::of(Event::PreCompact, name, told)).await;
        match fire::refusal(&session, &answer) {
            Some(reason) => Err(reason.into()),
            None => next.run().await,
        }
    }

    async fn before_stop(&self, agent: &Agent, session: &Session, reason: &StopReason) -> Option<KeepGoing> {
        let state = State::of(session);
        if *reason != StopReason::EndTurn || state.take_stop().is_some() {
            return None;
        }
        let kept_going = state.has_kept_going();
        let told = json!({ "stop_hook_active": kept_going > 0 });
        let answer = fire::fire(agent, session, Occasion::of(Event::Stop, "", told)).await;
        let reason = if answer.stopped.is_some() { None } else { answer.blocked }?;
        if kept_going >= fire::settings(session).stop_limit {
            let text = format!("`Stop` hooks have kept this run going {kept_going} times; it ends now");
            state.tell_once(session, Severity::Warning, &text);
            return None;
        }
        state.keep_going();
        Some(KeepGoing::new(reason))
    }
}

/// Runs the `SessionStart` commands of a session, once; whoever comes meanwhile waits.
async fn started(agent: &Agent, session: &Session) {
    let state = State::of(session);
    let run = async {
        let source = if session.origin() == Origin::New { "startup" } else { "resume" };
        let told = json!({ "source": source, "model": session.model().map(|model| model.to_string()) });
        let Answer { context, blocked, .. } =
            fire::fire(agent, session, Occasion::of(Event::SessionStart, source, told)).await;
        if let Some(reason) = blocked {
            state.tell_once(session, Severity::Warning, &reason);
        }
        state.add_context("SessionStart", context);
    };
    state.started.get_or_init(|| run).await;
}

/// Asks the user, because a command wants it. `None`: they are asked anyway, or the mode refuses.
async fn ask(agent: &Agent, session: &Session, call: &ToolCall, reason: &str) -> Option<Permission> {
    if session.mode().as_deref() == Some("plan") {
        return None;
    }
    let preview = session.preview(&call.id);
    let title = preview.as_ref().map_or(call.name.as_str(), |preview| preview.title.as_str());
    let choices = vec![
        Choice::new("allow_once", "Allow", ChoiceKind::AllowOnce),
        Choice::new("reject_once", "Reject", ChoiceKind::RejectOnce),
    ];
    let question = Question::new(&call.id, format!("{title} ({reason})"), choices)
        .content(preview.as_ref().map(|preview| preview.content.clone()).unwrap_or_default());
    Some(match agent.ask(session, question).await.as_deref() {
        Ok("allow_once") => Permission::Allow,
        Ok(_) => Permission::Deny { reason: format!("the user rejected this call: {reason}") },
        Err(AskError::Cancelled) => {
            session.cancel();
            Permission::Deny { reason: "cancelled by the user".into() }
        }
        Err(error) => Permission::Deny { reason: format!("a hook wants the user to be asked ({reason}), and {error}") },
    })
}
