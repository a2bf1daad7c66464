//! What the steps of the [run loop](crate::run_loop) do.

mod answer;
mod closing;
mod compaction;
mod request;
mod tools;

use std::future::Future;
use std::time::Duration;

use crow_hooks::HookError;
use tokio_util::sync::CancellationToken;

use crate::agent::Agent;
use crate::answers::{Response, RunError, RunOutcome, StopReason, Turn};
use crate::event::EventKind;
use crate::hooks::Hooks;
use crate::message::Message;
use crate::model::{ModelId, Usage};
use crate::options::CommandError;
use crate::provider::{Finish, ProviderError, ProviderErrorKind};
use crate::session::Session;
use crate::update::{Notice, Severity, Update};

use answer::Answer;
pub(crate) use answer::Silent;
pub(crate) use compaction::compact;
use tools::OpenCall;

/// How long the closing part of a run may take.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

/// Titles are cut to this many characters.
const TITLE_LENGTH: usize = 60;

/// Why a run does not go on.
pub(crate) enum Ended {
    /// It is through.
    Stop(StopReason),
    /// A slash command was answered without the model.
    Answered { refused: bool },
    /// The user cancelled.
    Cancelled,
    /// `before_prompt` refused: nothing was recorded.
    RefusedEarly(RunError),
    /// A hook refused the prompt that stands in the log already.
    Refused(RunError),
    /// Something failed after the model was asked.
    Failed(RunError),
}

/// A run under way.
pub(crate) struct Run {
    pub(crate) agent: Agent,
    pub(crate) session: Session,
    /// The plugins of this turn; a plugin that comes or goes counts from the next turn on.
    pub(crate) hooks: Hooks,
    cancel: CancellationToken,
    turns: u32,
    usage: Usage,
    /// The user's message in the log.
    prompt: Option<Prompt>,
    /// The answer that streams, or has streamed and is not committed.
    answer: Option<Answer>,
    /// The tool calls that wait for their results.
    calls: Vec<OpenCall>,
    store_failed: bool,
}

struct Prompt {
    seq: u64,
    message_id: String,
}

impl Run {
    pub(crate) fn new(agent: &Agent, session: &Session, cancel: CancellationToken) -> Self {
        Self {
            agent: agent.clone(),
            session: session.clone(),
            hooks: agent.hooks(),
            cancel,
            turns: 0,
            usage: Usage::default(),
            prompt: None,
            answer: None,
            calls: Vec::new(),
            store_failed: false,
        }
    }

    /// Awaits a hook call; a cancel drops it, an error refuses the prompt.
    pub(crate) async fn until_cancelled<T>(
        &self,
        call: impl Future<Output = Result<T, HookError>>,
    ) -> Result<T, Ended> {
        self.interruptible(call).await?.map_err(|error| match self.prompt {
            None => Ended::RefusedEarly(refusal(error)),
            Some(_) => Ended::Refused(refusal(error)),
        })
    }

    /// As [`until_cancelled`](Self::until_cancelled), but an error ends the run with an error: the model was asked, and
    /// what came of it stays.
    pub(crate) async fn after_the_model<T>(
        &self,
        call: impl Future<Output = Result<T, HookError>>,
    ) -> Result<T, Ended> {
        self.interruptible(call).await?.map_err(|error| Ended::Failed(error.into()))
    }

    /// Awaits anything; a cancel drops it.
    async fn interruptible<T>(&self, work: impl Future<Output = T>) -> Result<T, Ended> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Ended::Cancelled),
            done = work => Ok(done),
        }
    }

    /// A slash command was answered: shows and records the reply.
    pub(crate) async fn answer_command(&mut self, prompt: Message, reply: String) -> Ended {
        let reply = Message::assistant(reply).with_id(new_id());
        self.show(&reply);
        self.record(EventKind::Command { message: prompt, reply }).await;
        Ended::Answered { refused: false }
    }

    /// A slash command failed: the user is told, and the log keeps both.
    pub(crate) async fn fail_command(&mut self, prompt: Message, ended: Ended) -> Ended {
        let (Ended::RefusedEarly(error) | Ended::Refused(error)) = ended else { return ended };
        let reply = Message::assistant(self.told(&error).await).with_id(new_id());
        self.show(&reply);
        self.record(EventKind::Command { message: prompt, reply }).await;
        Ended::Answered { refused: true }
    }

    fn show(&self, message: &Message) {
        let message_id = message.id.clone().unwrap_or_default();
        self.session.update(Update::AgentMessage { message_id, text: message.text() });
    }

    /// Commits the user's message: from here on it is in the log, whatever happens. If the store fails, the prompt is
    /// refused and nothing has happened.
    pub(crate) async fn commit_prompt(&mut self, prompt: Message) -> Result<(), Ended> {
        let message_id = new_id();
        let message = prompt.with_id(message_id.clone());
        let event = EventKind::User { message: message.clone() };
        let seq = self.session.record(event).await.map_err(|error| Ended::RefusedEarly(error.into()))?;
        if self.session.title().is_none() {
            self.session.set_title(&title_of(&message));
        }
        self.session.push_own(message);
        self.prompt = Some(Prompt { seq, message_id });
        Ok(())
    }

    /// A new turn sees the plugins that are registered now.
    pub(crate) fn begin_turn(&mut self) {
        self.turns += 1;
        self.hooks = self.agent.hooks();
    }

    pub(crate) fn turn(&self) -> Turn {
        Turn::new(self.turns, self.usage)
    }

    /// `before_turn` ends the run.
    pub(crate) fn stop(&self, reason: StopReason, message: Option<String>) -> Ended {
        if let Some(message) = message {
            self.session.notify(Notice::new(Severity::Warning, message));
        }
        Ended::Stop(reason)
    }

    /// The stop reason that an answer without tool calls means; `None` if there are calls.
    pub(crate) fn stop_reason(response: &Response) -> Option<StopReason> {
        if response.message.tool_calls().next().is_some() {
            return None;
        }
        Some(match response.finish {
            Finish::Length => StopReason::MaxTokens,
            Finish::Refusal => StopReason::Refusal,
            Finish::Stop | Finish::ToolCalls => StopReason::EndTurn,
        })
    }

    /// Records an event of the run; that a store failed is told once.
    async fn record(&mut self, kind: EventKind) {
        let recorded = self.session.record(kind).await.map(drop);
        self.noticed(recorded);
    }

    fn noticed(&mut self, recorded: Result<(), HookError>) {
        if let Err(error) = recorded
            && !std::mem::replace(&mut self.store_failed, true)
        {
            let title = format!("the session is not being saved: {error}");
            self.session.notify(Notice::new(Severity::Error, title));
        }
    }
}

/// A hook's error where it means a refusal: what the plugin says, without a word of failure. What a slash command says is
/// meant for the user as it stands: they have just typed its name.
fn refusal(error: HookError) -> RunError {
    let meant = (error.kind() == crow_hooks::ErrorKind::Failed).then(|| match error.downcast_ref::<CommandError>() {
        Some(CommandError(said)) => said.clone(),
        None => format!("refused by plugin `{}` in `{}`: {}", error.plugin(), error.hook(), error.reason()),
    });
    let error = RunError::from(error);
    match meant {
        Some(message) if error.provider.is_none() => RunError { message, ..error },
        _ => error,
    }
}

/// The outcome of a run whose task panicked: a defect of ours, told as one.
pub(crate) fn crashed(error: &str) -> RunOutcome {
    let error = RunError::new(format!("the run ended unexpectedly ({error}); the session can go on"));
    RunOutcome { stop_reason: StopReason::EndTurn, error: Some(error), usage: Usage::default(), turns: 0 }
}

/// The error when no plugin answered `call_llm`.
pub(crate) fn no_provider(agent: &Agent, model: &ModelId) -> RunError {
    let config = agent.config();
    let text = match config.providers().get(&model.provider).and_then(|provider| provider.error.as_ref()) {
        Some(error) => format!("no provider for `{model}`: {error}"),
        None => format!(
            "no provider for `{model}`: no plugin offers a provider called `{}`; check `model` and `[providers.{}]` in \
             config.toml, or run `crow doctor`",
            model.provider, model.provider
        ),
    };
    ProviderError::new(ProviderErrorKind::NotFound, text).into()
}

/// The error when a prompt comes and no model is chosen.
fn no_model() -> RunError {
    let text = "no model is configured: run `crow init`, or set OPENAI_API_KEY and CROW_MODEL=openai/NAME (try `crow demo` \
                for a look without one)";
    ProviderError::new(ProviderErrorKind::Authentication, text).into()
}

fn title_of(prompt: &Message) -> String {
    let text = prompt.text();
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("New session");
    match line.char_indices().nth(TITLE_LENGTH) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line.to_owned(),
    }
}

/// An id that nothing else has.
fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}
