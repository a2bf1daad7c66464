//! The run loop: one prompt from the user's text to the stop reason, with every hook in the order in which it is called.
//!
//! The order is a contract (the `call_order` tests hold it). What each step does in detail is in [`run`](crate::run);
//! what is done here is only to say when.

use tokio_util::sync::CancellationToken;

use crate::agent::Agent;
use crate::answers::{RunOutcome, StopReason, TurnDecision};
use crate::message::Message;
use crate::options::{CommandCall, CommandReply};
use crate::run::{Ended, GRACE, Run};
use crate::session::Session;

/// How often `before_stop` may keep one run going.
const KEEP_GOING: u32 = 8;

/// Runs one prompt. The caller has seen to it that no other run of the session is under way.
pub(crate) async fn run(agent: &Agent, session: &Session, prompt: Message, cancel: CancellationToken) -> RunOutcome {
    agent.look_again(session);
    let mut run = Run::new(agent, session, cancel);
    let ended = match whole(&mut run, prompt).await {
        Ok(reason) => Ended::Stop(reason),
        Err(ended) => ended,
    };
    run.close(ended).await
}

/// From the prompt to the stop reason.
async fn whole(run: &mut Run, mut prompt: Message) -> Result<StopReason, Ended> {
    let (agent, session) = (&run.agent.clone(), &run.session.clone());
    run.until_cancelled(run.hooks.before_prompt(agent, session, &mut prompt)).await?;

    if let Some(command) = CommandCall::parse(&prompt) {
        let answer = run.until_cancelled(run.hooks.run_command(agent, session, &command)).await;
        match answer {
            Ok(Some(CommandReply::Text(reply))) => return Err(run.answer_command(prompt, reply).await),
            Ok(Some(CommandReply::Prompt(instead))) => prompt = instead,
            Ok(None) => {}
            Err(ended) => return Err(run.fail_command(prompt, ended).await),
        }
    }

    let user_input = prompt.text();
    run.commit_prompt(prompt).await?;
    run.until_cancelled(run.hooks.before_run(agent, session, &user_input)).await?;

    let mut kept_going = 0;
    loop {
        let Some(reason) = turn(run).await? else { continue };
        if kept_going == KEEP_GOING {
            return Ok(reason);
        }
        match run.until_cancelled(run.hooks.before_stop(agent, session, &reason)).await? {
            Some(more) => session.push_message(more.message),
            None => return Ok(reason),
        }
        kept_going += 1;
    }
}

/// One round trip to the model, its tool calls included. `None`: the model waits for what they gave.
async fn turn(run: &mut Run) -> Result<Option<StopReason>, Ended> {
    run.begin_turn();
    let (agent, session) = (&run.agent.clone(), &run.session.clone());

    match run.until_cancelled(run.hooks.before_turn(agent, session, &run.turn())).await? {
        Some(TurnDecision::Stop { reason, message }) => return Err(run.stop(reason, message)),
        Some(TurnDecision::Compact) => run.compact(Run::asked_to_compact()).await?,
        Some(TurnDecision::Inject(messages)) => messages.into_iter().for_each(|message| session.push_message(message)),
        None => {}
    }
    if let Some(trigger) =
        run.until_cancelled(run.hooks.should_compact(agent, session, &run.context_use(false))).await?
    {
        run.compact(trigger).await?;
    }

    // system_prompt → select_model → prepare_request → before_llm_request, then guard_request → call_llm
    // (on_stream_delta*), and after an error on_llm_error and again.
    let mut response = run.ask_model().await?;
    run.after_the_model(run.hooks.after_llm_response(agent, session, &mut response)).await?;
    let calls = run.commit_response(&response).await?;

    // Call by call: repair_tool_call → before_tool_call → request_permission → guard_tool_call; then call_tool, and in
    // the order of the calls after_tool_call → record_event(tool).
    if !calls.is_empty() {
        run.call_tools(calls).await?;
    }

    run.after_the_model(run.hooks.after_turn(agent, session, &response.usage)).await?;
    Ok(Run::stop_reason(&response))
}

impl Run {
    /// The closing part, which nothing cancels: a run that has begun is brought to an end under a grace of two seconds.
    async fn close(mut self, ended: Ended) -> RunOutcome {
        let outcome = self.outcome(&ended);
        let session = self.session.clone();
        if tokio::time::timeout(GRACE, self.closing(&ended, &outcome)).await.is_err() {
            tracing::error!(session = session.id(), "a run was closed before its plugins had finished");
            session.repair();
        }
        outcome
    }

    async fn closing(&mut self, ended: &Ended, outcome: &RunOutcome) {
        let (agent, session, hooks) = (self.agent.clone(), self.session.clone(), self.hooks.clone());
        match ended {
            Ended::Stop(_) | Ended::Answered { .. } => {}
            Ended::Cancelled => {
                drop(hooks.on_cancel(&agent, &session).await);
                self.finish_tools().await;
                self.record_cancelled().await;
            }
            Ended::RefusedEarly(error) => {
                self.tell_refusal(error).await;
                return;
            }
            Ended::Refused(error) => {
                let told = self.tell_refusal(error).await;
                self.exclude_prompt(told).await;
            }
            Ended::Failed(error) => {
                let told = self.tell_failure(error).await;
                self.finish_tools().await;
                self.keep_partial_answer().await;
                self.record_error(told).await;
            }
        }
        self.flush().await;
        drop(hooks.after_run(&agent, &session, outcome).await);
    }
}
