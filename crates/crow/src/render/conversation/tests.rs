use super::*;
use crate::render::style::Palette;
use expect_test::{Expect, expect};
use serde_json::{Value, json};

fn check(width: Option<usize>, updates: &[Value], expected: Expect) {
    let mut conversation = Conversation::new(Screen::new(Vec::new(), width, Palette::PLAIN));
    for update in updates {
        let update: SessionUpdate = serde_json::from_value(update.clone()).expect("an ACP session update");
        conversation.update(&update);
    }
    conversation.finish("");
    expected.assert_eq(&String::from_utf8(conversation.screen.into_inner()).expect("UTF-8"));
}

fn text(kind: &str, text: &str) -> Value {
    json!({ "sessionUpdate": kind, "content": { "type": "text", "text": text } })
}

fn call(id: &str, title: &str, kind: &str) -> Value {
    json!({ "sessionUpdate": "tool_call", "toolCallId": id, "title": title, "kind": kind })
}

fn update(id: &str, fields: Value) -> Value {
    let mut update = json!({ "sessionUpdate": "tool_call_update", "toolCallId": id });
    update.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    update
}

fn says(text: &str) -> Value {
    json!([{ "type": "content", "content": { "type": "text", "text": text } }])
}

fn task() -> Vec<Value> {
    let diff = json!([{ "type": "diff", "path": "/p/leap.sh", "oldText": "one\ntwo\n", "newText": "one\nthree\n" }]);
    vec![
        text("agent_thought_chunk", "The user wants"),
        text("agent_thought_chunk", " the test to pass."),
        text("agent_message_chunk", "\nI run the **tests**"),
        text("agent_message_chunk", " first.\n"),
        call("1", "sh test.sh", "execute"),
        update(
            "1",
            json!({ "status": "in_progress", "_meta": { "terminal_info": { "terminal_id": "1", "cwd": "/p" } } }),
        ),
        update(
            "1",
            json!({ "_meta": { "terminal_output": { "terminal_id": "1", "data": "\u{1b}[31m1900 fails\u{1b}[0m\r\n" } } }),
        ),
        update("1", json!({ "_meta": { "terminal_output": { "terminal_id": "1", "data": "no newline" } } })),
        update(
            "1",
            json!({ "status": "completed", "_meta": { "terminal_exit": { "terminal_id": "1", "exit_code": 1, "signal": null } } }),
        ),
        call("2", "Read leap.sh", "read"),
        call("3", "Search “leap”", "search"),
        update("3", json!({ "status": "completed", "content": says("a\nb\nc") })),
        update("2", json!({ "status": "completed", "content": says("one\ntwo\nmore") })),
        call("4", "Edit leap.sh", "edit"),
        update("4", json!({ "status": "in_progress", "content": diff })),
        update("4", json!({ "status": "completed", "content": diff })),
        call("5", "Write /etc/passwd", "edit"),
        update("5", json!({ "status": "failed", "content": says("outside of the workspace") })),
        json!({ "sessionUpdate": "notice", "severity": "warning", "title": "retrying 2/5 in 8 s" }),
        json!({ "sessionUpdate": "usage_update", "used": 12_345, "size": 128_000, "cost": { "amount": 0.0123, "currency": "USD" } }),
        text("agent_message_chunk", "Done: `leap.sh` knows centuries now."),
    ]
}

#[test]
fn a_task_on_a_terminal() {
    check(
        Some(60),
        &task(),
        expect![[r#"
          The user wants the test to pass.

        I run the **tests** first.

        ● sh test.sh
          │ 1900 fails
          │ no newline
          ✗ exit 1, 0.0 s
        ✓ Search “leap”  3 lines
        ✓ Read leap.sh  3 lines
        ✓ Edit leap.sh  +1 -1
            1   one
            2 - two
            2 + three
        ✗ Write /etc/passwd
          │ outside of the workspace

        ! retrying 2/5 in 8 s

        Done: `leap.sh` knows centuries now.

        12.3k of 128k tokens in context · $0.0123 · 0.0 s
    "#]],
    );
}

#[test]
fn a_task_in_a_file() {
    check(
        None,
        &task(),
        expect![[r#"
        I run the **tests** first.

        ● sh test.sh
          │ 1900 fails
          │ no newline
          ✗ exit 1, 0.0 s
        ✓ Search “leap”  3 lines
        ✓ Read leap.sh  3 lines
        ✓ Edit leap.sh  +1 -1
            1   one
            2 - two
            2 + three
        ✗ Write /etc/passwd
          │ outside of the workspace

        ! retrying 2/5 in 8 s

        Done: `leap.sh` knows centuries now.

        12.3k of 128k tokens in context · $0.0123 · 0.0 s
    "#]],
    );
}

#[test]
fn much_output_is_shown_from_both_ends() {
    let lines: String = (1..=100).map(|n| format!("line {n}\n")).collect::<Vec<_>>().concat();
    let mut updates = vec![
        call("1", "make", "execute"),
        update("1", json!({ "status": "in_progress" })),
        update("1", json!({ "_meta": { "terminal_output": { "terminal_id": "1", "data": lines } } })),
    ];
    updates.push(update("1", json!({ "status": "completed", "_meta": { "terminal_exit": { "terminal_id": "1", "exit_code": 0, "signal": null } } })));
    check(
        Some(40),
        &updates,
        expect![[r#"
        ● make
          │ line 1
          │ line 2
          │ line 3
          │ line 4
          │ line 5
          │ line 6
          │ line 7
          │ line 8
          │ line 9
          │ line 10
          │ line 11
          │ line 12
          │ line 13
          │ line 14
          │ line 15
          │ line 16
          │ line 17
          │ line 18
          │ line 19
          │ line 20
          │ line 21
          │ line 22
          │ line 23
          │ line 24
          │ line 25
          │ line 26
          │ line 27
          │ line 28
          │ line 29
          │ line 30
          │ … 65 more lines
          │ line 96
          │ line 97
          │ line 98
          │ line 99
          │ line 100
          ✓ exit 0, 0.0 s

        0.0 s
    "#]],
    );
}

#[test]
fn a_call_that_never_ends_is_named() {
    check(
        Some(40),
        &[call("1", "Read a.txt", "read")],
        expect![[r#"
        not finished: Read a.txt

        0.0 s
    "#]],
    );
}

#[test]
fn details_of_a_notice_stand_below_it() {
    let notice = |description: &str| json!({ "sessionUpdate": "notice", "severity": "warning", "title": "left off", "description": description });
    check(
        Some(30),
        &[
            notice("one thing"),
            notice("command `/fix`: Fixes\n\u{1b}[31mhook `a`: a command that is longer than the line"),
        ],
        expect![[r#"
            ! left off: one thing
            ! left off
              command `/fix`: Fixes
              hook `a`: a command that is…

            0.0 s
        "#]],
    );
}
