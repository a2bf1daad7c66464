//! Prompt caches: providers keep what a request has in common with the one before it, from its beginning on. So nothing
//! that was sent may change later.

use std::fs;

use crow_tests::{Client, ModelServer, Reply, Sandbox, deps};
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
    let sandbox = Sandbox::new();
    // Every built-in plugin is on; these have something to do.
    let documents = "\n[plugins.skills-rag]\npaths = [\"docs/**/*.md\"]\nwait_ms = 20000\n";
    sandbox.config(&format!("{}{documents}", Sandbox::model_config(&server)));
    for topic in 0..20 {
        sandbox.file(&format!("docs/{topic}.md"), format!("# Topic {topic}\n\nAll about the notes of topic{topic}.\n"));
    }
    sandbox.file("AGENTS.md", "Speak plainly.");
    sandbox.file("notes.txt", "one\ntwo\n");
    in_home(&sandbox, "skills/deploy/SKILL.md", "---\nname: deploy\ndescription: Deploys the app.\n---\n\nRun it.\n");
    in_home(&sandbox, "commands/ask.md", "Tell me $ARGUMENTS about the notes.");
    let hook =
        json!({ "hooks": { "UserPromptSubmit": [{ "hooks": [{ "type": "command", "command": "date +%s%N" }] }] } });
    in_home(&sandbox, "hooks.json", &hook.to_string());
    let stage = with_mcp(sandbox, server);
    for at in 0..20 {
        // Reading, writing, running, and things that fail: all of it goes back to the model.
        let (tool, arguments) = match at % 6 {
            0 => ("read", json!({ "path": "notes.txt" })),
            1 => ("write", json!({ "path": format!("made-{at}.txt"), "content": "x" })),
            2 => ("terminal", json!({ "command": format!("echo {at}") })),
            3 => ("mcp__everything__echo", json!({ "message": "hello" })),
            4 => ("search_skills", json!({ "query": "deploy" })),
            _ => ("read", json!({ "path": "not-there.txt" })),
        };
        let call = Reply::stream().thought_as_reasoning("hm").text("I look.");
        stage.server.push(call.tool_call(&format!("call_{at}"), tool, &arguments));
        stage.server.push(Reply::say(&format!("answer {at}")));
        let prompt = if at % 5 == 4 { format!("/ask topic{at}") } else { format!("what of topic{at}?") };
        assert_eq!(stage.prompt(&prompt).stop_reason(), "end_turn");
    }
    let requests: Vec<Value> = stage.server.requests().iter().map(crow_tests::Recorded::json).collect();
    assert_eq!(requests.len(), 40);
    for (at, pair) in requests.windows(2).enumerate() {
        assert_prefix(at + 1, &pair[0], &pair[1]);
    }
    // The test is about something only if all of it took part.
    let last = requests[39].to_string();
    for part in
        ["mcp__everything__echo", "Speak plainly", "Deploys the app", "All about the notes of topic7", "Echo: hello"]
    {
        assert!(last.contains(part), "no `{part}` in the last request");
    }
}

fn in_home(sandbox: &Sandbox, path: &str, text: &str) {
    let path = sandbox.home().join(path);
    fs::create_dir_all(path.parent().expect("a path in CROW_HOME")).expect("a writable CROW_HOME");
    fs::write(path, text).expect("a writable CROW_HOME");
}

/// A session with an MCP server of the editor's.
fn with_mcp(sandbox: Sandbox, server: ModelServer) -> Stage {
    let client = Client::start(&sandbox);
    let everything =
        json!({ "name": "everything", "command": "node", "args": [deps::mcp_everything(), "stdio"], "env": [] });
    let setup = json!({ "cwd": sandbox.project(), "mcpServers": [everything] });
    let session = client.ok("session/new", &setup)["sessionId"].as_str().expect("an id").to_owned();
    Stage { client, session, sandbox, server }
}
