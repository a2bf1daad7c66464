use serde_json::{Value, json};

use super::*;
use crate::message::Part;
use crate::options::OptionValue;
use crate::tool::Location;

fn view(capabilities: impl FnOnce(&mut ClientCapabilities)) -> Projection {
    let mut can = ClientCapabilities::default();
    capabilities(&mut can);
    Projection::new(can, "/w".into())
}

fn appending() -> Projection {
    view(|can| can.terminal_output = true)
}

fn told(view: &mut Projection, update: Update) -> Vec<Value> {
    let mut told = Vec::new();
    view.project(update, &mut |update| told.push(serde_json::to_value(update).unwrap()));
    told
}

fn call(id: &str, change: impl FnOnce(&mut ToolCallUpdate)) -> Update {
    let mut update = ToolCallUpdate::new(id);
    change(&mut update);
    Update::ToolCall(Box::new(update))
}

fn finished(output: &str, exit_code: Option<i32>) -> Vec<ToolContent> {
    vec![ToolContent::Terminal { command: "make".into(), cwd: "/w".into(), output: output.into(), exit_code }]
}

#[test]
fn text_and_thoughts_carry_their_message() {
    let view = &mut view(|_| {});
    assert_eq!(
        told(view, Update::AgentMessage { message_id: "m".into(), text: "Hi".into() }),
        [
            json!({ "sessionUpdate": "agent_message_chunk", "messageId": "m", "content": { "type": "text", "text": "Hi" } })
        ]
    );
    assert_eq!(
        told(view, Update::AgentThought { message_id: "m".into(), text: "Hm".into() }),
        [
            json!({ "sessionUpdate": "agent_thought_chunk", "messageId": "m", "content": { "type": "text", "text": "Hm" } })
        ]
    );
    assert_eq!(
        told(view, Update::UserMessage { message_id: "u".into(), part: Part::text("Go") }),
        [
            json!({ "sessionUpdate": "user_message_chunk", "messageId": "u", "content": { "type": "text", "text": "Go" } })
        ]
    );
}

#[test]
fn a_call_is_told_whole_once_and_then_only_what_changes() {
    let view = &mut view(|_| {});
    let first = call("c", |call| {
        call.name = Some("edit_file".into());
        call.title = Some("Edit a.rs".into());
        call.kind = Some(ToolKind::Edit);
        call.locations = Some(vec![Location::new("/w/a.rs", Some(3))]);
        call.raw_input = Some(json!({ "path": "a.rs" }));
    });
    assert_eq!(
        told(view, first),
        [json!({
            "sessionUpdate": "tool_call", "toolCallId": "c", "title": "Edit a.rs", "name": "edit_file", "kind": "edit",
            "locations": [{ "path": "/w/a.rs", "line": 3 }], "rawInput": { "path": "a.rs" },
        })]
    );
    let same = call("c", |call| {
        call.title = Some("Edit a.rs".into());
        call.state = Some(ToolState::Pending);
    });
    assert_eq!(told(view, same), [] as [Value; 0]);
    let done = call("c", |call| {
        call.title = Some("Edit a.rs".into());
        call.state = Some(ToolState::Completed);
        call.content = Some(vec![
            ToolContent::Diff { path: "/w/a.rs".into(), old_text: None, new_text: "x".into() },
            ToolContent::text("done"),
        ]);
    });
    assert_eq!(
        told(view, done),
        [json!({
            "sessionUpdate": "tool_call_update", "toolCallId": "c", "status": "completed",
            "content": [
                { "type": "diff", "path": "/w/a.rs", "newText": "x" },
                { "type": "content", "content": { "type": "text", "text": "done" } },
            ],
        })]
    );
}

#[test]
fn output_is_appended_for_clients_that_can() {
    let view = &mut appending();
    let new = told(
        view,
        call("c", |call| {
            call.title = Some("make".into());
            call.kind = Some(ToolKind::Execute);
        }),
    );
    assert_eq!(new[0]["_meta"], json!({ "terminal_info": { "terminal_id": "c", "cwd": "/w" } }));
    assert_eq!(new[0].get("content"), None);

    let started = told(
        view,
        call("c", |call| {
            call.state = Some(ToolState::InProgress);
            call.terminal = Some(("make".into(), "/w".into()));
        }),
    );
    assert_eq!(started[0]["content"], json!([{ "type": "terminal", "terminalId": "c" }]));

    for _ in 0..3 {
        assert_eq!(
            told(view, Update::TerminalOutput { call_id: "c".into(), data: "cc\n".into() }),
            [json!({
                "sessionUpdate": "tool_call_update", "toolCallId": "c",
                "_meta": { "terminal_output": { "terminal_id": "c", "data": "cc\n" } },
            })]
        );
    }

    let done = told(
        view,
        call("c", |call| {
            call.state = Some(ToolState::Failed);
            call.content = Some(finished("cc\ncc\ncc\n", Some(2)));
        }),
    );
    assert_eq!(
        done,
        [json!({
            "sessionUpdate": "tool_call_update", "toolCallId": "c", "status": "failed",
            "content": [{ "type": "terminal", "terminalId": "c" }],
            "_meta": { "terminal_exit": { "terminal_id": "c", "exit_code": 2, "signal": null } },
        })]
    );
    assert_eq!(told(view, Update::TerminalOutput { call_id: "c".into(), data: "late".into() }), [] as [Value; 0]);
}

#[test]
fn a_terminal_ends_with_its_call_even_if_nobody_says_how() {
    let view = &mut appending();
    told(view, call("c", |call| call.terminal = Some(("make".into(), "/w".into()))));
    let done = told(view, call("c", |call| call.state = Some(ToolState::Failed)));
    assert_eq!(done[0]["_meta"]["terminal_exit"], json!({ "terminal_id": "c", "exit_code": null, "signal": null }));
}

#[test]
fn a_replayed_command_has_its_output() {
    let view = &mut appending();
    let replayed = told(
        view,
        call("c", |call| {
            call.title = Some("make".into());
            call.kind = Some(ToolKind::Execute);
            call.state = Some(ToolState::Completed);
            call.content = Some(finished("ok\n", Some(0)));
        }),
    );
    assert_eq!(replayed.len(), 2);
    assert_eq!(replayed[0]["content"], json!([{ "type": "terminal", "terminalId": "c" }]));
    assert!(replayed[0]["_meta"].get("terminal_info").is_some());
    assert_eq!(replayed[1]["_meta"]["terminal_output"]["data"], "ok\n");
    assert_eq!(replayed[1]["_meta"]["terminal_exit"]["exit_code"], 0);
}

#[test]
fn output_is_a_throttled_tail_for_other_clients() {
    let view = &mut view(|_| {});
    told(view, call("c", |call| call.terminal = Some(("make".into(), "/w".into()))));
    let first = told(view, Update::TerminalOutput { call_id: "c".into(), data: "one\n".into() });
    assert_eq!(first[0]["content"][0]["content"]["text"], "```\none\n```");
    // The second is too soon, and the time to send it is told once.
    let mut none = |_: SessionUpdate| panic!("too soon");
    let due = view.project(Update::TerminalOutput { call_id: "c".into(), data: "two\n".into() }, &mut none);
    let due = due.expect("a time");
    assert_eq!(view.project(Update::TerminalOutput { call_id: "c".into(), data: "three\n".into() }, &mut none), None);
    assert!(view.flush(Instant::now(), &mut none).is_some());
    let mut flushed = Vec::new();
    assert_eq!(view.flush(due, &mut |update| flushed.push(serde_json::to_value(update).unwrap())), None);
    assert_eq!(flushed[0]["content"][0]["content"]["text"], "```\none\ntwo\nthree\n```");
}

#[test]
fn the_end_of_a_call_shows_the_last_of_its_output_at_once() {
    let view = &mut view(|_| {});
    told(view, call("c", |call| call.terminal = Some(("make".into(), "/w".into()))));
    told(view, Update::TerminalOutput { call_id: "c".into(), data: "one\n".into() });
    told(view, Update::TerminalOutput { call_id: "c".into(), data: "two\n".into() });
    let done = told(view, call("c", |call| call.state = Some(ToolState::Completed)));
    assert_eq!(done.len(), 1);
    assert_eq!(done[0]["status"], "completed");
    assert_eq!(done[0]["content"][0]["content"]["text"], "```\none\ntwo\n```");
}

#[test]
fn what_a_command_printed_stays_in_sight_when_it_is_cancelled() {
    let cancelled = |view: &mut Projection| {
        told(view, call("c", |call| call.terminal = Some(("make".into(), "/w".into()))));
        told(view, Update::TerminalOutput { call_id: "c".into(), data: "one\n".into() });
        let done = told(
            view,
            call("c", |call| {
                call.state = Some(ToolState::Failed);
                call.content = Some(vec![ToolContent::text("cancelled by the user")]);
            }),
        );
        let content = done[0]["content"].clone();
        assert_eq!(content[1]["content"]["text"], "cancelled by the user");
        content[0].clone()
    };
    assert_eq!(cancelled(&mut appending()), json!({ "type": "terminal", "terminalId": "c" }));
    assert_eq!(cancelled(&mut view(|_| {}))["content"]["text"], "```\none\n```");
}

#[test]
fn notices_go_where_the_client_has_a_place_for_them_and_are_never_silent() {
    let mut notice = Notice::new(Severity::Warning, "MCP server `x` is not there");
    notice.description = Some("no such file".into());
    let shown = told(&mut view(|can| can.notices = true), Update::Notice(notice.clone()));
    assert_eq!(
        shown,
        [json!({
            "sessionUpdate": "notice", "severity": "warning",
            "title": "MCP server `x` is not there", "description": "no such file",
        })]
    );
    let text = told(&mut view(|_| {}), Update::Notice(notice));
    assert_eq!(text[0]["sessionUpdate"], "agent_message_chunk");
    assert_eq!(text[0]["content"]["text"], "\n\n**Warning:** MCP server `x` is not there\n\nno such file\n\n");
    let info = told(&mut view(|_| {}), Update::Notice(Notice::new(Severity::Info, "by the way")));
    assert_eq!(info, [] as [Value; 0]);
}

#[test]
fn the_rest_is_told_in_the_words_of_the_protocol() {
    let view = &mut view(|_| {});
    assert_eq!(
        told(view, Update::Usage { used: 7, size: 100, cost: Some(0.5) }),
        [
            json!({ "sessionUpdate": "usage_update", "used": 7, "size": 100, "cost": { "amount": 0.5, "currency": "USD" } })
        ]
    );
    assert_eq!(
        told(view, Update::SessionInfo { title: Some("T".into()), updated_at: 0 }),
        [json!({ "sessionUpdate": "session_info_update", "title": "T", "updatedAt": "1970-01-01T00:00:00Z" })]
    );
    assert_eq!(
        told(view, Update::SessionInfo { title: None, updated_at: 0 })[0].get("title"),
        None,
        "a title that did not change is not cleared"
    );
    assert_eq!(
        told(view, Update::Mode("plan".into())),
        [json!({ "sessionUpdate": "current_mode_update", "currentModeId": "plan" })]
    );
    let plan = vec![crate::update::PlanEntry::new("Look", PlanStatus::InProgress)];
    assert_eq!(
        told(view, Update::Plan(plan)),
        [
            json!({ "sessionUpdate": "plan", "entries": [{ "content": "Look", "priority": "medium", "status": "in_progress" }] })
        ]
    );
    let option = ConfigOption::new("model", "Model", "a/b", vec![OptionValue::new("a/b", "B")]).category("model");
    assert_eq!(
        told(view, Update::ConfigOptions(vec![option])),
        [json!({ "sessionUpdate": "config_option_update", "configOptions": [{
            "id": "model", "name": "Model", "category": "model", "type": "select", "currentValue": "a/b",
            "options": [{ "value": "a/b", "name": "B" }],
        }] })]
    );
}

#[test]
fn a_compaction_is_an_entity_for_clients_that_know_of_them_and_a_notice_for_others() {
    let update = |state| Update::Compaction(CompactionUpdate::new("c", state));
    let summary = || CompactionState::Completed { summary: "S".into() };
    let failed = || CompactionState::Failed { reason: "vetoed".into() };

    let knows = &mut view(|can| can.compaction = true);
    let kind = "compaction_update";
    assert_eq!(
        told(knows, update(CompactionState::InProgress)),
        [json!({ "sessionUpdate": kind, "compactionId": "c", "status": "in_progress" })]
    );
    assert_eq!(
        told(knows, update(summary())),
        [json!({
            "sessionUpdate": kind, "compactionId": "c", "status": "completed",
            "summary": [{ "type": "text", "text": "S" }],
        })]
    );
    assert_eq!(
        told(knows, update(failed())),
        [json!({ "sessionUpdate": kind, "compactionId": "c", "status": "failed", "error": "vetoed" })]
    );
    assert_eq!(told(knows, update(CompactionState::Cancelled))[0]["status"], "cancelled");

    let notices = &mut view(|can| can.notices = true);
    let mut done = CompactionUpdate::new("c", summary());
    done.tokens = Some((9, 4));
    let title = told(notices, Update::Compaction(done))[0]["title"].clone();
    assert_eq!(title, "compacted the conversation: about 9 tokens became 4");
    assert_eq!(told(notices, update(summary())), [] as [Value; 0], "a replay says nothing of it");

    let neither = told(&mut view(|_| {}), update(failed()));
    assert_eq!(neither[0]["content"]["text"], "\n\n**Warning:** the conversation was not compacted: vetoed\n\n");
}
