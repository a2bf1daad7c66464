//! Sessions: made, loaded, listed, set up, let go.

use serde_json::{Value, json};

use crate::client::{Client, kinds, said};
use crate::script::Script;

#[tokio::test]
async fn a_new_session_has_modes_and_options_and_then_commands() {
    let mut client = Client::introduced(json!({})).await;
    let directory = client.directory.clone();
    let id = client.start("session/new", json!({ "cwd": directory, "mcpServers": [] })).await;
    let first = client.next().await.unwrap();
    assert_eq!(first["id"], id, "the response comes first");
    let result = &first["result"];
    assert_eq!(result["modes"]["currentModeId"], "ask");
    assert_eq!(result["modes"]["availableModes"].as_array().unwrap().len(), 2);
    let options: Vec<&str> =
        result["configOptions"].as_array().unwrap().iter().map(|option| option["id"].as_str().unwrap()).collect();
    assert_eq!(options, ["model", "mode", "effort"]);
    let commands = client.next().await.unwrap();
    assert_eq!(commands["params"]["sessionId"], result["sessionId"]);
    assert_eq!(
        commands["params"]["update"],
        json!({ "sessionUpdate": "available_commands_update", "availableCommands": [
            { "name": "greet", "description": "Says hello", "input": { "hint": "whom" } },
        ] })
    );
    assert_ne!(client.new_session().await, result["sessionId"].as_str().unwrap());
}

#[tokio::test]
async fn what_is_said_before_the_client_knows_the_session_waits_for_the_response() {
    let mut client = Client::connect_to(Script::noisy()).await;
    client.initialize(json!({ "session": { "notices": {} } })).await;
    let directory = client.directory.clone();
    let id = client.start("session/new", json!({ "cwd": directory, "mcpServers": [{ "name": "broken" }] })).await;
    assert_eq!(client.next().await.unwrap()["id"], id);
    let notice = client.next().await.unwrap();
    assert_eq!(notice["params"]["update"]["title"], "said too early");
    let left_out = client.until(|message| message["params"]["update"]["sessionUpdate"] == "notice").await;
    assert!(left_out["params"]["update"]["title"].as_str().unwrap().contains("`broken`"), "{left_out}");
}

#[tokio::test]
async fn a_loaded_session_is_replayed_before_the_response() {
    let (mut client, session) = Client::with_session().await;
    client.request("session/set_mode", json!({ "sessionId": session, "modeId": "full" })).await;
    client.prompt(&session, "think deeply").await;
    client.prompt(&session, "poke").await;
    assert_eq!(client.request("session/close", json!({ "sessionId": session })).await["result"], json!({}));
    client.shown(&session);

    let directory = client.directory.clone();
    let id = client.start("session/load", json!({ "sessionId": session, "cwd": directory, "mcpServers": [] })).await;
    let mut replay = Vec::new();
    let response = loop {
        let message = client.next().await.unwrap();
        if message["id"] == id {
            break message;
        }
        assert_eq!(message["params"]["sessionId"], json!(session));
        replay.push(message["params"]["update"].clone());
    };
    assert_eq!(
        kinds(&replay),
        [
            "user_message_chunk",
            "agent_thought_chunk",
            "agent_message_chunk",
            "user_message_chunk",
            "tool_call",
            "agent_message_chunk",
            "usage_update"
        ]
    );
    let call = replay.iter().find(|update| update["sessionUpdate"] == "tool_call").unwrap();
    assert_eq!(
        (&call["title"], &call["kind"], &call["status"]),
        (&json!("Run poke"), &json!("execute"), &json!("completed"))
    );
    assert_eq!(call["content"][0]["content"]["text"], "```\nout\n```");
    assert!(response["result"].is_object(), "{response}");
    assert_eq!(response["result"]["modes"]["currentModeId"], "full", "the mode is remembered");
    let after = client.next().await.unwrap();
    assert_eq!(after["params"]["update"]["sessionUpdate"], "available_commands_update", "{after}");
    let (shown, answer) = client.prompt(&session, "and on").await;
    assert_eq!((said(&shown).as_str(), &answer["result"]["stopReason"]), ("and on", &json!("end_turn")));
}

#[tokio::test]
async fn a_replay_goes_through_the_last_view_too() {
    let (mut client, session) = Client::with_session().await;
    let (live, _) = client.prompt(&session, "the password").await;
    assert_eq!(said(&live), "the ********");
    client.request("session/close", json!({ "sessionId": session })).await;
    client.shown(&session);
    let directory = client.directory.clone();
    client.request("session/load", json!({ "sessionId": session, "cwd": directory })).await;
    assert_eq!(said(&client.shown(&session)), "the ********");
}

#[tokio::test]
async fn a_resumed_session_is_not_replayed() {
    let (mut client, session) = Client::with_session().await;
    client.prompt(&session, "hello").await;
    client.request("session/close", json!({ "sessionId": session })).await;
    client.shown(&session);
    let directory = client.directory.clone();
    let id = client.start("session/resume", json!({ "sessionId": session, "cwd": directory })).await;
    let first = client.next().await.unwrap();
    assert_eq!(first["id"], id, "{first}");
    assert!(first["result"]["configOptions"].is_array());
    assert_eq!(said(&client.prompt(&session, "still here").await.0), "still here");
}

#[tokio::test]
async fn a_fork_goes_its_own_way() {
    let (mut client, session) = Client::with_session().await;
    client.prompt(&session, "hello").await;
    client.shown(&session);
    let directory = client.directory.clone();
    let id = client.start("session/fork", json!({ "sessionId": session, "cwd": directory, "mcpServers": [] })).await;
    let first = client.next().await.unwrap();
    assert_eq!(first["id"], id, "nothing is told of a session before the client knows it: {first}");
    let fork = first["result"]["sessionId"].as_str().unwrap().to_owned();
    assert_ne!(fork, session);
    assert!(first["result"]["configOptions"].is_array());
    // Both go on, side by side.
    assert_eq!(said(&client.prompt(&fork, "this way").await.0), "this way");
    assert_eq!(said(&client.prompt(&session, "that way").await.0), "that way");

    let missing = client.request("session/fork", json!({ "sessionId": session })).await;
    assert_eq!(missing["error"]["code"], -32602, "{missing}");
    let nowhere = client.request("session/fork", json!({ "sessionId": session, "cwd": "/not/there" })).await;
    assert_eq!(nowhere["error"]["code"], -32602, "{nowhere}");
}

#[tokio::test]
async fn sessions_are_listed_by_directory_and_deleted() {
    let (mut client, session) = Client::with_session().await;
    client.prompt(&session, "hello there").await;
    let directory = client.directory.clone();
    let answer = client.request("session/list", json!({ "cwd": directory })).await;
    let listed = &answer["result"]["sessions"][0];
    assert_eq!((&listed["sessionId"], &listed["title"]), (&json!(session), &json!("hello there")));
    assert!(listed["updatedAt"].as_str().unwrap().ends_with('Z'), "{listed}");
    let elsewhere = client.request("session/list", json!({ "cwd": "/" })).await;
    assert_eq!(elsewhere["result"]["sessions"], json!([]));
    for _ in 0..2 {
        assert_eq!(client.request("session/delete", json!({ "sessionId": session })).await["result"], json!({}));
    }
    assert_eq!(client.request("session/list", json!({})).await["result"]["sessions"], json!([]));
}

#[tokio::test]
async fn unknown_sessions_are_not_found() {
    let mut client = Client::introduced(json!({})).await;
    let directory = client.directory.clone();
    for method in
        ["session/load", "session/resume", "session/fork", "session/prompt", "session/close", "session/set_mode"]
    {
        let params = json!({ "sessionId": "nobody", "cwd": directory, "prompt": [{ "type": "text", "text": "x" }], "modeId": "ask" });
        let answer = client.request(method, params).await;
        assert_eq!(answer["error"]["code"], -32002, "{method}: {answer}");
        assert_eq!(answer["error"]["data"]["sessionId"], "nobody");
    }
}

#[tokio::test]
async fn modes_and_options_are_set_and_told() {
    let (mut client, session) = Client::with_session().await;
    let answer = client.request("session/set_mode", json!({ "sessionId": session, "modeId": "full" })).await;
    assert_eq!(answer["result"], json!({}));
    assert_eq!(client.update("current_mode_update").await["params"]["update"]["currentModeId"], "full");

    let set = |id: &str, value: &str| json!({ "sessionId": session, "configId": id, "value": value });
    let current = |answer: &Value, id: &str| {
        let options = answer["result"]["configOptions"].as_array().unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(options.len(), 3, "the complete list");
        options.iter().find(|option| option["id"] == id).unwrap()["currentValue"].clone()
    };
    let answer = client.request("session/set_config_option", set("model", "test/other")).await;
    assert_eq!(current(&answer, "model"), "test/other");
    assert_eq!(current(&answer, "mode"), "full");
    let answer = client.request("session/set_config_option", set("mode", "ask")).await;
    assert_eq!(current(&answer, "mode"), "ask");
    let answer = client.request("session/set_model", json!({ "sessionId": session, "modelId": "test/scripted" })).await;
    assert_eq!(answer["result"], json!({}));

    let refused = client.request("session/set_config_option", set("effort", "high")).await;
    assert!(refused["error"]["message"].as_str().unwrap().contains("high is not for you"), "{refused}");
    assert_eq!(refused["error"]["data"]["hook"], "on_option_change");
}

#[tokio::test]
async fn closing_a_session_cancels_its_prompts_first() {
    let (mut client, session) = Client::with_session().await;
    let running = client.start_prompt(&session, "wait").await;
    let queued = client.start_prompt(&session, "later").await;
    client.update("agent_message_chunk").await;
    let close = client.start("session/close", json!({ "sessionId": session })).await;
    let mut order = Vec::new();
    while order.len() < 3 {
        let message = client.next().await.unwrap();
        if message.get("id").is_some() {
            order.push((message["id"].as_i64().unwrap(), message["result"]["stopReason"].clone()));
        }
    }
    assert_eq!(order, [(running, json!("cancelled")), (queued, json!("cancelled")), (close, Value::Null)]);
}

#[tokio::test]
async fn a_prompt_behind_a_close_finds_no_session() {
    let (mut client, session) = Client::with_session().await;
    let running = client.start_prompt(&session, "wait").await;
    client.update("agent_message_chunk").await;
    let close = client.start("session/close", json!({ "sessionId": session })).await;
    let behind = client.start_prompt(&session, "wait").await;
    assert_eq!(client.answer(running).await["result"]["stopReason"], "cancelled");
    assert_eq!(client.answer(close).await["result"], json!({}));
    assert_eq!(client.answer(behind).await["error"]["code"], -32002);
}

#[tokio::test]
async fn a_session_that_cannot_be_loaded_stays_as_it_was() {
    let (mut client, session) = Client::with_session().await;
    let directory = client.directory.clone();
    // Nothing of it is in the store yet.
    let answer = client.request("session/load", json!({ "sessionId": session, "cwd": directory })).await;
    assert_eq!(answer["error"]["code"], -32002, "{answer}");
    assert_eq!(said(&client.prompt(&session, "still here").await.0), "still here");
}

#[tokio::test]
async fn what_mcp_servers_are_given_is_a_secret() {
    let mut client = Client::introduced(json!({})).await;
    let directory = client.directory.clone();
    let server = json!({ "name": "a", "command": "/bin/a", "args": [], "env": [{ "name": "KEY", "value": "mcp-secret-value" }] });
    let answer = client.request("session/new", json!({ "cwd": directory, "mcpServers": [server] })).await;
    let session = answer["result"]["sessionId"].as_str().unwrap().to_owned();
    let (shown, answer) = client.prompt(&session, "fail with mcp-secret-value").await;
    assert_eq!(answer["error"]["message"], "with ***");
    assert!(said(&shown).contains("with ***"), "{shown:#?}");
}
