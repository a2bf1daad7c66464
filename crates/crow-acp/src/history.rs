//! From a log back to a conversation: what the model sees of it, and what the client is shown.

use std::collections::HashMap;

use crate::event::{Event, EventKind, Settings};
use crate::message::{Message, Part, Role};
use crate::model::{ModelId, Usage};
use crate::session::shown;
use crate::update::{CompactionState, CompactionUpdate, ToolCallUpdate, Update};

/// The state that a log amounts to.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) messages: Vec<Message>,
    pub(crate) last_seq: u64,
    pub(crate) model: Option<ModelId>,
    pub(crate) mode: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) options: HashMap<String, String>,
    pub(crate) usage: Usage,
    pub(crate) context_used: u64,
    pub(crate) cost: Option<f64>,
}

impl History {
    /// Follows a log from its beginning.
    pub(crate) fn of(events: &[Event]) -> Self {
        let mut history = Self::default();
        let mut cost = Some(0.0);
        // Where each user message stands, for refusals that take it back.
        let mut prompts: HashMap<u64, usize> = HashMap::new();
        for event in events {
            history.last_seq = history.last_seq.max(event.seq);
            match &event.kind {
                EventKind::User { message } => {
                    prompts.insert(event.seq, history.messages.len());
                    history.messages.push(message.clone());
                }
                EventKind::Injected { message } | EventKind::Partial { message } => {
                    history.messages.push(message.clone())
                }
                EventKind::Assistant { message, usage, cost: price, model: _ } => {
                    history.messages.push(message.clone());
                    if *usage != Usage::default() {
                        history.usage.add(usage);
                        history.context_used = usage.total();
                        cost = cost.zip(*price).map(|(sum, price)| sum + price);
                    }
                }
                EventKind::Tool(tool) => history.messages.push(tool.message.clone()),
                EventKind::Cancelled { message: Some(message) } => history.messages.push(message.clone()),
                EventKind::Refused { excluded, .. } => {
                    if let Some(&at) = prompts.get(excluded) {
                        history.messages.truncate(at);
                    }
                }
                EventKind::Compacted { messages, .. } => {
                    history.messages.clone_from(messages);
                    history.context_used = messages.iter().map(Message::estimated_tokens).sum();
                    prompts.clear();
                }
                EventKind::Settings(settings) => history.set(settings),
                EventKind::Cancelled { message: None }
                | EventKind::Command { .. }
                | EventKind::Error { .. }
                | EventKind::Edited { .. } => {}
            }
        }
        if history.usage != Usage::default() {
            history.cost = cost;
        }
        close_calls(&mut history.messages);
        history
    }

    fn set(&mut self, settings: &Settings) {
        if settings.title.is_some() {
            self.title.clone_from(&settings.title);
        }
        if settings.model.is_some() {
            self.model.clone_from(&settings.model);
        }
        if settings.mode.is_some() {
            self.mode.clone_from(&settings.mode);
        }
        if let Some((id, value)) = &settings.option {
            self.options.insert(id.clone(), value.clone());
        }
    }
}

/// Makes a conversation one that every model accepts: a tool call without a result, left by a crash, gets one.
pub(crate) fn close_calls(messages: &mut Vec<Message>) {
    let mut at = 0;
    while at < messages.len() {
        let calls: Vec<(String, String)> =
            messages[at].tool_calls().map(|call| (call.id.clone(), call.name.clone())).collect();
        at += 1;
        for (id, name) in calls {
            // Results stand right behind the calls, in any order.
            let results = messages[at..].iter().take_while(|message| message.role == Role::Tool).count();
            let answered = messages[at..at + results].iter().any(|result| result.tool_call_id() == Some(&id));
            if !answered {
                let result = Message::tool_result(id, name, "cancelled: the agent ended before the tool did", true);
                messages.insert(at + results, result);
            }
        }
    }
}

/// The updates that show a log to a client, the same that it was shown live.
pub(crate) fn replay(events: &[Event]) -> Vec<Update> {
    let mut updates = Vec::new();
    for event in events {
        match &event.kind {
            EventKind::User { message } => show(message, &mut updates, event.seq),
            EventKind::Assistant { message, .. } | EventKind::Partial { message } => {
                show(message, &mut updates, event.seq)
            }
            EventKind::Cancelled { message: Some(message) } => show(message, &mut updates, event.seq),
            EventKind::Tool(tool) => {
                let mut update = ToolCallUpdate::from_event(tool);
                if tool.content.is_empty() {
                    let text: Vec<&str> = tool
                        .message
                        .parts()
                        .iter()
                        .filter_map(
                            |part| if let Part::ToolResult(result) = part { Some(result.text.as_str()) } else { None },
                        )
                        .collect();
                    update.content = Some(shown(&text.concat()));
                }
                updates.push(Update::ToolCall(Box::new(update)));
            }
            EventKind::Command { message, reply } => {
                show(message, &mut updates, event.seq);
                show(reply, &mut updates, event.seq);
            }
            EventKind::Compacted { summary, id, .. } => {
                let id = id.clone().unwrap_or_else(|| format!("event-{}", event.seq));
                let state = CompactionState::Completed { summary: summary.clone() };
                updates.push(Update::Compaction(CompactionUpdate::new(id, state)));
            }
            EventKind::Refused { reason, .. } => updates.push(agent_text(event.seq, reason)),
            EventKind::Error { message } => updates.push(agent_text(event.seq, message)),
            EventKind::Cancelled { message: None }
            | EventKind::Injected { .. }
            | EventKind::Settings(_)
            | EventKind::Edited { .. } => {}
        }
    }
    updates
}

fn agent_text(seq: u64, text: &str) -> Update {
    Update::AgentMessage { message_id: format!("event-{seq}"), text: text.to_owned() }
}

fn show(message: &Message, updates: &mut Vec<Update>, seq: u64) {
    let message_id = message.id.clone().unwrap_or_else(|| format!("event-{seq}"));
    for part in message.parts() {
        match (message.role, part) {
            (Role::User, part) => {
                updates.push(Update::UserMessage { message_id: message_id.clone(), part: part.clone() })
            }
            (_, Part::Text { text }) => {
                updates.push(Update::AgentMessage { message_id: message_id.clone(), text: text.clone() });
            }
            (_, Part::Reasoning { text, .. }) if !text.is_empty() => {
                updates.push(Update::AgentThought { message_id: message_id.clone(), text: text.clone() });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::ToolCall;
    use serde_json::json;

    fn event(seq: u64, kind: EventKind) -> Event {
        Event::new(seq, 0, kind)
    }

    fn assistant(message: Message) -> EventKind {
        EventKind::Assistant { message, model: ModelId::new("p", "m"), usage: Usage::new(10, 5), cost: Some(0.5) }
    }

    #[test]
    fn a_call_without_a_result_gets_one_behind_those_that_are_there() {
        let calls = Message::new(
            Role::Assistant,
            vec![
                Part::ToolCall(ToolCall::new("a", "read", json!({}))),
                Part::ToolCall(ToolCall::new("b", "read", json!({}))),
            ],
        );
        let mut messages =
            vec![Message::user("go"), calls, Message::tool_result("b", "read", "text", false), Message::user("next")];
        close_calls(&mut messages);
        let ids: Vec<_> = messages.iter().map(Message::tool_call_id).collect();
        assert_eq!(ids, [None, None, Some("b"), Some("a"), None]);
    }

    #[test]
    fn a_refused_prompt_is_not_seen_by_the_model_again() {
        let events = [
            event(1, EventKind::User { message: Message::user("one") }),
            event(2, assistant(Message::assistant("1"))),
            event(3, EventKind::User { message: Message::user("two") }),
            event(4, EventKind::Injected { message: Message::user("context") }),
            event(5, EventKind::Refused { excluded: 3, reason: "no".into() }),
        ];
        let history = History::of(&events);
        let texts: Vec<_> = history.messages.iter().map(Message::text).collect();
        assert_eq!(texts, ["one", "1"]);
        assert_eq!(history.last_seq, 5);
        assert_eq!(replay(&events).len(), 4);
    }

    #[test]
    fn usage_is_a_sum_and_the_context_is_the_last_request() {
        let events = [event(1, assistant(Message::assistant("1"))), event(2, assistant(Message::assistant("2")))];
        let history = History::of(&events);
        assert_eq!(history.usage.total(), 30);
        assert_eq!(history.context_used, 15);
        assert_eq!(history.cost, Some(1.0));
    }
}
