//! Asking the model: the request is put together, sent, and sent again if a plugin knows a way.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use crow_hooks::Trail;
use tokio::time::MissedTickBehavior;

use super::answer::{Answer, Stream, estimate};
use super::{Ended, Run, new_id, no_model, no_provider};
use crate::answers::{CompactTrigger, Recovery, Response, RunError};
use crate::delta::{DeltaRefused, Deltas};
use crate::event::EventKind;
use crate::hooks::BeforeLlmRequest;
use crate::message::{Message, Part, Role};
use crate::model::{Model, ModelId};
use crate::provider::{Completion, ProviderError, Request, Scope, Section, Sections};
use crate::tool::ToolCall;
use crate::update::{Notice, Severity};

/// How much of a stream a crash may cost.
const PARTIAL_EVERY: Duration = Duration::from_millis(200);

/// How a request failed.
enum Failure {
    /// Nothing of an answer reached the client: a plugin may know a way.
    Recoverable(ProviderError),
    /// It stands.
    Final(RunError),
}

impl Run {
    /// From the system prompt to the assembled answer, with as many attempts as `on_llm_error` asks for.
    pub(crate) async fn ask_model(&mut self) -> Result<Response, Ended> {
        let mut instead: Option<ModelId> = None;
        let mut compacted = false;
        let mut attempt = 0;
        'prepare: loop {
            let request = self.prepare(instead.clone()).await?;
            loop {
                attempt += 1;
                let (agent, session) = (&self.agent, &self.session);
                self.until_cancelled(self.hooks.guard_request(agent, session, &request)).await?;
                let error = match self.stream(request.clone()).await? {
                    Ok(response) => return Ok(response),
                    Err(Failure::Final(error)) => return Err(Ended::Failed(error)),
                    Err(Failure::Recoverable(error)) => error,
                };
                let (agent, session) = (&self.agent, &self.session);
                let recovery = self.hooks.on_llm_error(agent, session, &error, attempt);
                match self.after_the_model(recovery).await? {
                    Some(Recovery::Retry { after, notice }) => {
                        // No more than a warning, but clients without a place for notices show those too.
                        session.notify(Notice::new(Severity::Warning, notice));
                        self.interruptible(tokio::time::sleep(after)).await?;
                    }
                    Some(Recovery::SwitchModel(model)) => {
                        session.notify(Notice::new(Severity::Warning, format!("{error}; asking {model} instead")));
                        instead = Some(model);
                        continue 'prepare;
                    }
                    Some(Recovery::Compact) if !compacted => {
                        compacted = true;
                        let context = self.context_use(true);
                        let asked = self.hooks.should_compact(agent, session, &context);
                        let trigger = self.after_the_model(asked).await?.unwrap_or(CompactTrigger::Overflow);
                        self.compact(trigger).await?;
                        continue 'prepare;
                    }
                    Some(Recovery::Compact | Recovery::Fail) | None => return Err(Ended::Failed(error.into())),
                }
            }
        }
    }

    /// `system_prompt` → `select_model` → `prepare_request` → `before_llm_request`.
    async fn prepare(&self, instead: Option<ModelId>) -> Result<Request, Ended> {
        let (agent, session) = (&self.agent, &self.session);
        let mut system = Sections::default();
        self.until_cancelled(self.hooks.system_prompt(agent, session, &mut system)).await?;

        let wanted = instead.clone().or_else(|| session.model());
        let nobody = || ModelId::new("", "");
        let model = Model::new(wanted.clone().unwrap_or_else(nobody));
        let mut request = Request::new(session.id(), model, session.messages());
        request.system = system;
        request.tools = session.tools();
        let selected = match instead {
            Some(_) => None,
            None => self.until_cancelled(self.hooks.select_model(agent, session, &request)).await?,
        };
        let id = selected.or(wanted).ok_or_else(|| Ended::Failed(no_model()))?;
        request.parameters = session.config().parameters(&id);
        request.model = agent.model(&id).unwrap_or_else(|| Model::new(id));

        self.until_cancelled(self.hooks.prepare_request(agent, session, &mut request)).await?;

        let mut messages = std::mem::take(&mut request.messages);
        let before = self.hooks.has_impls(BeforeLlmRequest).then(|| messages.clone());
        let trail = Trail::new();
        let sent = self.hooks.before_llm_request(agent, session, &mut messages);
        let sent = async { if before.is_some() { sent.trail(&trail).await } else { sent.await } };
        if let Some(sent) = self.until_cancelled(sent).await? {
            messages = sent;
        }
        if let Some(before) = before {
            self.log_edit("before_llm_request", &trail, &before, &messages);
        }
        request.messages = merge_system(messages, &mut request.system);
        Ok(request)
    }

    /// The log says which plugins may have changed what the model sees, and from what to what.
    fn log_edit(&self, hook: &str, trail: &Trail, before: &[Message], after: &[Message]) {
        if before == after {
            return;
        }
        let plugins = trail.plugins().iter().map(ToString::to_string).collect();
        let event = EventKind::Edited {
            hook: hook.to_owned(),
            plugins,
            before: fingerprint(before),
            after: fingerprint(after),
        };
        self.session.record_later(event);
    }

    /// One request. The outer error ends the run, the inner one is the request's.
    async fn stream(&mut self, mut request: Request) -> Result<Result<Response, Failure>, Ended> {
        let answer = Answer::new(new_id(), request.model.price);
        let model = request.model.id.clone();
        let mut stream = Stream::new(&self.session, &self.hooks, self.agent.client(), &answer, model.clone());
        self.answer = Some(answer);

        let whole = request.clone();
        let called = self.call(&mut request, &mut stream).await?;
        let called = called.and_then(|completion| {
            let ended = stream.end_block();
            ended.map(|()| completion).map_err(|refused| Failure::Final(RunError::new(refused.to_string())))
        });
        let completion = match called {
            Ok(Some(completion)) => completion,
            Ok(None) => return Ok(Err(Failure::Final(no_provider(&self.agent, &model)))),
            Err(failure) => return Ok(Err(failure)),
        };
        let Some(answer) = &self.answer else { unreachable!("the answer was put there above") };
        let message =
            answer.assembly.with(|assembly| assembly.message(&answer.message_id, |id| self.session.unique_call_id(id)));
        let usage = completion.usage.unwrap_or_else(|| estimate(&whole, &message));
        Ok(Ok(Response::new(message, model, usage, completion.finish)))
    }

    /// `call_llm`, with a partial event at most every 200 ms while fragments come.
    async fn call(
        &mut self,
        request: &mut Request,
        stream: &mut Stream,
    ) -> Result<Result<Option<Completion>, Failure>, Ended> {
        let (agent, session, hooks) = (self.agent.clone(), self.session.clone(), self.hooks.clone());
        let cancel = self.cancel.clone();
        let assembly = stream.assembly.clone();
        let call = hooks.call_llm(&agent, &session, request, Deltas::new(stream));
        let mut call = std::pin::pin!(call);
        let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + PARTIAL_EVERY, PARTIAL_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let called = loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(Ended::Cancelled),
                called = &mut call => break called,
                _ = tick.tick() => {
                    if assembly.with(|assembly| std::mem::take(&mut assembly.dirty)) {
                        self.record_partial().await;
                    }
                }
            }
        };
        let error = match called {
            Ok(completion) => return Ok(Ok(completion)),
            Err(error) => error,
        };
        if let Some(refused) = error.downcast_ref::<DeltaRefused>() {
            return Ok(Err(Failure::Final(RunError::new(refused.to_string()))));
        }
        let error = RunError::from(error);
        let untouched = assembly.with(|assembly| assembly.is_empty());
        Ok(Err(match error.provider {
            Some(provider) if untouched => Failure::Recoverable(provider),
            _ => Failure::Final(error),
        }))
    }

    async fn record_partial(&mut self) {
        let Some(answer) = &mut self.answer else { return };
        let Some(message) = answer.assembly.with(|assembly| assembly.partial(&answer.message_id)) else { return };
        let seq = *answer.seq.get_or_insert_with(|| self.session.reserve_seq());
        let recorded = self.session.record_at(seq, EventKind::Partial { message }).await;
        self.noticed(recorded);
    }

    /// Commits the answer to the session and the log, and gives the calls it asks for.
    pub(crate) async fn commit_response(&mut self, response: &Response) -> Result<Vec<ToolCall>, Ended> {
        let price = self.answer.as_ref().and_then(|answer| answer.price);
        let cost = price.map(|price| response.usage.cost(&price));
        self.usage.add(&response.usage);
        let message = response.message.clone();
        if message.parts().is_empty() {
            // After tools, silence may be all that is left to say; the user is told all the same.
            self.session.notify(Notice::new(Severity::Warning, format!("{} gave an empty answer", response.model)));
        } else {
            self.session.push_own(message.clone());
        }
        self.session.add_usage(&response.usage, cost);
        let calls: Vec<ToolCall> = message.tool_calls().cloned().collect();
        self.session.hold_messages(!calls.is_empty());
        let event = EventKind::Assistant { message, model: response.model.clone(), usage: response.usage, cost };
        self.record_answer(event).await;
        self.session.advertise_usage();
        Ok(calls)
    }

    /// Records what an answer has become, under the number of its partial if there was one.
    pub(super) async fn record_answer(&mut self, event: EventKind) {
        match self.answer.take().and_then(|answer| answer.seq) {
            Some(seq) => {
                let recorded = self.session.record_at(seq, event).await;
                self.noticed(recorded);
                let recorded = self.session.record_pending().await;
                self.noticed(recorded);
            }
            None => self.record(event).await,
        }
    }
}

/// Moves system messages, wherever they stand, into the one system prompt, in order.
fn merge_system(messages: Vec<Message>, system: &mut Sections) -> Vec<Message> {
    let (said, rest): (Vec<_>, Vec<_>) = messages.into_iter().partition(|message| message.role == Role::System);
    for (number, message) in said.into_iter().enumerate() {
        let owner = message.owner.clone().unwrap_or_else(|| "session".to_owned());
        system.push(Section::new(format!("message-{}", number + 1), owner, Scope::Turn, message.text()));
    }
    rest
}

/// A number that differs if the messages do.
fn fingerprint(messages: &[Message]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for message in messages {
        message.role.hash(&mut hasher);
        for part in message.parts() {
            match part {
                Part::Text { text } => text.hash(&mut hasher),
                other => serde_json::to_string(other).unwrap_or_default().hash(&mut hasher),
            }
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_messages_end_up_in_the_one_system_prompt_in_order() {
        let mut system = Sections::default();
        system.push(Section::new("role", "test", Scope::Static, "You are Crow."));
        let messages = vec![
            Message::system("Be brief."),
            Message::user("hi"),
            Message::system("Be kind."),
            Message::assistant("hello"),
        ];
        let rest = merge_system(messages, &mut system);
        assert_eq!(rest.iter().map(|message| message.role).collect::<Vec<_>>(), [Role::User, Role::Assistant]);
        assert_eq!(system.text(), "You are Crow.\n\nBe brief.\n\nBe kind.");
    }
}
