//! The tool calls of a turn: gates call by call, then the calls, then what became of them in call order.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::{Ended, Run};
use crate::answers::{Permission, ToolCallError, ToolGate};
use crate::event::{EventKind, ToolEvent};
use crate::message::Message;
use crate::schema;
use crate::session::shown;
use crate::tool::{ToolCall, ToolContext, ToolDescriptor, ToolError, ToolKind, ToolOutcome, ToolPreview, ToolStatus};
use crate::update::{ToolCallUpdate, ToolState, Update};

/// A tool call that waits for its result to be recorded.
pub(super) struct OpenCall {
    call: ToolCall,
    /// The arguments as the model wrote them.
    original: String,
    tool: Option<Arc<ToolDescriptor>>,
    preview: ToolPreview,
    outcome: Option<ToolOutcome>,
}

impl OpenCall {
    fn new(call: ToolCall) -> Self {
        Self {
            original: call.raw_arguments.clone(),
            preview: ToolPreview::new(call.name.clone()),
            tool: None,
            outcome: None,
            call,
        }
    }

    fn read_only(&self) -> bool {
        self.tool.as_ref().is_some_and(|tool| tool.read_only)
    }

    fn kind(&self) -> ToolKind {
        self.tool.as_ref().map_or(ToolKind::Other, |tool| tool.kind)
    }
}

impl Run {
    /// Takes the calls of an answer through their gates, runs those that pass, and puts every result in.
    pub(crate) async fn call_tools(&mut self, calls: Vec<ToolCall>) -> Result<(), Ended> {
        self.calls = calls.into_iter().map(OpenCall::new).collect();
        for at in 0..self.calls.len() {
            if let Some(outcome) = self.gates(at).await? {
                self.calls[at].outcome = Some(outcome);
            }
        }
        while !self.calls.is_empty() {
            self.run_next_group().await?;
            // Whatever has its outcome now, up to the first call that has not, is settled in call order.
            while self.calls.first().is_some_and(|open| open.outcome.is_some()) {
                self.settle_first().await?;
            }
        }
        self.session.hold_messages(false);
        Ok(())
    }

    /// `[repair_tool_call]` → `before_tool_call` → `request_permission` → `guard_tool_call`. An outcome: it does not run.
    /// An error of a gate denies the call with its reason: gates fail closed.
    async fn gates(&mut self, at: usize) -> Result<Option<ToolOutcome>, Ended> {
        let (agent, session, hooks) = (self.agent.clone(), self.session.clone(), self.hooks.clone());
        let mut call = self.calls[at].call.clone();
        if let Err(error) = self.fits(&call) {
            self.announce(at, &call).await?;
            let repaired = match self.interruptible(hooks.repair_tool_call(&agent, &session, &call, &error)).await? {
                Ok(Some(repaired)) => ToolCall { id: call.id.clone(), ..repaired },
                Ok(None) => return Ok(Some(ToolOutcome::failed(error.to_string()))),
                Err(failure) => return Ok(Some(denied(&failure.to_string()))),
            };
            if let Err(error) = self.fits(&repaired) {
                return Ok(Some(ToolOutcome::failed(error.to_string())));
            }
            call = repaired;
        }
        self.announce(at, &call).await?;

        let seen = call.clone();
        let gate = self.interruptible(hooks.before_tool_call(&agent, &session, &mut call)).await?;
        if call != seen {
            call.id.clone_from(&seen.id);
            if call.arguments != seen.arguments {
                call.raw_arguments = call.arguments.to_string();
            }
            if let Err(error) = self.fits(&call) {
                let text = format!("a plugin rewrote the arguments so that they do not fit: {error}");
                return Ok(Some(ToolOutcome::failed(text)));
            }
            self.announce(at, &call).await?;
        }
        let answer = match gate {
            Ok(Some(ToolGate::Deny { reason })) => return Ok(Some(denied(&reason))),
            Ok(Some(ToolGate::Answer(outcome))) => Some(outcome),
            Ok(None) => None,
            Err(error) => return Ok(Some(denied(&error.to_string()))),
        };
        if answer.is_none() {
            match self.interruptible(hooks.request_permission(&agent, &session, &call)).await? {
                Ok(Some(Permission::Allow)) => {}
                Ok(Some(Permission::Deny { reason })) => return Ok(Some(denied(&reason))),
                Ok(None) if self.calls[at].read_only() => {}
                Ok(None) => return Ok(Some(denied("no plugin decides on permissions, and the tool is not read-only"))),
                Err(error) => return Ok(Some(denied(&error.to_string()))),
            }
        }
        match self.interruptible(hooks.guard_tool_call(&agent, &session, &call)).await? {
            Ok(()) => Ok(answer),
            Err(error) => Ok(Some(denied(&error.to_string()))),
        }
    }

    /// Whether there is such a tool and the arguments fit its schema.
    fn fits(&self, call: &ToolCall) -> Result<(), ToolCallError> {
        let Some(tool) = self.session.tool(&call.name) else {
            let known: Vec<String> = self.session.tools().iter().map(|tool| tool.name.clone()).collect();
            let known = if known.is_empty() {
                "there are none".to_owned()
            } else {
                format!("the tools are {}", known.join(", "))
            };
            return Err(ToolCallError::UnknownTool { name: call.name.clone(), known });
        };
        if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&call.raw_arguments) {
            return Err(ToolCallError::Malformed(error.to_string()));
        }
        schema::check(&tool.input_schema, &call.arguments).map_err(ToolCallError::Invalid)
    }

    /// Shows the call to the client: title, files, the diff it would make.
    async fn announce(&mut self, at: usize, call: &ToolCall) -> Result<(), Ended> {
        let tool = self.session.tool(&call.name);
        let mut preview = ToolPreview::new(call.name.clone());
        if let Some(tool) = &tool
            && self.fits(call).is_ok()
        {
            let cx = ToolContext::new(&self.agent, &self.session, &call.id);
            preview = self.interruptible(tool.handler.preview(&cx, call)).await?;
        }
        let open = &mut self.calls[at];
        open.tool = tool;
        open.call = call.clone();
        let mut update = ToolCallUpdate::new(&call.id);
        update.name = Some(call.name.clone());
        update.title = Some(preview.title.clone());
        update.kind = Some(open.kind());
        update.state = Some(ToolState::Pending);
        update.content = (!preview.content.is_empty()).then(|| preview.content.clone());
        update.locations = (!preview.locations.is_empty()).then(|| preview.locations.clone());
        update.raw_input = Some(call.arguments.clone());
        self.session.set_preview(&call.id, Some(preview.clone()));
        self.calls[at].preview = preview;
        self.session.update(Update::ToolCall(Box::new(update)));
        Ok(())
    }

    /// Runs the first call that has no outcome yet, together with the read-only ones next to it if it is one.
    async fn run_next_group(&mut self) -> Result<(), Ended> {
        let waiting: Vec<usize> = (0..self.calls.len()).filter(|&at| self.calls[at].outcome.is_none()).collect();
        let Some(&first) = waiting.first() else { return Ok(()) };
        let group: Vec<usize> = if self.calls[first].read_only() {
            waiting.into_iter().take_while(|&at| self.calls[at].read_only()).collect()
        } else {
            vec![first]
        };
        let mut running = FuturesUnordered::new();
        for at in group {
            let mut update = ToolCallUpdate::new(&self.calls[at].call.id);
            update.state = Some(ToolState::InProgress);
            self.session.update(Update::ToolCall(Box::new(update)));
            let (agent, session, hooks) = (self.agent.clone(), self.session.clone(), self.hooks.clone());
            let mut call = self.calls[at].call.clone();
            running.push(async move {
                let outcome = match hooks.call_tool(&agent, &session, &mut call).await {
                    Ok(Some(outcome)) => outcome,
                    Ok(None) => ToolOutcome::failed(format!("no plugin runs `{}`", call.name)),
                    Err(error) => match error.downcast_ref::<ToolError>() {
                        Some(ToolError(text)) => ToolOutcome::failed(text.clone()),
                        None => ToolOutcome::failed(error.to_string()),
                    },
                };
                (at, outcome)
            });
        }
        while let Some((at, outcome)) = self.interruptible(running.next()).await? {
            self.calls[at].outcome = Some(outcome);
        }
        Ok(())
    }

    /// `after_tool_call` → `record_event(tool)` for the first open call.
    async fn settle_first(&mut self) -> Result<(), Ended> {
        let (agent, session, hooks) = (self.agent.clone(), self.session.clone(), self.hooks.clone());
        let Some(open) = self.calls.first_mut() else { return Ok(()) };
        let mut outcome = open.outcome.clone().unwrap_or_else(ToolOutcome::cancelled);
        let call = open.call.clone();
        let after = hooks.after_tool_call(&agent, &session, &call, &mut outcome);
        let failed = self.interruptible(after).await?.err();
        if let Some(error) = &failed {
            // What the hook was to cut out must not slip through.
            outcome = ToolOutcome::failed(error.to_string());
        }
        self.put_result(outcome).await;
        failed.map_or(Ok(()), |error| Err(Ended::Failed(error.into())))
    }

    /// Shows, keeps and records the outcome of the first open call.
    async fn put_result(&mut self, outcome: ToolOutcome) {
        let open = self.calls.remove(0);
        let text = outcome.text.clone();
        let content = match (outcome.content.is_empty(), open.preview.content.is_empty() || outcome.is_error()) {
            (false, _) => outcome.content,
            (true, false) => open.preview.content.clone(),
            (true, true) => shown(&text),
        };
        let locations = if outcome.locations.is_empty() { open.preview.locations.clone() } else { outcome.locations };
        let kind = open.kind();
        let message =
            Message::tool_result(&open.call.id, &open.call.name, text, outcome.status != ToolStatus::Completed);

        let mut update = ToolCallUpdate::new(&open.call.id);
        update.state = Some(outcome.status.into());
        update.content = Some(content.clone());
        update.locations = (!locations.is_empty()).then(|| locations.clone());
        update.raw_output = outcome.raw_output;
        self.session.update(Update::ToolCall(Box::new(update)));
        self.session.set_preview(&open.call.id, None);

        self.session.push_own(message.clone());
        let mut event = ToolEvent::new(open.call, outcome.status, message);
        event.original_arguments = (open.original != event.call.raw_arguments).then_some(open.original);
        event.title = open.preview.title;
        event.kind = kind;
        event.locations = locations;
        event.content = content;
        self.record(EventKind::Tool(Box::new(event))).await;
    }

    /// Gives every call that is still open its result: what it had, or "cancelled". History stays valid.
    pub(crate) async fn finish_tools(&mut self) {
        let (agent, session, hooks) = (self.agent.clone(), self.session.clone(), self.hooks.clone());
        while let Some(open) = self.calls.first() {
            let mut outcome = open.outcome.clone().unwrap_or_else(ToolOutcome::cancelled);
            let call = open.call.clone();
            if let Err(error) = hooks.after_tool_call(&agent, &session, &call, &mut outcome).await {
                outcome = ToolOutcome::failed(error.to_string());
            }
            self.put_result(outcome).await;
        }
        session.hold_messages(false);
    }
}

fn denied(reason: &str) -> ToolOutcome {
    ToolOutcome::failed(format!("denied: {reason}"))
}
