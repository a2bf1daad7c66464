//! What a prompt becomes on its way to the model.

use crow_tests::{Client, ModelServer, Reply, Sandbox};
use serde_json::json;

use crate::stage::{Stage, said_by};

#[test]
fn a_prompt_that_comes_while_one_runs_is_queued() {
    let stage = Stage::new([]);
    stage.server.when("#first", Reply::stream().text("one").pause(std::time::Duration::from_millis(300)).text("!"));
    let first = stage.client.start_prompt(&stage.session, "#first");
    stage.client.wait_update(&stage.session, first.from, |update| update["content"]["text"] == "one");
    stage.server.push(Reply::say("two"));
    let second = stage.client.start_prompt(&stage.session, "and the second");
    assert_eq!(stage.client.turn(&stage.session, &first).stop_reason(), "end_turn");
    assert_eq!(stage.client.turn(&stage.session, &second).stop_reason(), "end_turn");
    let all: Vec<String> = stage
        .client
        .updates(&stage.session)
        .iter()
        .filter(|update| update["sessionUpdate"] == "agent_message_chunk")
        .filter_map(|update| update["content"]["text"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(all, ["one", "!", "two"]);
    let messages = stage.server.wait_requests(2).messages();
    assert!(said_by("assistant", &messages).contains(&"one!".to_owned()), "{messages:#?}");
}

#[test]
fn the_model_gets_the_whole_conversation_and_one_system_message() {
    let stage = Stage::new([Reply::say("Paris."), Reply::say("2 million.")]);
    stage.prompt("Capital of France?");
    stage.prompt("How many people?");
    let messages = stage.server.wait_requests(2).messages();
    let roles: Vec<_> = messages.iter().filter_map(|message| message["role"].as_str()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user"]);
    assert_eq!(said_by("assistant", &messages), ["Paris."]);
    assert!(said_by("user", &messages)[1].contains("How many people?"));
}

#[test]
fn the_prefix_of_the_conversation_never_changes() {
    let stage = Stage::new([Reply::call("call_1", "list", &json!({})), Reply::say("one"), Reply::say("two")]);
    stage.prompt("first");
    stage.prompt("second");
    let requests = stage.server.requests();
    let tools: Vec<_> = requests.iter().map(|request| request.json()["tools"].clone()).collect();
    assert!(tools[0].as_array().is_some_and(|tools| !tools.is_empty()));
    assert!(tools.iter().all(|other| other == &tools[0]), "the tools changed");
    for pair in requests.windows(2) {
        let (before, after) = (pair[0].messages(), pair[1].messages());
        assert_eq!(after[..before.len()], before, "history was rewritten: no cache can work");
    }
}

#[test]
fn resource_links_and_embedded_text_reach_the_model() {
    let stage = Stage::new([Reply::say("ok")]);
    let path = stage.sandbox.file("src/lib.rs", "pub fn answer() {}\n");
    let prompt = json!([
        { "type": "text", "text": "Look at" },
        { "type": "resource_link", "uri": format!("file://{}", path.display()), "name": "lib.rs" },
        { "type": "resource", "resource": { "uri": "file:///notes.md", "text": "remember the milk" } },
    ]);
    let params = json!({ "sessionId": stage.session, "prompt": prompt });
    stage.client.ok("session/prompt", &params);
    let body = stage.server.wait_requests(1).text();
    assert!(body.contains("src/lib.rs"), "{body}");
    assert!(body.contains("remember the milk"), "{body}");
}

#[test]
fn the_environment_alone_is_enough() {
    let server = ModelServer::with([Reply::say("hello from the environment")]);
    let mut sandbox = Sandbox::new();
    sandbox.env("OPENAI_API_KEY", "sk-from-the-environment");
    sandbox.env("OPENAI_BASE_URL", &server.base_url());
    sandbox.env("CROW_MODEL", "openai/scripted");
    let stage = Stage::on(server, sandbox);
    assert_eq!(stage.prompt("hi").text(), "hello from the environment");
    let request = stage.server.wait_requests(1);
    assert_eq!(request.header("authorization"), Some("Bearer sk-from-the-environment"));
    assert_eq!(request.json()["model"], "scripted");
}

#[test]
fn variables_in_the_configuration_are_expanded() {
    let server = ModelServer::with([Reply::say("ok")]);
    let mut sandbox = Sandbox::new();
    sandbox.env("MY_SECRET_KEY", "sk-expanded");
    sandbox.config(&Sandbox::model_config(&server).replace("test-key", "${MY_SECRET_KEY}"));
    let stage = Stage::on(server, sandbox);
    stage.prompt("hi");
    assert_eq!(stage.server.wait_requests(1).header("authorization"), Some("Bearer sk-expanded"));
}

#[test]
fn the_model_can_be_chosen_for_a_session() {
    let server = ModelServer::with([Reply::say("ok")]);
    let sandbox = Sandbox::with_model(&server);
    let client = Client::start(&sandbox);
    let opened = client.new_session_in(&sandbox.project());
    let options = opened["configOptions"].as_array().cloned().unwrap_or_default();
    let model = options.iter().find(|option| option["category"] == "model").expect("a model option");
    assert_eq!(model["currentValue"], "test/scripted", "{model}");
    let session = opened["sessionId"].as_str().unwrap_or_default();
    let params = json!({ "sessionId": session, "configId": model["id"], "value": "test/other" });
    match client.call("session/set_config_option", &params) {
        Ok(answer) => {
            let options = answer["configOptions"].as_array().cloned().unwrap_or_default();
            let model = options.iter().find(|option| option["category"] == "model").expect("a model option");
            assert_eq!(model["currentValue"], "test/other");
            client.prompt(session, "hi");
            assert_eq!(server.wait_requests(1).json()["model"], "other");
        }
        // The endpoint's model list need not have been asked for.
        Err(error) => assert!(error.message.contains("test/other"), "{error:?}"),
    }
    drop(client);
}

#[test]
fn no_request_is_made_before_a_prompt() {
    let stage = Stage::new([]);
    stage.client.settle();
    assert_eq!(stage.server.requests().len(), 0);
}
