//! The built-in plugins that every host wants: `dispatch`, which finds the owner of a model, a tool or a command, and
//! `limits`, which ends a run that goes on for too long. Plugins like any other: listed, blockable, replaceable.

use crow_hooks::hookimpls;

use crate::agent::Agent;
use crate::answers::{StopReason, Turn, TurnDecision};
use crate::delta::Deltas;
use crate::hooks::CrowHooks;
use crate::options::{CommandCall, CommandError, CommandReply};
use crate::provider::{Completion, ProviderError, Request};
use crate::session::Session;
use crate::tool::{ToolCall, ToolContext, ToolError, ToolOutcome};

/// Hands `call_llm`, `call_tool` and `run_command` to whoever registered the model's provider, the tool, the command.
/// It answers last, so that a plugin that takes over others' calls comes first.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dispatch;

#[hookimpls]
impl CrowHooks for Dispatch {
    #[hookimpl(trylast)]
    async fn call_llm(
        &self,
        agent: &Agent,
        request: &mut Request,
        mut deltas: Deltas<'_>,
    ) -> Result<Option<Completion>, ProviderError> {
        let Some(provider) = agent.provider(&request.model.id.provider) else { return Ok(None) };
        provider.handler.stream(request, &mut deltas).await.map(Some)
    }

    #[hookimpl(trylast)]
    async fn call_tool(
        &self,
        agent: &Agent,
        session: &Session,
        call: &mut ToolCall,
    ) -> Result<Option<ToolOutcome>, ToolError> {
        let Some(tool) = session.tool(&call.name) else { return Ok(None) };
        let cx = ToolContext::new(agent, session, &call.id);
        tool.handler.call(&cx, call).await.map(Some)
    }

    #[hookimpl(trylast)]
    async fn run_command(
        &self,
        agent: &Agent,
        session: &Session,
        command: &CommandCall,
    ) -> Result<Option<CommandReply>, CommandError> {
        let commands = session.commands();
        let Some(owner) = commands.iter().find(|known| known.name == command.name) else { return Ok(None) };
        owner.handler.run(agent, session, command).await.map(Some)
    }
}

/// Ends a run after `max_turns` round trips to the model (100 unless configured) with ACP's `max_turn_requests`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits;

#[hookimpls]
impl CrowHooks for Limits {
    #[hookimpl(trylast)]
    fn before_turn(&self, session: &Session, turn: &Turn) -> Option<TurnDecision> {
        let max_turns = session.config().max_turns();
        (turn.number > max_turns).then(|| TurnDecision::Stop {
            reason: StopReason::MaxTurnRequests,
            message: Some(format!(
                "stopped after {max_turns} requests to the model in one run (`max_turns` in config.toml)"
            )),
        })
    }
}
