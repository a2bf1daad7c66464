//! The built-in tools, as the model and the editor see them.

use crow_tests::Reply;
use serde_json::{Value, json};

use crate::stage::{Stage, assert_history_is_valid};

fn only_call(calls: &[Value]) -> &Value {
    assert_eq!(calls.len(), 1, "{calls:#?}");
    &calls[0]
}

fn diff(call: &Value) -> Value {
    let content = call["content"].as_array().cloned().unwrap_or_default();
    content.into_iter().find(|part| part["type"] == "diff").unwrap_or_else(|| panic!("no diff in {call:#}"))
}

#[test]
fn all_tools_are_offered_with_a_schema() {
    let stage = Stage::new([Reply::say("ok")]);
    stage.prompt("hi");
    let body = stage.server.wait_requests(1).json();
    let tools = body["tools"].as_array().cloned().unwrap_or_default();
    let names: Vec<_> = tools.iter().filter_map(|tool| tool["function"]["name"].as_str()).collect();
    for name in ["read", "write", "edit", "list", "glob", "grep", "terminal", "fetch"] {
        assert!(names.contains(&name), "no `{name}` among {names:?}");
    }
    for tool in &tools {
        assert_eq!(tool["function"]["parameters"]["type"], "object", "{tool:#}");
        assert!(tool["function"]["description"].as_str().is_some_and(|text| text.len() > 10), "{tool:#}");
    }
}

#[test]
fn read_gives_the_text_and_its_place() {
    let stage = Stage::new([]);
    let path = stage.sandbox.file("notes.txt", "alpha\nbeta\ngamma\n");
    let turn = stage.use_tool("read", &json!({ "path": "notes.txt" }));
    let calls = turn.tool_calls();
    let call = only_call(&calls);
    assert_eq!((&call["kind"], &call["status"]), (&json!("read"), &json!("completed")), "{call:#}");
    assert_eq!(call["locations"][0]["path"], json!(path), "{call:#}");
    assert!(call["title"].as_str().is_some_and(|title| title.contains("notes.txt")), "{call:#}");
    let result = stage.tool_result();
    assert!(result.contains("alpha") && result.contains("gamma"), "{result}");
    assert_eq!(stage.permissions_asked(), 0);
}

#[test]
fn read_takes_an_offset_and_a_limit() {
    let stage = Stage::new([]);
    let lines: Vec<String> = (1..=100).map(|number| format!("line-{number}\n")).collect();
    stage.sandbox.file("long.txt", lines.concat());
    stage.use_tool("read", &json!({ "path": "long.txt", "offset": 10, "limit": 3 }));
    let result = stage.tool_result();
    assert!(result.contains("line-11"), "{result}");
    assert!(!result.contains("line-20") && !result.contains("line-5\n"), "{result}");
}

#[test]
fn write_shows_a_diff_against_nothing_for_a_new_file() {
    let stage = Stage::new([]);
    let turn = stage.use_tool("write", &json!({ "path": "new/dir/a.txt", "content": "hello\n" }));
    let calls = turn.tool_calls();
    let call = only_call(&calls);
    assert_eq!((&call["kind"], &call["status"]), (&json!("edit"), &json!("completed")), "{call:#}");
    let diff = diff(call);
    assert_eq!(diff["path"], json!(stage.sandbox.project().join("new/dir/a.txt")));
    assert_eq!((&diff["oldText"], &diff["newText"]), (&Value::Null, &json!("hello\n")));
    assert_eq!(stage.sandbox.read("new/dir/a.txt").as_deref(), Some("hello\n"));
}

#[test]
fn write_shows_what_an_overwritten_file_held() {
    let stage = Stage::new([]);
    stage.sandbox.file("a.txt", "before\n");
    let turn = stage.use_tool("write", &json!({ "path": "a.txt", "content": "after\n" }));
    let diff = diff(only_call(&turn.tool_calls()));
    assert_eq!((&diff["oldText"], &diff["newText"]), (&json!("before\n"), &json!("after\n")));
}

#[test]
fn edit_replaces_one_place_and_shows_it() {
    let stage = Stage::new([]);
    stage.sandbox.file("a.txt", "one\ntwo\nthree\n");
    let turn = stage.use_tool("edit", &json!({ "path": "a.txt", "old_text": "two", "new_text": "2" }));
    assert_eq!(stage.sandbox.read("a.txt").as_deref(), Some("one\n2\nthree\n"));
    let calls = turn.tool_calls();
    let diff = diff(only_call(&calls));
    let (old, new) = (diff["oldText"].as_str().unwrap_or_default(), diff["newText"].as_str().unwrap_or_default());
    assert!(old.contains("two") && new.contains('2') && !new.contains("two"), "{diff:#}");
}

#[test]
fn edit_keeps_windows_line_ends() {
    let stage = Stage::new([]);
    stage.sandbox.file("a.txt", "one\r\ntwo\r\nthree\r\n");
    stage.use_tool("edit", &json!({ "path": "a.txt", "old_text": "one\ntwo", "new_text": "1\n2" }));
    assert_eq!(stage.sandbox.read("a.txt").as_deref(), Some("1\r\n2\r\nthree\r\n"));
}

#[test]
fn edit_refuses_text_that_is_not_there_or_not_unique() {
    let stage = Stage::new([]);
    stage.sandbox.file("a.txt", "same\nsame\n");
    for old in ["missing", "same"] {
        let turn = stage.use_tool("edit", &json!({ "path": "a.txt", "old_text": old, "new_text": "x" }));
        assert_eq!(only_call(&turn.tool_calls())["status"], "failed", "for `{old}`");
        assert_eq!(stage.sandbox.read("a.txt").as_deref(), Some("same\nsame\n"));
    }
    let arguments = json!({ "path": "a.txt", "old_text": "same", "new_text": "x", "replace_all": true });
    stage.use_tool("edit", &arguments);
    assert_eq!(stage.sandbox.read("a.txt").as_deref(), Some("x\nx\n"));
}

#[test]
fn list_glob_and_grep_find_files() {
    let stage = Stage::new([]);
    stage.sandbox.file("src/main.rs", "fn main() { needle(); }\n");
    stage.sandbox.file("src/deep/lib.rs", "// nothing here\n");
    stage.sandbox.file("README.md", "a needle in the hay\n");
    stage.use_tool("list", &json!({}));
    let listed = stage.tool_result();
    assert!(listed.contains("src") && listed.contains("README.md"), "{listed}");
    stage.use_tool("glob", &json!({ "pattern": "**/*.rs" }));
    let found = stage.tool_result();
    assert!(found.contains("main.rs") && found.contains("lib.rs") && !found.contains("README"), "{found}");
    stage.use_tool("grep", &json!({ "pattern": "need.e" }));
    let hits = stage.tool_result();
    assert!(hits.contains("main.rs") && hits.contains("README.md") && !hits.contains("lib.rs"), "{hits}");
    stage.use_tool("grep", &json!({ "pattern": "needle", "glob": "*.md" }));
    let hits = stage.tool_result();
    assert!(hits.contains("README.md") && !hits.contains("main.rs"), "{hits}");
    assert_eq!(stage.permissions_asked(), 0);
}

#[test]
fn terminal_tells_output_and_status() {
    let stage = Stage::new([]);
    let turn = stage.use_tool("terminal", &json!({ "command": "echo out; echo err >&2; exit 3" }));
    let result = stage.tool_result();
    assert!(result.contains("out") && result.contains("err") && result.contains('3'), "{result}");
    let calls = turn.tool_calls();
    assert_eq!(only_call(&calls)["kind"], "execute");
    assert_eq!(stage.permissions_asked(), 1);
}

#[test]
fn terminal_output_is_shown_while_the_command_runs() {
    let stage = Stage::new([
        Reply::call("call_1", "terminal", &json!({ "command": "echo early; while [ ! -e go ]; do sleep 0.05; done" })),
        Reply::say("done"),
    ]);
    let pending = stage.client.start_prompt(&stage.session, "run");
    // The command cannot end before its output was seen.
    stage.client.wait_update(&stage.session, pending.from, |update| {
        update["sessionUpdate"] == "tool_call_update" && update.to_string().contains("early")
    });
    stage.sandbox.file("go", "");
    assert_eq!(stage.client.turn(&stage.session, &pending).stop_reason(), "end_turn");
}

#[test]
fn terminal_runs_in_the_project_and_stops_when_its_time_is_over() {
    let stage = Stage::new([]);
    stage.use_tool("terminal", &json!({ "command": "pwd" }));
    assert!(stage.tool_result().contains(&stage.sandbox.project().display().to_string()));
    let marker = format!("sleep 61{}", std::process::id() % 1000);
    stage.use_tool("terminal", &json!({ "command": format!("echo started; {marker}"), "timeout_seconds": 1 }));
    let result = stage.tool_result();
    assert!(result.contains("started"), "{result}");
    assert_eq!(crate::stage::still_running(&marker), Vec::<u32>::new());
}

#[test]
fn terminal_output_has_a_limit() {
    let stage = Stage::new([]);
    stage.use_tool("terminal", &json!({ "command": "yes 0123456789 | head -c 20000000" }));
    let result = stage.tool_result();
    assert!(result.len() < 1_000_000, "{} bytes went to the model", result.len());
    let sent: usize = stage.client.updates(&stage.session).iter().map(|update| update.to_string().len()).sum();
    assert!(sent < 4_000_000, "{sent} bytes went to the editor");
}

#[test]
fn fetch_gets_a_page() {
    let stage = Stage::new([]);
    let turn = stage.use_tool("fetch", &json!({ "url": format!("{}/models", stage.server.base_url()) }));
    assert_eq!(only_call(&turn.tool_calls())["kind"], "fetch");
    let result = stage.tool_result();
    assert!(result.contains("scripted"), "{result}");
}

#[test]
fn two_calls_at_once_are_both_answered_in_order() {
    let stage = Stage::new([]);
    stage.sandbox.file("a.txt", "apple");
    stage.sandbox.file("b.txt", "banana");
    let both = Reply::stream().tool_call("call_a", "read", &json!({ "path": "a.txt" })).tool_call(
        "call_b",
        "read",
        &json!({ "path": "b.txt" }),
    );
    stage.server.push(both);
    stage.server.push(Reply::say("fruit"));
    let turn = stage.prompt("read both");
    let statuses: Vec<_> = turn.tool_calls().iter().map(|call| call["status"].clone()).collect();
    assert_eq!(statuses, ["completed", "completed"]);
    let messages = stage.server.wait_requests(2).messages();
    assert_history_is_valid(&messages);
    let results: Vec<_> = messages.iter().filter(|message| message["role"] == "tool").collect();
    assert_eq!((&results[0]["tool_call_id"], &results[1]["tool_call_id"]), (&json!("call_a"), &json!("call_b")));
    assert!(results[0].to_string().contains("apple") && results[1].to_string().contains("banana"));
}

#[test]
fn fragments_of_calls_are_put_together_by_index() {
    let stage = Stage::new([]);
    stage.sandbox.file("a.txt", "apple");
    stage.sandbox.file("b.txt", "banana");
    let part = |index: u64, arguments: &str| json!({ "index": index, "function": { "arguments": arguments } });
    let start = |index: u64, id: &str| json!({ "index": index, "id": id, "type": "function", "function": { "name": "read", "arguments": "" } });
    let reply = Reply::stream()
        .tool_fragments(&json!([start(0, "call_a"), start(1, "call_b")]))
        .tool_fragments(&json!([part(0, "{\"pa"), part(1, "{\"path\"")]))
        .tool_fragments(&json!([part(1, ":\"b.txt\"}")]))
        .tool_fragments(&json!([part(0, "th\": \"a.txt\"}")]));
    stage.server.push(reply);
    stage.server.push(Reply::say("fruit"));
    stage.prompt("read both");
    let messages = stage.server.wait_requests(2).messages();
    assert_history_is_valid(&messages);
    let text = json!(messages).to_string();
    assert!(text.contains("apple") && text.contains("banana"), "{text}");
}

#[test]
fn a_call_without_an_id_gets_one() {
    let stage = Stage::new([]);
    stage.sandbox.file("a.txt", "apple");
    let call = json!([{ "index": 0, "type": "function", "function": { "name": "read", "arguments": "{\"path\":\"a.txt\"}" } }]);
    stage.server.push(Reply::stream().tool_fragments(&call));
    stage.server.push(Reply::say("fruit"));
    let turn = stage.prompt("read");
    assert_eq!(turn.text(), "fruit");
    let messages = stage.server.wait_requests(2).messages();
    assert_history_is_valid(&messages);
    let result = messages.iter().find(|message| message["role"] == "tool").expect("a result");
    assert!(result["tool_call_id"].as_str().is_some_and(|id| !id.is_empty()), "{result}");
    assert!(result.to_string().contains("apple"));
}

#[test]
fn a_call_without_a_name_or_of_an_unknown_tool_is_answered_with_an_error() {
    for name in ["", "teleport"] {
        let stage = Stage::new([Reply::call("call_1", name, &json!({})), Reply::say("sorry")]);
        let turn = stage.prompt("go");
        assert_eq!((turn.text().as_str(), turn.stop_reason().as_str()), ("sorry", "end_turn"), "for `{name}`");
        assert_history_is_valid(&stage.server.wait_requests(2).messages());
    }
}

#[test]
fn malformed_arguments_are_answered_with_an_error() {
    for arguments in ["{\"path\": ", "[1,2]", "not json", "{\"path\": 7}", "{}"] {
        let stage = Stage::new([Reply::stream().tool_call_raw("call_1", "read", arguments), Reply::say("sorry")]);
        let turn = stage.prompt("go");
        assert_eq!(turn.text(), "sorry", "for `{arguments}`");
        for call in turn.tool_calls() {
            assert_eq!(call["status"], "failed", "for `{arguments}`");
        }
        let messages = stage.server.wait_requests(2).messages();
        assert_history_is_valid(&messages);
        for message in messages.iter().filter(|message| message["role"] == "assistant") {
            for call in message["tool_calls"].as_array().into_iter().flatten() {
                let text = call["function"]["arguments"].as_str().unwrap_or_default();
                let valid = serde_json::from_str::<Value>(text).is_ok_and(|value| value.is_object());
                assert!(valid, "strict servers refuse these arguments in the history: {text}");
            }
        }
    }
}

#[test]
fn output_that_speaks_of_errors_is_no_failure() {
    let stage = Stage::new([]);
    stage.sandbox.file("log.txt", "Error: everything is on fire\nTraceback\nfailed\n");
    let turn = stage.use_tool("read", &json!({ "path": "log.txt" }));
    assert_eq!(only_call(&turn.tool_calls())["status"], "completed");
}

#[test]
fn a_binary_file_is_named_and_not_dumped() {
    let stage = Stage::new([]);
    stage.sandbox.file("image.bin", [0, 159, 146, 150, 0, 255, 254].repeat(1000));
    stage.use_tool("read", &json!({ "path": "image.bin" }));
    let result = stage.tool_result();
    assert!(result.len() < 2000, "{result}");
    assert!(result.to_lowercase().contains("binary") || result.contains("UTF-8"), "{result}");
}

#[test]
fn a_missing_file_is_an_error_the_model_can_read() {
    let stage = Stage::new([]);
    let turn = stage.use_tool("read", &json!({ "path": "nowhere.txt" }));
    assert_eq!(only_call(&turn.tool_calls())["status"], "failed");
    assert!(stage.tool_result().contains("nowhere.txt"));
}

#[test]
fn call_ids_are_unique_across_turns() {
    let stage = Stage::new([]);
    stage.sandbox.file("a.txt", "apple");
    // The model uses the same id each time, as some do.
    let first = stage.use_tool("read", &json!({ "path": "a.txt" }));
    let second = stage.use_tool("read", &json!({ "path": "a.txt" }));
    assert_ne!(first.tool_calls()[0]["toolCallId"], second.tool_calls()[0]["toolCallId"]);
}
