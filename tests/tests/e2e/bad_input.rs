//! Input that is wrong: a clear error each, and the process lives.

use std::{fmt::Write, fs, os::unix::fs::PermissionsExt, time::Duration};

use crow_tests::{Client, ModelServer, Reply, Sandbox, wait_for};
use serde_json::{Value, json};

use crate::stage::{Stage, told};

/// The session must work as before.
fn lives(stage: &Stage) {
    stage.server.push(Reply::say("alive"));
    assert_eq!(stage.prompt("still there?").text(), "alive");
}

/// Starts with this configuration and returns everything the user can read of what is wrong with it: at the start, in
/// the client, from `crow doctor`.
fn complaints(sandbox: &Sandbox) -> String {
    let mut client = Client::spawn(sandbox);
    client.allow_stderr();
    let params = json!({ "protocolVersion": 1, "clientCapabilities": {} });
    let asked = client.request("initialize", &params);
    let initialized = client.try_wait(&asked, Duration::from_secs(10));
    let mut seen = format!("{initialized:?}");
    if initialized.is_some_and(|answer| answer.is_ok()) {
        let opened = client.call("session/new", &json!({ "cwd": sandbox.project(), "mcpServers": [] }));
        let _ = write!(seen, "{opened:?}");
        if let Some(session) = opened.ok().and_then(|opened| opened["sessionId"].as_str().map(str::to_owned)) {
            let turn = client.prompt(&session, "hi");
            seen += &told(&turn);
            seen += &json!(client.updates(&session)).to_string();
        }
    }
    seen += &client.stderr();
    client.kill();
    let doctor = sandbox.run(&["doctor"]);
    assert!(!doctor.status.success(), "crow doctor is content with this");
    seen += &String::from_utf8_lossy(&doctor.stdout);
    seen + &String::from_utf8_lossy(&doctor.stderr)
}

#[test]
fn wrong_configuration_names_file_line_and_key() {
    let server = ModelServer::start();
    let good = Sandbox::model_config(&server);
    let cases = [
        // (the configuration, the line, what must be named)
        (format!("modle = \"x/y\"\n{good}"), "1", vec!["modle", "model"]),
        (good.replace("base_url", "base_ulr"), "5", vec!["base_ulr", "base_url"]),
        (good.replace("\"openai\"", "\"opnai\""), "4", vec!["opnai", "openai"]),
        (format!("max_turns = \"many\"\n{good}"), "1", vec!["max_turns"]),
        (format!("{good}[[[\n"), "7", vec![]),
    ];
    for (config, line, words) in cases {
        let sandbox = Sandbox::new();
        sandbox.config(&config);
        let seen = complaints(&sandbox);
        assert!(seen.contains("config.toml"), "no file named for:\n{config}\n{seen}");
        let place = [format!("config.toml:{line}"), format!("line {line}")];
        assert!(place.iter().any(|place| seen.contains(place)), "not line {line} for:\n{config}\n{seen}");
        for word in words {
            assert!(seen.contains(word), "no `{word}` for:\n{config}\n{seen}");
        }
    }
}

#[test]
fn an_unreadable_configuration_is_named() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.home().join("config.toml")).expect("a directory in the way");
    assert!(complaints(&sandbox).contains("config.toml"));
}

#[test]
fn a_home_that_cannot_be_written_still_answers() {
    let server = ModelServer::with([Reply::say("hello")]);
    let sandbox = Sandbox::with_model(&server);
    // A file where the store's and the log's directories would be; permissions do not stop root.
    for name in ["sessions.db", "crow.db", "store", "logs", "sessions"] {
        let _ = fs::write(sandbox.home().join(name), "in the way");
    }
    let _ = fs::set_permissions(sandbox.home(), fs::Permissions::from_mode(0o500));
    let mut client = Client::spawn(&sandbox);
    client.allow_stderr();
    client.initialize(&json!({}));
    let opened = client.call("session/new", &json!({ "cwd": sandbox.project(), "mcpServers": [] }));
    if let Ok(opened) = opened {
        let turn = client.prompt(opened["sessionId"].as_str().unwrap_or_default(), "hi");
        assert!(!told(&turn).is_empty());
    }
    assert!(client.is_running());
    let _ = fs::set_permissions(sandbox.home(), fs::Permissions::from_mode(0o700));
}

#[test]
fn without_a_model_a_session_opens_and_the_prompt_says_what_to_do() {
    let sandbox = Sandbox::new();
    let client = Client::start(&sandbox);
    let session = client.new_session(&sandbox);
    let turn = client.prompt(&session, "hi");
    let told = told(&turn);
    assert!(told.contains("crow init") || told.contains("config.toml"), "{told}");
    assert!(told.contains("model"), "{told}");
}

#[test]
fn an_unknown_provider_or_model_is_named() {
    let server = ModelServer::start();
    let sandbox = Sandbox::new();
    sandbox.config(&Sandbox::model_config(&server).replace("test/scripted", "nobody/scripted"));
    let seen = complaints(&sandbox);
    assert!(seen.contains("nobody"), "{seen}");
}

#[test]
fn lines_that_are_no_json_are_answered_and_survived() {
    let stage = Stage::new([]);
    stage.client.settle();
    let before = stage.client.transcript().len();
    for line in [
        "{ this is not json",
        "[]",
        "42",
        "\"text\"",
        "null",
        "",
        "   ",
        "{}",
        "{\"jsonrpc\":\"2.0\"}",
        "\u{fffd}\u{0}",
    ] {
        stage.client.send_line(line);
    }
    stage.client.settle();
    for entry in stage.client.transcript().since(before) {
        let code = entry.message["error"]["code"].as_i64();
        assert!(matches!(code, Some(-32700 | -32600)), "{}", entry.message);
    }
    lives(&stage);
}

#[test]
fn bytes_that_are_no_text_are_survived() {
    let stage = Stage::new([]);
    stage.client.send_bytes(b"\xff\xfe{\"jsonrpc\":\xc3\x28}\n");
    lives(&stage);
}

#[test]
fn unknown_methods_are_refused_and_unknown_notifications_ignored() {
    let stage = Stage::new([]);
    let error = stage.client.call("session/explode", &json!({})).expect_err("an unknown method");
    assert_eq!(error.code, -32601);
    let before = stage.client.transcript().len();
    stage.client.notify("session/exploded", &json!({}));
    stage.client.notify("_vendor/note", &json!({ "a": 1 }));
    stage.client.settle();
    let said = stage.client.transcript().since(before + 2);
    assert!(said.is_empty(), "a notification was answered: {said:?}");
    lives(&stage);
}

#[test]
fn parameters_that_do_not_fit_are_refused_without_repeating_them() {
    let stage = Stage::new([]);
    let cases = [
        ("session/new", json!({ "cwd": 7, "mcpServers": ["hush-hush"] })),
        ("session/new", json!({ "mcpServers": [] })),
        ("session/prompt", json!({ "sessionId": stage.session })),
        ("session/load", json!({ "cwd": "/tmp" })),
        ("session/set_mode", json!({ "sessionId": stage.session })),
    ];
    for (method, params) in cases {
        let error = stage.client.call(method, &params).expect_err("wrong parameters");
        assert_eq!(error.code, -32602, "{method} {params}: {error:?}");
        assert!(!format!("{error:?}").contains("hush-hush"), "{error:?}");
    }
    lives(&stage);
}

#[test]
fn a_relative_or_missing_cwd_is_refused() {
    let stage = Stage::new([]);
    for cwd in ["project", "./project", ""] {
        let error =
            stage.client.call("session/new", &json!({ "cwd": cwd, "mcpServers": [] })).expect_err("a relative cwd");
        assert_eq!(error.code, -32602, "{error:?}");
        let named = error.message.contains("cwd") && error.message.contains("absolute");
        assert!(named, "for `{cwd}`: {error:?}");
    }
    let answer = stage.client.call("session/new", &json!({ "cwd": "/no/such/directory", "mcpServers": [] }));
    if let Err(error) = answer {
        assert!(error.message.contains("cwd"), "{error:?}");
    }
    lives(&stage);
}

#[test]
fn a_session_that_is_not_there_is_not_found() {
    let stage = Stage::new([]);
    let prompt = json!([{ "type": "text", "text": "hi" }]);
    for (method, params) in [
        ("session/prompt", json!({ "sessionId": "nope", "prompt": prompt })),
        ("session/load", json!({ "sessionId": "nope", "cwd": stage.sandbox.project(), "mcpServers": [] })),
        ("session/set_mode", json!({ "sessionId": "nope", "modeId": "ask" })),
    ] {
        let error = stage.client.call(method, &params).expect_err("an unknown session");
        assert_eq!(error.code, -32002, "{method}: {error:?}");
    }
    lives(&stage);
}

#[test]
fn unknown_modes_and_options_are_refused() {
    let stage = Stage::new([]);
    let session = &stage.session;
    for (method, params) in [
        ("session/set_mode", json!({ "sessionId": session, "modeId": "yolo" })),
        ("session/set_config_option", json!({ "sessionId": session, "configId": "colour", "value": "red" })),
        ("session/set_config_option", json!({ "sessionId": session, "configId": "mode", "value": "yolo" })),
    ] {
        let error = stage.client.call(method, &params).expect_err("an unknown value");
        assert_eq!(error.code, -32602, "{method}: {error:?}");
    }
    lives(&stage);
}

#[test]
fn missing_and_broken_mcp_servers_do_not_stop_a_session() {
    let stage = Stage::new([]);
    let cwd = stage.sandbox.project();
    let result = stage.client.ok("session/new", &json!({ "cwd": cwd }));
    assert!(result["sessionId"].is_string());
    let broken =
        json!([{ "name": "broken", "command": "/no/such/server", "args": [], "env": [] }, { "nonsense": true }]);
    let result = stage.client.ok("session/new", &json!({ "cwd": cwd, "mcpServers": broken }));
    assert!(result["sessionId"].is_string());
}

#[test]
fn an_unknown_content_block_does_not_lose_the_prompt() {
    let stage = Stage::new([Reply::say("ok")]);
    let prompt = json!([{ "type": "text", "text": "look at this" }, { "type": "hologram", "data": "…" }]);
    let answer = stage.client.call("session/prompt", &json!({ "sessionId": stage.session, "prompt": prompt }));
    match answer {
        Ok(_) => assert!(stage.server.wait_requests(1).text().contains("look at this")),
        Err(error) => assert_eq!(error.code, -32602, "{error:?}"),
    }
}

#[test]
fn an_empty_prompt_is_no_crash() {
    let stage = Stage::new([]);
    stage.server.otherwise(Reply::say("alive"));
    for prompt in [json!([]), json!([{ "type": "text", "text": "" }])] {
        let _ = stage.client.call("session/prompt", &json!({ "sessionId": stage.session, "prompt": prompt }));
    }
    assert_eq!(stage.prompt("still there?").text(), "alive");
}

#[test]
fn a_prompt_of_30_megabytes_is_handled() {
    let stage = Stage::new([]);
    stage.server.otherwise(Reply::error(400, "context too long"));
    let turn = stage.prompt(&"0123456789abcde\n".repeat(2 * 1024 * 1024));
    assert!(!told(&turn).is_empty() || turn.stop_reason() == "refusal", "{:?}", turn.reply);
    let session = stage.client.new_session(&stage.sandbox);
    stage.server.when("#alive", Reply::say("alive"));
    assert_eq!(stage.client.prompt(&session, "#alive?").text(), "alive");
}

#[test]
fn requests_before_initialize_are_refused() {
    let sandbox = Sandbox::new();
    let client = Client::spawn(&sandbox);
    let error = client.call("session/new", &json!({ "cwd": sandbox.project(), "mcpServers": [] }));
    assert_eq!(error.expect_err("not initialised").code, -32600);
    client.initialize(&json!({}));
    client.new_session(&sandbox);
}

#[test]
fn a_project_full_of_odd_files_is_fine() {
    let stage = Stage::new([]);
    stage.sandbox.file("bin.dat", [0xff, 0x00, 0xfe].repeat(100_000));
    stage.sandbox.file("latin1.txt", b"caf\xe9 needle\n");
    stage.sandbox.file("name with spaces and ü.txt", "needle\n");
    std::os::unix::fs::symlink("loop", stage.sandbox.project().join("loop")).expect("a link to itself");
    std::os::unix::fs::symlink(".", stage.sandbox.project().join("self")).expect("a link to the folder");
    let fifo = std::process::Command::new("mkfifo").arg(stage.sandbox.project().join("pipe")).status();
    assert!(fifo.is_ok_and(|status| status.success()));
    for (tool, arguments) in [
        ("list", json!({})),
        ("glob", json!({ "pattern": "**/*" })),
        ("grep", json!({ "pattern": "needle" })),
        ("read", json!({ "path": "latin1.txt" })),
        ("read", json!({ "path": "loop" })),
        ("read", json!({ "path": "pipe" })),
        ("read", json!({ "path": "." })),
        ("grep", json!({ "pattern": "(" })),
        ("glob", json!({ "pattern": "[" })),
    ] {
        stage.use_tool(tool, &arguments);
    }
}

#[test]
fn a_huge_file_is_read_in_part() {
    let stage = Stage::new([]);
    let path = stage.sandbox.file("huge.txt", "");
    fs::File::create(&path).and_then(|file| file.set_len(3 << 30)).expect("a sparse file");
    stage.use_tool("read", &json!({ "path": "huge.txt" }));
    assert!(stage.tool_result().len() < 1_000_000);
    let one_line = "x".repeat(5_000_000);
    stage.sandbox.file("line.txt", one_line);
    stage.use_tool("read", &json!({ "path": "line.txt" }));
    assert!(stage.tool_result().len() < 1_000_000);
}

#[test]
fn stdin_that_is_closed_at_once_is_a_normal_end() {
    let sandbox = Sandbox::new();
    let output = crow_tests::finish(sandbox.command(&["acp"]), "crow acp");
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_client_that_stops_reading_does_not_fill_the_memory() {
    let server = ModelServer::start();
    let words: Vec<String> = (0..200_000).map(|number| format!("word{number} ")).collect();
    server.push(Reply::stream().texts(words));
    let sandbox = Sandbox::with_model(&server);
    let mut child = sandbox.command(&["acp"]).stdin(std::process::Stdio::piped()).spawn().expect("crow");
    let mut stdin = child.stdin.take().expect("stdin");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().expect("stdout")));
    let mut call = |id: u64, method: &str, params: &Value| {
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        std::io::Write::write_all(&mut stdin, format!("{message}\n").as_bytes()).expect("a running agent");
    };
    let mut answer = |id: u64| -> Value {
        loop {
            let line = lines.next().expect("an answer").expect("text");
            let message: Value = serde_json::from_str(&line).expect("JSON");
            if message["id"] == id {
                return message["result"].clone();
            }
        }
    };
    call(1, "initialize", &json!({ "protocolVersion": 1, "clientCapabilities": {} }));
    answer(1);
    call(2, "session/new", &json!({ "cwd": sandbox.project(), "mcpServers": [] }));
    let session = answer(2)["sessionId"].clone();
    call(3, "session/prompt", &json!({ "sessionId": session, "prompt": [{ "type": "text", "text": "go" }] }));
    // Nobody reads: the agent must wait, not hoard.
    let mut highest = 0;
    wait_for(Duration::from_secs(3), || {
        highest = highest.max(crow_tests::proc::pss(child.id()));
        None::<()>
    });
    assert!(highest < 80 << 20, "{} MiB in use", highest >> 20);
    assert_eq!(answer(3)["stopReason"], "end_turn");
    let _ = child.kill();
    let _ = child.wait();
}
