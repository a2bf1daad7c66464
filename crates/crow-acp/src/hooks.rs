//! The agent's hooks, all of them. Doc comments become the hook reference. The order in which a run calls them is in
//! [`run_loop`](crate::run_loop).

use crow_hooks::hookspecs;
use serde_json::Value;

use crate::agent::Agent;
use crate::answers::{
    CompactPlan, CompactReport, CompactTrigger, Compaction, ContextUse, EndReason, KeepGoing, Permission, Recovery,
    Response, RunError, RunOutcome, StopReason, SubagentSpec, ToolCallError, ToolGate, Turn, TurnDecision,
};
use crate::config::Config;
use crate::delta::{Delta, Deltas};
use crate::event::{Event, SessionQuery, SessionRecord, SessionSummary};
use crate::message::Message;
use crate::model::{ModelId, Usage};
use crate::options::{Command, CommandCall, CommandReply, ConfigOption, Mode, OptionChange};
use crate::provider::{Completion, ProviderDescriptor, ProviderError, Request, Sections};
use crate::session::Session;
use crate::tool::{ToolCall, ToolDescriptor, ToolOutcome};
use crate::update::Update;

/// The contract between the agent and its plugins.
#[hookspecs(project = "crow-acp", api = 1)]
pub trait CrowHooks {
    // Start and end of the process

    /// After files, environment and command line, before anything starts. Impls may change the configuration.
    async fn configure(config: &mut Config);
    /// The client has initialised, and has our reply. Open databases here, not before.
    #[hookspec(isolate)]
    async fn on_startup(agent: &Agent);
    /// The agent goes down (end of input, SIGTERM, SIGINT): flush. Bounded by the grace period.
    #[hookspec(isolate)]
    async fn on_shutdown(agent: &Agent);
    /// Providers, with the code that reaches them, and their models.
    async fn register_providers(agent: &Agent) -> Vec<ProviderDescriptor>;

    // Sessions

    /// Tools for a session, with the code that runs them.
    async fn register_tools(agent: &Agent, session: &Session) -> Vec<ToolDescriptor>;
    /// Slash commands for a session, with the code that answers them.
    async fn register_commands(agent: &Agent, session: &Session) -> Vec<Command>;
    /// Session modes. The first of all is a new session's.
    async fn register_modes(agent: &Agent, session: &Session) -> Vec<Mode>;
    /// Config options beyond model and mode.
    async fn register_config_options(agent: &Agent, session: &Session) -> Vec<ConfigOption>;
    /// The mode, the model or an option is about to change. `Err` refuses.
    async fn on_option_change(agent: &Agent, session: &Session, option: &OptionChange);
    /// A session starts: new, loaded, resumed or forked (`session.origin()`).
    async fn on_session_start(agent: &Agent, session: &Session);
    /// A session is closed or deleted, or the client is gone.
    #[hookspec(isolate)]
    async fn on_session_end(agent: &Agent, session: &Session, reason: &EndReason);

    // The store

    /// A store answers with the session's record. Nobody: the session is not found (-32002).
    #[hookspec(firstresult)]
    async fn load_session(agent: &Agent, session_id: &str) -> SessionRecord;
    /// A store makes a copy of the session `session_id` under the id `new_id`, with that session as its parent, and answers
    /// with the copy's record. The original stays as it is and may be at work. Nobody: it is not found (-32002).
    #[hookspec(firstresult)]
    async fn fork_session(agent: &Agent, session_id: &str, new_id: &str) -> SessionRecord;
    /// Sessions that stores know. The answers are merged, newest first, and paged.
    async fn list_sessions(agent: &Agent, query: &SessionQuery) -> Vec<SessionSummary>;
    /// Forget a session.
    async fn delete_session(agent: &Agent, session_id: &str);
    /// The append-only log: the contract of persistence. An `Err` for a `user` event refuses the prompt.
    async fn record_event(agent: &Agent, session: &Session, event: &Event);

    // A prompt

    /// Rewrite, expand or refuse (`Err`) what the user sent, before anything is stored.
    async fn before_prompt(agent: &Agent, session: &Session, prompt: &mut Message);
    /// A slash command. Nobody: the prompt goes to the model.
    #[hookspec(firstresult, unbounded)]
    async fn run_command(agent: &Agent, session: &Session, command: &CommandCall) -> CommandReply;
    /// The user sent a message and the loop has not started: retrieve, inject, check.
    async fn before_run(agent: &Agent, session: &Session, user_input: &str);
    /// Embeddings, one vector for each text. Nobody: callers do without.
    #[hookspec(firstresult, unbounded)]
    async fn embed(agent: &Agent, texts: &[String]) -> Vec<Vec<f32>>;

    // A turn: the request

    /// A turn begins: stop with a reason, compact, inject. Limits live here.
    #[hookspec(firstresult)]
    async fn before_turn(agent: &Agent, session: &Session, turn: &Turn) -> TurnDecision;
    /// Asked before each request, and when the provider refused one as too long.
    #[hookspec(firstresult)]
    async fn should_compact(agent: &Agent, session: &Session, context: &ContextUse) -> CompactTrigger;
    /// The compaction itself. `Err` vetoes.
    #[hookspec(firstresult, unbounded)]
    async fn compact(agent: &Agent, session: &Session, plan: &CompactPlan) -> Compaction;
    /// A compaction is done.
    #[hookspec(isolate)]
    async fn after_compact(agent: &Agent, session: &Session, report: &CompactReport);
    /// Sections of the system prompt.
    async fn system_prompt(agent: &Agent, session: &Session, sections: &mut Sections);
    /// The model for this request. Nobody: the session's.
    #[hookspec(firstresult)]
    async fn select_model(agent: &Agent, session: &Session, request: &Request) -> ModelId;
    /// System, messages, tools, parameters: one coherent object to edit.
    async fn prepare_request(agent: &Agent, session: &Session, request: &mut Request);
    /// The messages of this request; edits never reach the session's. Edit in place and return nothing (the next impl
    /// runs), or return the messages to send (the call stops).
    #[hookspec(firstresult)]
    async fn before_llm_request(agent: &Agent, session: &Session, messages: &mut Vec<Message>) -> Vec<Message>;
    /// Deny-only, sees the request as it will be sent.
    async fn guard_request(agent: &Agent, session: &Session, request: &Request);

    // A turn: the answer

    /// Does the request, hands every fragment to `deltas`. Nobody: "no provider for MODEL".
    #[hookspec(firstresult, unbounded)]
    async fn call_llm(
        agent: &Agent,
        session: &Session,
        request: &mut Request,
        #[reborrow] deltas: Deltas<'_>,
    ) -> Completion;
    /// Each fragment: redact, transform, count. Tool calls and signed reasoning are read-only. A failing impl withholds
    /// the fragment and ends the run.
    fn on_stream_delta(session: &Session, delta: &mut Delta);
    /// A request failed: again, another model, compact, or fail. Nobody: the user is told.
    #[hookspec(firstresult)]
    async fn on_llm_error(agent: &Agent, session: &Session, error: &ProviderError, attempt: u32) -> Recovery;
    /// The assembled answer.
    async fn after_llm_response(agent: &Agent, session: &Session, response: &mut Response);

    // A turn: the tools

    /// An unknown tool, or arguments that do not fit. Nobody: the model reads the error.
    #[hookspec(firstresult)]
    async fn repair_tool_call(agent: &Agent, session: &Session, call: &ToolCall, error: &ToolCallError) -> ToolCall;
    /// Rewrite the arguments, deny with a reason, or answer.
    #[hookspec(firstresult)]
    async fn before_tool_call(agent: &Agent, session: &Session, call: &mut ToolCall) -> ToolGate;
    /// May it run? Nobody: what is not read-only is denied.
    #[hookspec(firstresult, unbounded)]
    async fn request_permission(agent: &Agent, session: &Session, call: &ToolCall) -> Permission;
    /// Deny-only, on the final arguments.
    async fn guard_tool_call(agent: &Agent, session: &Session, call: &ToolCall);
    /// Runs it. Nobody: an error result.
    #[hookspec(firstresult, unbounded)]
    async fn call_tool(agent: &Agent, session: &Session, call: &mut ToolCall) -> ToolOutcome;
    /// Replace, truncate, annotate: success, failure and cancelled.
    async fn after_tool_call(agent: &Agent, session: &Session, call: &ToolCall, outcome: &mut ToolOutcome);
    /// The model answered and its tools ran. What impls return comes back as a list.
    async fn after_turn(agent: &Agent, session: &Session, usage: &Usage) -> Value;

    // The end of a run

    /// The run would end: keep it going with a message, at most eight times in a run.
    #[hookspec(firstresult)]
    async fn before_stop(agent: &Agent, session: &Session, reason: &StopReason) -> KeepGoing;
    /// The run is over.
    #[hookspec(isolate)]
    async fn after_run(agent: &Agent, session: &Session, outcome: &RunOutcome);
    /// The user cancelled.
    #[hookspec(isolate)]
    async fn on_cancel(agent: &Agent, session: &Session);
    /// What the user is told of an error. Nobody: the truth.
    #[hookspec(firstresult)]
    async fn on_error(agent: &Agent, session: &Session, error: &RunError) -> String;

    // Around

    /// A subagent is about to start; the same pipeline runs inside it.
    #[hookspec(unbounded)]
    async fn before_subagent(agent: &Agent, session: &Session, spec: &mut SubagentSpec);
    /// The last view of every update on its way to the client. A failing impl withholds it.
    fn session_update(agent: &Agent, session: &Session, update: &mut Update);
    /// ACP extension methods (`_name/…`). Nobody: error -32601.
    #[hookspec(firstresult, unbounded)]
    async fn ext_method(agent: &Agent, method: &str, params: &Value) -> Value;
}

/// The agent's plugin manager.
pub type PluginManager = crow_hooks::PluginManager<dyn CrowHooks>;

/// The agent's hooks, with the plugins of one moment.
pub type Hooks = CrowHooksRelay;
