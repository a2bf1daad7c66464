//! The plugin: which hook records what, and where budgets end a run.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use crow_acp::crow_hooks::{HookError, Next, Outcome};
use crow_acp::{
    Agent, BeforeTurn, CallLlm, CallLlmArgs, CallTool, Command, CompactReport, CompactTrigger, Config, ConfigError,
    CrowHooks, Deltas, Notice, OnLlmError, ProviderError, Recovery, Request, RunOutcome, Session, Severity, StopReason,
    ToolCall, ToolOutcome, ToolStatus, TurnDecision, hookimpls,
};
use serde_json::Value;

use crate::budget::Level;
use crate::command;
use crate::database::AnalyticsError;
use crate::hook_times::HookTimes;
use crate::price;
use crate::record::{self, Record, ToolEnd};
use crate::settings::{NAME, Settings};
use crate::track::{Answer, Ear, Stopwatch, Track, kind, now};
use crate::writer::Recorder;

/// The plugin, ready to be registered.
pub fn plugin() -> Analytics {
    Analytics::default()
}

/// Records what sessions use, cost and wait for, and ends runs that exceed a budget.
#[derive(Debug, Default)]
pub struct Analytics(Arc<Inner>);

#[derive(Debug, Default)]
pub(crate) struct Inner {
    settings: OnceLock<Arc<Settings>>,
    /// Started by the first record: an agent that nobody has talked to writes nothing.
    recorder: Mutex<Option<Recorder>>,
    hook_times: OnceLock<Arc<HookTimes>>,
    #[cfg(feature = "otel")]
    exporter: OnceLock<Option<crate::otel::Exporter>>,
}

impl Inner {
    pub(crate) fn settings(&self, config: &Config) -> Result<Arc<Settings>, ConfigError> {
        if let Some(settings) = self.settings.get() {
            return Ok(settings.clone());
        }
        let settings = Arc::new(Settings::of(config)?);
        Ok(self.settings.get_or_init(|| settings).clone())
    }

    pub(crate) fn recorder(&self, config: &Config) -> Result<Recorder, AnalyticsError> {
        let mut slot = self.recorder.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(recorder) = &*slot {
            return Ok(recorder.clone());
        }
        let settings = self.settings(config).map_err(|error| AnalyticsError::Configuration(error.to_string()))?;
        let path = settings.database(config.home());
        let started = Recorder::start(path.clone(), settings.retention_days);
        let recorder = started.map_err(|error| AnalyticsError::Failed { path, detail: error.to_string() })?;
        Ok(slot.insert(recorder).clone())
    }

    fn record(&self, agent: &Agent, record: Record) {
        #[cfg(feature = "otel")]
        self.export(agent, &record);
        match self.recorder(&agent.config()) {
            Ok(recorder) => recorder.record(record),
            Err(error) => tracing::warn!("analytics: {error}"),
        }
    }

    #[cfg(feature = "otel")]
    fn export(&self, agent: &Agent, record: &Record) {
        let exporter = self.exporter.get_or_init(|| {
            let settings = self.settings(&agent.config()).ok()?;
            crate::otel::Exporter::start(settings.otel.as_ref()?, agent.secrets())
        });
        if let Some(exporter) = exporter {
            exporter.export(record);
        }
    }

    fn record_hooks(&self, agent: &Agent) {
        let tallies = self.hook_times.get().map(|times| times.take()).unwrap_or_default();
        if !tallies.is_empty() {
            self.record(agent, Record::Hooks(tallies));
        }
    }

    /// Every limit with what is used up of it; none if nothing is limited. Fails if that cannot be told: a limit that is
    /// not held is none.
    pub(crate) async fn levels(&self, agent: &Agent, session: &Session) -> Result<Vec<Level>, String> {
        let config = agent.config();
        let settings = self.settings(&config).map_err(|error| error.to_string())?;
        if !settings.budget.any() {
            return Ok(Vec::new());
        }
        let run = Track::of(session).run().unwrap_or(0);
        let used = match self.recorder(&config) {
            Ok(recorder) => recorder.used(run, session.id()).await,
            Err(error) => Err(error),
        };
        let used = used.map_err(|error| format!("what the budget has left cannot be told: {error}"))?;
        Ok(settings.budget.levels(&used))
    }

    /// Tells, once for each, which limits are nearly used up.
    async fn warn(&self, agent: &Agent, session: &Session) {
        let Ok(settings) = self.settings(&agent.config()) else { return };
        // What cannot be told is told by the next turn, which it ends.
        let Ok(levels) = self.levels(agent, session).await else { return };
        let track = Track::of(session);
        let near = levels.iter().filter(|level| level.is_nearly_spent(settings.budget.warn_at) && !level.is_spent());
        for level in near.filter(|level| track.warns(level.scope, level.unit)) {
            session.notify(Notice::new(Severity::Warning, level.warning()));
        }
    }
}

#[hookimpls(name = "analytics")]
impl CrowHooks for Analytics {
    fn configure(&self, config: &mut Config) -> Result<(), ConfigError> {
        let settings = Settings::of(config)?;
        let Some(otel) = settings.otel else { return Ok(()) };
        if cfg!(not(feature = "otel")) {
            return Err(ConfigError::new(format!(
                "`plugins.{NAME}.otel`: this Crow was built without OpenTelemetry; build it with `--features otel`"
            )));
        }
        otel.headers.values().for_each(|header| config.secrets().add(header.expose()));
        Ok(())
    }

    #[hookimpl(tryfirst)]
    fn on_session_start(&self, agent: &Agent, session: &Session) -> Result<(), ConfigError> {
        Track::of(session);
        if self.0.settings(&agent.config())?.hook_times {
            self.0.hook_times.get_or_init(|| {
                let times = Arc::<HookTimes>::default();
                agent.plugins().add_monitor(times.clone());
                times
            });
        }
        Ok(())
    }

    fn register_commands(&self) -> Vec<Command> {
        vec![
            Command::new(
                "usage",
                "Tokens, speed and budgets of this session and of today",
                command::Usage(self.0.clone()),
            ),
            Command::new("cost", "What this session and this day have cost", command::Cost(self.0.clone())),
        ]
    }

    #[hookimpl(tryfirst)]
    async fn before_run(&self, agent: &Agent, session: &Session) -> Result<(), String> {
        let track = Track::of(session);
        track.begin();
        let settings = self.0.settings(&agent.config()).map_err(|error| error.to_string())?;
        if settings.budget.counts_money()
            && let Some(model) = session.model().and_then(|id| agent.model(&id))
            && price::of(&model, &settings, &agent.config()).is_none()
            && track.tells_of_prices()
        {
            let title = format!(
                "the budget cannot count what {} costs: its price is not known (`plugins.{NAME}.prices` can tell it)",
                model.id
            );
            session.notify(Notice::new(Severity::Warning, title));
        }
        let levels = self.0.levels(agent, session).await?;
        levels.iter().find(|level| level.is_spent()).map_or(Ok(()), |level| Err(level.reason()))
    }

    /// Not an impl but a wrapper: another plugin's decision must not hide a budget that is used up.
    #[hookimpl(wrapper)]
    async fn before_turn(&self, mut next: Next<'_, BeforeTurn>) -> Outcome<BeforeTurn> {
        let (agent, session) = (next.args.agent.clone(), next.args.session.clone());
        let number = next.args.turn.number;
        Track::of(&session).turn(number);
        // Before the first, `before_run` has looked.
        if number > 1 {
            let levels = self.0.levels(&agent, &session).await?;
            if let Some(level) = levels.iter().find(|level| level.is_spent()) {
                let message = Some(format!("stopped: {}", level.reason()));
                return next.answer(Some(TurnDecision::Stop { reason: StopReason::MaxTurnRequests, message }));
            }
        }
        next.run().await
    }

    #[hookimpl(trylast)]
    fn prepare_request(&self, agent: &Agent, request: &mut Request) -> Result<(), ConfigError> {
        let config = agent.config();
        request.model.price = price::of(&request.model, &*self.0.settings(&config)?, &config);
        Ok(())
    }

    #[hookimpl(trylast)]
    fn guard_request(&self, session: &Session) {
        Track::of(session).loop_asks();
    }

    /// The innermost wrapper: what is measured is the provider, not what other plugins do around it.
    #[hookimpl(wrapper, trylast)]
    async fn call_llm(&self, mut next: Next<'_, CallLlm>) -> Outcome<CallLlm> {
        let (agent, session) = (next.args.agent.clone(), next.args.session.clone());
        let track = Track::of(&session);
        let config = agent.config();
        let settings = self.0.settings(&config)?;
        let price = price::of(&next.args.request.model, &settings, &config);
        let record = |record| self.0.record(&agent, record);
        let mut watch = Stopwatch::start(track.place(), track.asked(), next.args.request, price, record);
        let outcome = {
            let (mut ear, heard) = (None, &mut watch.heard);
            let listened = next.with(|args| {
                let ear = ear.insert(Ear { heard, inner: args.deltas });
                CallLlmArgs { deltas: Deltas::new(ear), ..args }
            });
            listened.await
        };
        match &outcome {
            Ok(Some(completion)) => watch.stop(&Answer::Completed(completion)),
            Ok(None) => watch.stop(&Answer::Failed("no_provider")),
            Err(error) => watch.stop(&Answer::Failed(failure(error.as_ref()))),
        }
        drop(watch);
        outcome
    }

    #[hookimpl(wrapper)]
    async fn on_llm_error(&self, mut next: Next<'_, OnLlmError>) -> Outcome<OnLlmError> {
        let session = next.args.session.clone();
        let recovery = next.run().await?;
        if matches!(recovery, Some(Recovery::Retry { .. } | Recovery::SwitchModel(_) | Recovery::Compact)) {
            Track::of(&session).again();
        }
        Ok(recovery)
    }

    #[hookimpl(wrapper, trylast)]
    async fn call_tool(&self, mut next: Next<'_, CallTool>) -> Outcome<CallTool> {
        let (session, call) = (next.args.session.clone(), next.args.call.id.clone());
        let running = Running { track: Track::of(&session), call, since: Instant::now() };
        let outcome = next.run().await;
        drop(running);
        outcome
    }

    #[hookimpl(trylast)]
    fn after_tool_call(&self, agent: &Agent, session: &Session, call: &ToolCall, outcome: &mut ToolOutcome) {
        let track = Track::of(session);
        let took = track.tool_time(&call.id);
        let ended = match outcome.status {
            ToolStatus::Completed => ToolEnd::Completed,
            ToolStatus::Cancelled => ToolEnd::Cancelled,
            _ if took.is_none() => ToolEnd::Denied,
            _ => ToolEnd::Failed,
        };
        // A name that a model made up may be anything.
        let tool = session.tool(&call.name).map_or_else(|| "(unknown)".to_owned(), |tool| tool.name.clone());
        let at = now() - took.map_or(0, |took| took.as_millis() as i64);
        let call = record::ToolCall { at, place: track.place(), tool, ended, took };
        self.0.record(agent, Record::Tool(call));
    }

    async fn after_turn(&self, agent: &Agent, session: &Session) -> Option<Value> {
        self.0.warn(agent, session).await;
        None
    }

    #[hookimpl(trylast)]
    fn after_compact(&self, agent: &Agent, session: &Session, report: &CompactReport) {
        let cause = match report.trigger {
            CompactTrigger::Threshold => "threshold",
            CompactTrigger::Overflow => "overflow",
            CompactTrigger::Asked { .. } => "asked",
            _ => "other",
        };
        let place = Track::of(session).place();
        let (before, after) = (report.before, report.after);
        self.0.record(agent, Record::Compaction(record::Compaction { at: now(), place, cause, before, after }));
    }

    #[hookimpl(trylast)]
    fn after_run(&self, agent: &Agent, session: &Session, outcome: &RunOutcome) {
        let track = Track::of(session);
        // A command that was answered is no run.
        if let Some(run) = track.end() {
            let ended = match (&outcome.error, outcome.stop_reason) {
                (_, StopReason::Refusal) => "refusal",
                (Some(_), _) => "error",
                (None, StopReason::EndTurn) => "end_turn",
                (None, StopReason::MaxTokens) => "max_tokens",
                (None, StopReason::MaxTurnRequests) => "max_turn_requests",
                (None, StopReason::Cancelled) => "cancelled",
                (None, _) => "other",
            };
            let place = track.place_in(Some(run.id));
            let run = record::Run { at: run.at, place, ended, turns: outcome.turns, took: run.since.elapsed() };
            self.0.record(agent, Record::Run(run));
        }
        self.0.record_hooks(agent);
    }

    #[hookimpl(trylast)]
    async fn on_shutdown(&self, agent: &Agent) -> Result<(), AnalyticsError> {
        let recorder = self.0.recorder.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let closed = match recorder {
            Some(recorder) => {
                self.0.record_hooks(agent);
                recorder.close().await
            }
            None => Ok(()),
        };
        // Last, because it depends on others.
        #[cfg(feature = "otel")]
        if let Some(Some(exporter)) = self.0.exporter.get() {
            exporter.close().await;
        }
        closed
    }
}

/// Notes how long a tool ran, cancelled or not.
struct Running {
    track: Arc<Track>,
    call: String,
    since: Instant,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.track.tool_ran(&self.call, self.since.elapsed());
    }
}

/// What a request failed with, in one word.
fn failure(error: &(dyn std::error::Error + 'static)) -> &'static str {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<ProviderError>() {
            return kind(error.kind);
        }
        if let Some(error) = error.downcast_ref::<HookError>().and_then(HookError::downcast_ref::<ProviderError>) {
            return kind(error.kind);
        }
        next = error.source();
    }
    "plugin"
}
