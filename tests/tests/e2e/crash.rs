//! `kill -9`, and what is there afterwards.

use crow_tests::{ModelServer, Reply, Sandbox, Turn};
use serde_json::{Value, json};

use crate::stage::{Stage, assert_history_is_valid, said_by};

/// Who said what in a replay, chunks of one speaker joined; tool calls by title and status.
fn story(turn: &Turn) -> Vec<String> {
    let mut story: Vec<(String, String)> = Vec::new();
    for update in &turn.updates {
        let (who, what) = match update["sessionUpdate"].as_str().unwrap_or_default() {
            "user_message_chunk" => ("user", &update["content"]["text"]),
            "agent_message_chunk" => ("agent", &update["content"]["text"]),
            "agent_thought_chunk" => ("thought", &update["content"]["text"]),
            _ => continue,
        };
        let what = what.as_str().unwrap_or_default();
        match story.last_mut() {
            Some((last, text)) if last == who => text.push_str(what),
            _ => story.push((who.to_owned(), what.to_owned())),
        }
    }
    story.into_iter().map(|(who, what)| format!("{who}: {what}")).collect()
}

#[test]
fn a_finished_session_is_replayed_after_a_restart() {
    let stage = Stage::new([Reply::stream().thought("Easy.").text("Par").text("is."), Reply::say("2 million.")]);
    stage.prompt("Capital of France?");
    stage.prompt("How many people?");
    let stage = stage.restart();
    let loaded = stage.load();
    assert_eq!(
        story(&loaded),
        ["user: Capital of France?", "thought: Easy.", "agent: Paris.", "user: How many people?", "agent: 2 million."]
    );
    assert!(!loaded.of_kind("usage_update").is_empty(), "no usage in the replay");
    stage.server.push(Reply::say("as before"));
    assert_eq!(stage.prompt("go on").text(), "as before");
    let messages = stage.server.wait_requests(3).messages();
    assert_eq!(said_by("assistant", &messages), ["Paris.", "2 million."]);
}

#[test]
fn tool_calls_are_replayed_as_they_were_live() {
    let stage = Stage::new([]);
    stage.sandbox.file("a.txt", "one\n");
    let live = stage.use_tool("edit", &json!({ "path": "a.txt", "old_text": "one", "new_text": "two" }));
    let stage = stage.restart();
    let loaded = stage.load();
    let essence = |turn: &Turn| -> Vec<Value> {
        let pick = |call: &Value| {
            let keys = ["toolCallId", "title", "kind", "status", "content", "locations"];
            keys.iter().map(|key| ((*key).to_owned(), call[*key].clone())).collect::<serde_json::Map<_, _>>().into()
        };
        turn.tool_calls().iter().map(pick).collect()
    };
    assert_eq!(essence(&loaded), essence(&live));
}

#[test]
fn killed_in_the_middle_of_a_stream() {
    let stage = Stage::new([Reply::say("first answer"), Reply::stream().text("second ").text("ans").hang()]);
    stage.prompt("first question");
    let pending = stage.client.start_prompt(&stage.session, "second question");
    stage.client.wait_update(&stage.session, pending.from, |update| update["content"]["text"] == "ans");
    let stage = stage.kill_and_restart();
    let story = story(&stage.load());
    assert_eq!(story[..3], ["user: first question", "agent: first answer", "user: second question"]);
    stage.server.push(Reply::say("third answer"));
    let turn = stage.prompt("third question");
    assert_eq!((turn.text().as_str(), turn.stop_reason().as_str()), ("third answer", "end_turn"));
    let messages = stage.server.wait_requests(3).messages();
    assert_history_is_valid(&messages);
    let questions = said_by("user", &messages).concat();
    assert!(questions.contains("first question") && questions.contains("second question"), "{messages:#?}");
}

#[test]
fn killed_before_the_model_said_anything() {
    let stage = Stage::new([Reply::stream().flush().hang()]);
    stage.client.start_prompt(&stage.session, "the question");
    stage.server.wait_requests(1);
    let stage = stage.kill_and_restart();
    assert_eq!(story(&stage.load())[0], "user: the question");
    stage.server.push(Reply::say("the answer"));
    assert_eq!(stage.prompt("again").text(), "the answer");
}

#[test]
fn killed_while_a_tool_runs() {
    let call = Reply::call("call_1", "terminal", &json!({ "command": "echo running; exec sleep 7606" }));
    let stage = Stage::new([call]);
    let pending = stage.client.start_prompt(&stage.session, "go");
    stage.client.wait_update(&stage.session, pending.from, |update| {
        update["sessionUpdate"] == "tool_call_update" && update.to_string().contains("running")
    });
    let stage = stage.kill_and_restart();
    let loaded = stage.load();
    for call in loaded.tool_calls() {
        assert!(
            call["status"] != "in_progress" && call["status"] != "pending",
            "still running after a restart: {call:#}"
        );
    }
    stage.server.push(Reply::say("here again"));
    assert_eq!(stage.prompt("and now?").text(), "here again");
    assert_history_is_valid(&stage.server.wait_requests(2).messages());
}

#[test]
fn a_session_works_where_it_was_opened() {
    let stage = Stage::new([Reply::say("ok")]);
    stage.prompt("hi");
    let stage = stage.restart();
    stage.load();
    stage.use_tool("terminal", &json!({ "command": "pwd" }));
    assert!(stage.tool_result().contains(&stage.sandbox.project().display().to_string()));
}

#[test]
fn modes_and_options_are_told_again_after_a_load() {
    let stage = Stage::new([Reply::say("ok")]);
    stage.mode("plan");
    stage.prompt("hi");
    let stage = stage.restart();
    let answer = stage.load().reply.unwrap_or_default();
    assert_eq!(answer["modes"]["currentModeId"], "plan", "{answer:#}");
    assert!(answer["configOptions"].as_array().is_some_and(|options| !options.is_empty()), "{answer:#}");
    stage.client.wait_update(&stage.session, 0, |update| update["sessionUpdate"] == "available_commands_update");
}

#[test]
fn a_deleted_session_is_gone() {
    let stage = Stage::new([Reply::say("ok")]);
    stage.prompt("hi");
    stage.client.ok("session/delete", &json!({ "sessionId": stage.session }));
    let stage = stage.restart();
    let loaded = stage.client.load_session(&stage.sandbox, &stage.session);
    let error = loaded.reply.expect_err("a deleted session was loaded");
    assert_eq!(error.code, -32002, "{error:?}");
}

#[test]
fn two_agents_share_a_home() {
    let stage = Stage::new([Reply::say("one")]);
    let other = crow_tests::Client::start(&stage.sandbox);
    let session = other.new_session(&stage.sandbox);
    stage.prompt("first");
    stage.server.push(Reply::say("two"));
    assert_eq!(other.prompt(&session, "second").text(), "two");
    other.finish();
    let stage = stage.restart();
    assert_eq!(story(&stage.load()), ["user: first", "agent: one"]);
}

#[test]
fn a_damaged_store_is_said_and_left_alone() {
    let server = ModelServer::with([Reply::say("ok")]);
    let sandbox = Sandbox::with_model(&server);
    let store = sandbox.home().join("crow.db");
    std::fs::write(&store, "this is no database".repeat(500)).expect("a writable home");
    let stage = Stage::on(server, sandbox);
    let turn = stage.prompt("hi");
    let told = crate::stage::told(&turn) + &json!(turn.updates).to_string();
    assert!(told.contains("crow.db"), "{told}");
    assert!(std::fs::read_to_string(&store).is_ok_and(|text| text.starts_with("this is no database")));
}
