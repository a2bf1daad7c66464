//! Prompt caches: providers keep what a request has in common with the one before it, from its beginning on. So nothing
//! that was sent may change later.

use crow_tests::{ModelServer, Reply, Sandbox};
use serde_json::{Value, json};

use crate::stage::Stage;

/// What a request consists of, in the order in which caches look at it: tools, then the messages, the system's first.
fn items(body: &Value) -> Vec<String> {
    let list = |name: &str| body[name].as_array().cloned().unwrap_or_default();
    list("tools").iter().chain(&list("messages")).map(Value::to_string).collect()
}

/// The first request's items are the beginning of the second's.
fn assert_prefix(at: usize, before: &Value, after: &Value) {
    let (before, after) = (items(before), items(after));
    let same = before.iter().zip(&after).take_while(|(before, after)| before == after).count();
    assert_eq!(
        same,
        before.len(),
        "request {at} changed what was sent before; item {same} was\n{}\nand is\n{}",
        before[same],
        after.get(same).map_or("(gone)", String::as_str)
    );
}

#[test]
fn twenty_turns_with_every_plugin_on_only_ever_add_to_the_request() {
    let server = ModelServer::start();
    let sandbox = Sandbox::with_model(&server);
    sandbox.file("AGENTS.md", "Speak plainly.");
    sandbox.file("notes.txt", "one\ntwo\n");
    let stage = Stage::on(server, sandbox);
    for at in 0..20 {
        // Reading, writing, running, and things that fail: all of it goes back to the model.
        let (tool, arguments) = match at % 4 {
            0 => ("read", json!({ "path": "notes.txt" })),
            1 => ("write", json!({ "path": format!("made-{at}.txt"), "content": "x" })),
            2 => ("terminal", json!({ "command": format!("echo {at}") })),
            _ => ("read", json!({ "path": "not-there.txt" })),
        };
        stage.server.push(Reply::stream().thought_as_reasoning("hm").text("I look.").tool_call(
            &format!("call_{at}"),
            tool,
            &arguments,
        ));
        stage.server.push(Reply::say(&format!("answer {at}")));
        assert_eq!(stage.prompt(&format!("question {at} about the notes")).stop_reason(), "end_turn");
    }
    let requests: Vec<Value> = stage.server.requests().iter().map(crow_tests::Recorded::json).collect();
    assert_eq!(requests.len(), 40);
    for (at, pair) in requests.windows(2).enumerate() {
        assert_prefix(at + 1, &pair[0], &pair[1]);
    }
}
