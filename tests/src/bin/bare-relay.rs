//! The least a program can do between an editor and a model: the floor of the benchmark.
//!
//! It speaks just enough ACP for a measurement: `initialize`, `session/new`, and `session/prompt`, whose stream of
//! chat completion deltas it relays one by one; when the model asks for a file it reads it and asks again. No store,
//! no configuration but the model server's address in `OPENAI_BASE_URL`, no errors handled.
#![forbid(unsafe_code)]

use std::{
    collections::HashMap,
    env,
    future::ready,
    io::{Write, stdout},
    sync::Arc,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader, stdin},
    sync::Mutex,
};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // Built beside the agent, reqwest has the agent's features and wants to know whose cryptography it would use. The
    // benchmark builds the relay alone, and without.
    #[cfg(feature = "client")]
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build().expect("a client without TLS");
    let url = format!("{}/chat/completions", env::var("OPENAI_BASE_URL").unwrap_or_default());
    let mut histories: HashMap<String, Arc<Mutex<Vec<Value>>>> = HashMap::new();
    let mut requests = BufReader::with_capacity(64 * 1024, stdin()).lines();
    while let Ok(Some(line)) = requests.next_line().await {
        let Ok(message) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        let id = message["id"].clone();
        let params = &message["params"];
        match message["method"].as_str() {
            Some("initialize") => {
                answer(&id, &json!({ "protocolVersion": 1, "agentCapabilities": {}, "authMethods": [] }));
            }
            Some("session/new") => {
                let session = format!("session-{}", histories.len() + 1);
                histories.insert(session.clone(), Arc::default());
                answer(&id, &json!({ "sessionId": session }));
            }
            Some("session/prompt") => {
                let session = params["sessionId"].as_str().unwrap_or_default().to_owned();
                let history = Arc::clone(histories.entry(session.clone()).or_default());
                let text = params["prompt"][0]["text"].clone();
                let (http, url) = (http.clone(), url.clone());
                tokio::spawn(async move {
                    let mut history = history.lock().await;
                    history.push(json!({ "role": "user", "content": text }));
                    while turn(&http, &url, &session, &mut history).await {}
                    answer(&id, &json!({ "stopReason": "end_turn" }));
                });
            }
            _ => {}
        }
    }
}

/// One request to the model. True when it asked for files, which are in the history then.
async fn turn(http: &reqwest::Client, url: &str, session: &str, history: &mut Vec<Value>) -> bool {
    let body = json!({ "model": "scripted", "stream": true, "messages": history });
    let request = http.post(url).header("content-type", "application/json").body(body.to_string());
    let Ok(mut response) = request.send().await else {
        return false;
    };
    let mut text = String::new();
    let mut calls = Vec::new();
    let mut buffer = Vec::new();
    let mut updates = String::new();
    loop {
        // What has arrived already goes out together; nothing waits for what has not.
        let chunk = tokio::select! {
            biased;
            chunk = response.chunk() => chunk,
            () = ready(()), if !updates.is_empty() => {
                write(&updates);
                updates.clear();
                continue;
            }
        };
        let Ok(Some(bytes)) = chunk else {
            break;
        };
        buffer.extend_from_slice(&bytes);
        let end = buffer.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        let whole: Vec<u8> = buffer.drain(..end).collect();
        for data in whole.split(|&byte| byte == b'\n').filter_map(|line| line.strip_prefix(b"data: ")) {
            let Ok(event) = serde_json::from_slice::<Value>(data) else {
                continue;
            };
            let delta = &event["choices"][0]["delta"];
            if let Some(piece) = delta["content"].as_str() {
                text.push_str(piece);
                let update =
                    json!({ "sessionUpdate": "agent_message_chunk", "content": { "type": "text", "text": piece } });
                let params = json!({ "sessionId": session, "update": update });
                let message = json!({ "jsonrpc": "2.0", "method": "session/update", "params": params });
                updates.push_str(&message.to_string());
                updates.push('\n');
            }
            calls.extend(delta["tool_calls"].as_array().into_iter().flatten().cloned());
        }
    }
    write(&updates);
    history.push(json!({ "role": "assistant", "content": text, "tool_calls": calls }));
    for call in &calls {
        let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
        let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
        let content = tokio::fs::read_to_string(arguments["path"].as_str().unwrap_or_default()).await;
        history.push(json!({ "role": "tool", "tool_call_id": call["id"], "content": content.unwrap_or_default() }));
    }
    !calls.is_empty()
}

fn answer(id: &Value, result: &Value) {
    write(&format!("{}\n", json!({ "jsonrpc": "2.0", "id": id, "result": result })));
}

/// Writes whole lines, waiting for a slow reader: nothing is cheaper.
fn write(lines: &str) {
    let _ = stdout().lock().write_all(lines.as_bytes());
}
