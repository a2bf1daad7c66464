//! The connection itself: introduction, bad lines, unknown methods, the end.

use std::time::Duration;

use crow_acp::server::ServeError;
use serde_json::{Value, json};

use crate::client::Client;
use crate::script::Script;

#[tokio::test]
async fn the_introduction_says_what_the_agent_can_do() {
    let mut client = Client::connect().await;
    let answer = client.initialize(json!({})).await;
    let result = &answer["result"];
    assert_eq!(result["protocolVersion"], 1);
    assert_eq!(result["agentInfo"]["name"], "crow");
    assert_eq!(result["agentInfo"]["title"], "Crow");
    assert_eq!(result["agentCapabilities"]["loadSession"], true);
    assert_eq!(result["agentCapabilities"]["promptCapabilities"]["image"], true);
    assert_eq!(result["agentCapabilities"]["promptCapabilities"]["embeddedContext"], true);
    for capability in ["list", "delete", "close", "resume", "fork", "additionalDirectories"] {
        assert_eq!(result["agentCapabilities"]["sessionCapabilities"][capability], json!({}), "{capability}");
    }
    let logins = result["authMethods"].as_array().unwrap();
    assert_eq!(logins.len(), 1);
    assert_ne!(logins[0]["type"], "terminal");
}

#[tokio::test]
async fn the_version_is_ours_and_never_an_echo() {
    for asked in [json!(0), json!(2), json!(65_535), json!(100_000), json!("1.0.0"), Value::Null] {
        let mut client = Client::connect().await;
        let answer = client.request("initialize", json!({ "protocolVersion": asked })).await;
        assert_eq!(answer["result"]["protocolVersion"], 1, "{asked}");
    }
}

#[tokio::test]
async fn a_login_in_a_terminal_is_for_clients_that_have_one() {
    let logins = async |capabilities: Value| {
        let answer = Client::connect().await.initialize(capabilities).await;
        answer["result"]["authMethods"].as_array().unwrap().clone()
    };
    let typed = logins(json!({ "auth": { "terminal": true } })).await;
    assert_eq!((typed.len(), &typed[1]["type"], &typed[1]["args"]), (2, &json!("terminal"), &json!(["init"])));
    let older = logins(json!({ "_meta": { "terminal-auth": true } })).await;
    assert_eq!(older.len(), 2);
    assert_ne!(older[1]["type"], "terminal");
    assert_eq!(older[1]["_meta"]["terminal-auth"]["args"], json!(["init"]));
}

#[tokio::test]
async fn requests_need_not_wait_for_the_reply_to_initialize() {
    let mut client = Client::connect().await;
    let directory = client.directory.clone();
    let introduced = client.start("initialize", json!({ "protocolVersion": 1 })).await;
    let made = client.start("session/new", json!({ "cwd": directory })).await;
    let listed = client.start("session/list", json!({})).await;
    assert!(client.answer(made).await["result"]["sessionId"].is_string());
    assert!(client.answer(listed).await["result"]["sessions"].is_array());
    assert_eq!(client.answer(introduced).await["result"]["protocolVersion"], 1);
}

#[tokio::test]
async fn the_first_request_must_be_initialize() {
    let mut client = Client::connect().await;
    let answer = client.request("session/new", json!({ "cwd": "/" })).await;
    assert_eq!(answer["error"]["code"], -32600);
    assert_eq!(client.initialize(json!({})).await["result"]["protocolVersion"], 1);
}

#[tokio::test]
async fn bad_lines_are_answered_and_the_connection_lives() {
    let mut client = Client::introduced(json!({})).await;
    client.send_line("").await;
    client.send_line("  \r").await;
    client.send_line(r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"key":"sk-secret""#).await;
    let answer = client.answer(Value::Null).await;
    assert_eq!(answer["error"]["code"], -32700);
    assert!(!answer.to_string().contains("sk-secret"), "{answer}");
    client.send_line(r#"[{"jsonrpc":"2.0","id":1,"method":"initialize"}]"#).await;
    assert_eq!(client.answer(Value::Null).await["error"]["code"], -32600);
    client.send(json!({ "id": "mine", "method": "initialize" })).await;
    assert_eq!(client.answer("mine").await["error"]["code"], -32600);
    client.send(json!({ "jsonrpc": "2.0", "id": "a-string", "method": "session/list" })).await;
    assert!(client.answer("a-string").await["result"].is_object());
}

#[tokio::test]
async fn unknown_methods_are_answered_and_unknown_notifications_are_not() {
    let mut client = Client::introduced(json!({})).await;
    for method in ["nothing", "session/nothing", "_nobody/answers", "logout"] {
        let answer = client.request(method, json!({ "key": "sk-secret" })).await;
        assert_eq!(answer["error"]["code"], -32601, "{answer}");
        assert!(!answer.to_string().contains("sk-secret"), "{answer}");
        client.notify(method, json!({})).await;
    }
    let answer = client.request("_test/echo", json!({ "a": 1, "_meta": { "traceparent": "x" } })).await;
    assert_eq!(answer["result"]["a"], 1);
    assert!(client.hang_up().await.is_empty());
}

#[tokio::test]
async fn bad_parameters_are_named_and_never_repeated() {
    let (mut client, session) = Client::with_session().await;
    let bad = [
        ("session/new", json!({ "cwd": "relative/sk-secret" })),
        ("session/new", json!({ "mcpServers": [{ "env": "sk-secret" }] })),
        ("session/new", json!({ "cwd": "/nowhere/sk-secret" })),
        ("session/new", json!(["sk-secret"])),
        ("session/load", json!({ "cwd": "/", "key": "sk-secret" })),
        ("session/prompt", json!({ "sessionId": session, "prompt": [{ "type": "text", "sk-secret": 1 }] })),
        ("session/prompt", json!({ "sessionId": session, "prompt": { "key": "sk-secret" } })),
        ("session/set_mode", json!({ "sessionId": session, "modeId": "sk-secret" })),
        (
            "session/set_config_option",
            json!({ "sessionId": session, "configId": "effort", "value": { "sk-secret": 1 } }),
        ),
        ("session/set_config_option", json!({ "sessionId": session, "configId": "sk-secret", "value": "low" })),
        ("session/list", json!({ "cursor": "sk-secret" })),
        ("session/list", json!({ "cwd": "sk-secret" })),
        ("authenticate", json!({ "methodId": "sk-secret" })),
    ];
    for (method, params) in bad {
        let answer = client.request(method, params.clone()).await;
        assert_eq!(answer["error"]["code"], -32602, "{method} {params}: {answer}");
        assert!(answer["error"]["message"].as_str().unwrap().starts_with(method), "{answer}");
        assert!(!answer.to_string().contains("sk-secret"), "{answer}");
    }
}

#[tokio::test]
async fn authentication_succeeds_once_a_provider_is_there() {
    let mut client = Client::introduced(json!({})).await;
    let answer = client.request("authenticate", json!({ "methodId": "configured-provider" })).await;
    assert_eq!(answer["result"], json!({}));

    let mut client = Client::connect_to(Script::without_model()).await;
    client.initialize(json!({})).await;
    let answer = client.request("authenticate", json!({ "methodId": "configured-provider" })).await;
    assert_eq!(answer["error"]["code"], -32000);
    assert!(answer["error"]["message"].as_str().unwrap().contains("crow init"), "{answer}");
}

#[tokio::test]
async fn a_client_that_hangs_up_gets_the_answers_it_is_owed() {
    let mut client = Client::connect().await;
    let introduced = client.start("initialize", json!({ "protocolVersion": 1 })).await;
    let directory = client.directory.clone();
    let made = client.start("session/new", json!({ "cwd": directory })).await;
    let rest = client.hang_up().await;
    for id in [introduced, made] {
        assert!(rest.iter().any(|message| message["id"] == id && message["result"].is_object()), "{rest:#?}");
    }
    (&mut client.serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn hanging_up_cancels_what_runs() {
    let (mut client, session) = Client::with_session().await;
    let prompt = client.start_prompt(&session, "wait").await;
    client.update("agent_message_chunk").await;
    let rest = client.hang_up().await;
    let answer = rest.iter().find(|message| message["id"] == prompt).expect("an answer");
    assert_eq!(answer["result"]["stopReason"], "cancelled");
    (&mut client.serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_read_any_more_ends_the_connection() {
    let (mut client, session) = Client::with_session().await;
    client.stop_reading();
    client.start_prompt(&session, "wait").await;
    let ended = tokio::time::timeout(Duration::from_secs(20), &mut client.serving).await.expect("it ends").unwrap();
    assert!(matches!(ended, Err(ServeError::Write(_))), "{ended:?}");
}
