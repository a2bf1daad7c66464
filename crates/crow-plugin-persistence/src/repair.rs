//! Sessions whose process was killed: their logs are made such that a conversation can go on from them.

use crow_acp::{Event, EventKind, Message, Part, ToolCall, ToolEvent, ToolStatus};

/// What the model reads as the result of a call that nobody knows the end of.
const LOST: &str =
    "The agent was interrupted before this call was finished. It may have run in part; check before repeating it.";

/// Repairs a log in place and gives the events that have to be written for the store to agree, in order:
/// an answer that was still streaming becomes a kept partial answer under its own number, and calls without a result
/// get one at the end. `at` is the time of what is added, in milliseconds since the epoch.
pub(crate) fn repair(events: &mut Vec<Event>, at: i64) -> Vec<Event> {
    let mut written = Vec::new();
    for event in events.iter_mut() {
        if let EventKind::Partial { message } = &event.kind {
            event.kind = EventKind::Cancelled { message: without_calls(message) };
            written.push(event.clone());
        }
    }
    let mut seq = events.last().map_or(0, |event| event.seq);
    for call in open_calls(events) {
        seq += 1;
        let message = Message::tool_result(&call.id, &call.name, LOST, true);
        let event =
            Event::new(seq, at, EventKind::Tool(Box::new(ToolEvent::new(call, ToolStatus::Cancelled, message))));
        events.push(event.clone());
        written.push(event);
    }
    written
}

/// A partial answer that can stand in a history: its calls, which may be cut off and never ran, are left out. `None`:
/// nothing is left.
fn without_calls(message: &Message) -> Option<Message> {
    let mut message = message.clone();
    message.parts_mut().retain(|part| !matches!(part, Part::ToolCall(_)));
    if message.parts().is_empty() { None } else { Some(message) }
}

/// The calls of the last answer that have no result, if nothing was said after it.
fn open_calls(events: &[Event]) -> Vec<ToolCall> {
    let mut open = Vec::new();
    for event in events {
        match &event.kind {
            EventKind::Assistant { message, .. } => open = message.tool_calls().cloned().collect(),
            EventKind::Tool(tool) => open.retain(|call| call.id != tool.call.id),
            EventKind::User { .. } | EventKind::Compacted { .. } => open.clear(),
            _ => {}
        }
    }
    open
}

#[cfg(test)]
mod tests {
    use super::*;
    use crow_acp::{ModelId, Role, Usage};
    use serde_json::json;

    fn event(seq: u64, kind: EventKind) -> Event {
        Event::new(seq, 1, kind)
    }

    fn answer(seq: u64, calls: &[&str]) -> Event {
        let mut parts = vec![Part::text("let me look")];
        parts.extend(calls.iter().map(|id| Part::ToolCall(ToolCall::new(*id, "read", json!({})))));
        let message = Message::new(Role::Assistant, parts);
        event(seq, EventKind::Assistant { message, model: ModelId::new("p", "m"), usage: Usage::default(), cost: None })
    }

    fn result(seq: u64, id: &str) -> Event {
        let call = ToolCall::new(id, "read", json!({}));
        let message = Message::tool_result(id, "read", "text", false);
        event(seq, EventKind::Tool(Box::new(ToolEvent::new(call, ToolStatus::Completed, message))))
    }

    fn user(seq: u64) -> Event {
        event(seq, EventKind::User { message: Message::user("go") })
    }

    #[test]
    fn a_whole_log_is_left_alone() {
        let log = vec![user(1), answer(2, &["a"]), result(3, "a"), answer(4, &[])];
        let mut repaired = log.clone();
        assert!(repair(&mut repaired, 9).is_empty());
        assert_eq!(repaired, log);
    }

    #[test]
    fn calls_without_results_get_them_in_order() {
        let mut log = vec![user(1), answer(2, &["a", "b", "c"]), result(3, "a")];
        let written = repair(&mut log, 9);
        let ids: Vec<_> = log.iter().map(|event| event.seq).collect();
        assert_eq!(ids, [1, 2, 3, 4, 5]);
        assert_eq!(written, log[3..]);
        for (event, id) in written.iter().zip(["b", "c"]) {
            let EventKind::Tool(tool) = &event.kind else { panic!("{event:?}") };
            assert_eq!((tool.call.id.as_str(), tool.status, event.at), (id, ToolStatus::Cancelled, 9));
            assert_eq!(tool.message.tool_call_id(), Some(id));
        }
        assert!(repair(&mut log, 10).is_empty(), "a repaired log needs no repair");
    }

    #[test]
    fn an_answer_under_way_is_kept_without_its_calls() {
        let cut = Part::ToolCall(ToolCall::from_raw("a", "read", "{\"pa"));
        let message = Message::new(Role::Assistant, vec![Part::text("half of"), cut]);
        let mut log = vec![user(1), event(2, EventKind::Partial { message })];
        let written = repair(&mut log, 9);
        assert_eq!(written.len(), 1);
        assert_eq!(log[1].seq, 2);
        let EventKind::Cancelled { message: Some(kept) } = &log[1].kind else { panic!("{:?}", log[1]) };
        assert_eq!((kept.text().as_str(), kept.tool_calls().count()), ("half of", 0));
    }

    #[test]
    fn an_answer_of_which_nothing_is_left_says_nothing() {
        let cut = Part::ToolCall(ToolCall::from_raw("a", "read", "{\"pa"));
        let message = Message::new(Role::Assistant, vec![cut]);
        let mut log = vec![user(1), event(2, EventKind::Partial { message })];
        repair(&mut log, 9);
        assert_eq!(log[1].kind, EventKind::Cancelled { message: None });
    }

    #[test]
    fn what_an_earlier_repair_or_cancel_closed_stays_closed() {
        let mut log = vec![user(1), answer(2, &["a"]), user(3), answer(4, &[])];
        assert!(repair(&mut log, 9).is_empty());
    }
}
