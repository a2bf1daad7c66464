//! Past conversations on the command line, in a file and on a server.

use std::process::{Command, Output};

use crow_tests::{Client, ModelServer, Postgres, Reply, Sandbox, deps};
use serde_json::{Value, json};

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn succeeds(sandbox: &Sandbox, args: &[&str]) -> String {
    let output = sandbox.run(args);
    assert!(output.status.success(), "crow {args:?}: {}\n{}", output.status, text(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn json_of(sandbox: &Sandbox, args: &[&str]) -> Value {
    let text = succeeds(sandbox, args);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("not JSON ({error}):\n{text}"))
}

/// The id of the newest session.
fn newest(sandbox: &Sandbox) -> String {
    json_of(sandbox, &["sessions", "--json"])["sessions"][0]["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_conversation_is_found_again_exported_and_forked() {
    let server = ModelServer::with([Reply::say("The Needle is here.")]);
    let sandbox = Sandbox::with_model(&server);
    succeeds(&sandbox, &["run", "where is it?"]);
    let id = newest(&sandbox);

    let found = succeeds(&sandbox, &["sessions", "search", "needle", "he"]);
    assert!(found.contains(&id) && found.contains("The Needle is here."), "{found}");
    let found = json_of(&sandbox, &["sessions", "search", "needle", "--json"]);
    assert_eq!(found["hits"][0]["session"]["id"], id.as_str(), "{found}");
    assert!(succeeds(&sandbox, &["sessions", "search", "haystack"]).contains("Nothing is found"));

    let lines = succeeds(&sandbox, &["sessions", "export", &id[..13]]);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["id"], id.as_str());
    assert!(lines[1..].iter().any(|event| event["type"] == "assistant"), "{lines:?}");
    succeeds(&sandbox, &["sessions", "export", &id, "--format", "markdown", "-o", "talk.md"]);
    assert!(sandbox.read("talk.md").unwrap().contains("The Needle is here."));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(sandbox.project().join("talk.md")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    let fork = succeeds(&sandbox, &["sessions", "fork", &id]).trim().to_owned();
    assert_ne!(fork, id);
    server.push(Reply::say("another way"));
    succeeds(&sandbox, &["run", "--session", &fork, "and now?"]);
    assert!(server.wait_requests(2).text().contains("The Needle is here."));
    assert!(!succeeds(&sandbox, &["sessions", "show", &id]).contains("another way"));
    let listed = json_of(&sandbox, &["sessions", "--json"]);
    assert_eq!(listed["sessions"][0]["parent"], id.as_str(), "{listed:#}");
}

#[test]
fn only_old_sessions_are_pruned() {
    let server = ModelServer::with([Reply::say("ok")]);
    let sandbox = Sandbox::with_model(&server);
    succeeds(&sandbox, &["run", "hello"]);
    let output = sandbox.run(&["sessions", "prune"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("--days"), "{}", text(&output));
    assert!(succeeds(&sandbox, &["sessions", "prune", "--days", "1"]).contains("No session is that old"));
    assert_eq!(json_of(&sandbox, &["sessions", "prune", "--days", "1", "--dry-run", "--json"])["sessions"], json!([]));
    newest(&sandbox);
}

#[test]
fn a_key_that_became_one_later_is_not_exported() {
    let server = ModelServer::with([Reply::say("I keep sk-planted-later-0007 in mind")]);
    let mut sandbox = Sandbox::with_model(&server);
    succeeds(&sandbox, &["run", "remember sk-planted-later-0007"]);
    let id = newest(&sandbox);
    sandbox.env("LATER", "sk-planted-later-0007");
    let config = Sandbox::model_config(&server).replace("test-key", "${LATER}");
    sandbox.config(&config);
    for format in ["jsonl", "markdown"] {
        let exported = succeeds(&sandbox, &["sessions", "export", &id, "--format", format]);
        assert!(exported.contains("I keep *** in mind") && !exported.contains("planted"), "{exported}");
    }
}

#[test]
fn sessions_of_an_earlier_crow_are_imported_once() {
    const SCRIPT: &str = r#"
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.executescript("""
CREATE TABLE prompts (id INTEGER PRIMARY KEY, name TEXT, template TEXT, created_at TEXT);
CREATE TABLE sessions (session_id TEXT PRIMARY KEY, prompt_id INTEGER, prompt_args TEXT, system_prompt TEXT,
  tool_definitions TEXT, request_params TEXT, model_identifier TEXT, created_at TEXT);
CREATE TABLE messages (id INTEGER PRIMARY KEY, session_id TEXT, created_at TEXT, data JSON, role TEXT,
  prompt_tokens INTEGER, completion_tokens INTEGER, total_tokens INTEGER);
INSERT INTO sessions VALUES ('old-1', NULL, NULL, 'Be kind.', NULL, NULL, 'scripted', '2025-03-01 10:00:00');
INSERT INTO messages VALUES (1, 'old-1', '2025-03-01 10:00:01', '{"content": "an old question"}', 'user', 0, 0, 0);
INSERT INTO messages VALUES (2, 'old-1', '2025-03-01 10:00:02', '{"content": "an old answer"}', 'assistant', 7, 3, 10);
INSERT INTO messages VALUES (3, 'old-1', '2025-03-01 10:00:02', 'broken', 'assistant', 7, 3, 10);
""")
"#;
    let server = ModelServer::with([Reply::say("a new answer")]);
    let sandbox = Sandbox::with_model(&server);
    let old = sandbox.project().join("old.db");
    let made = Command::new(deps::python()).args(["-c", SCRIPT]).arg(&old).status().unwrap();
    assert!(made.success());
    let imported = succeeds(&sandbox, &["import", "old.db"]);
    assert!(imported.contains("Imported 1 sessions") && imported.contains("message 3"), "{imported}");
    let again = json_of(&sandbox, &["import", "old.db", "--json"]);
    assert_eq!((&again["imported"], &again["known"]), (&json!([]), &json!(["old-1"])), "{again}");
    assert!(succeeds(&sandbox, &["sessions", "show", "old-1"]).contains("an old answer"));
    succeeds(&sandbox, &["run", "--session", "old-1", "-m", &model(&server), "go on"]);
    let asked = server.wait_requests(1).text();
    assert!(asked.contains("an old question") && asked.contains("an old answer"), "{asked}");
    let output = sandbox.run(&["import", "nothing.db"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
}

/// The one model that the configuration knows.
fn model(server: &ModelServer) -> String {
    let config = Sandbox::model_config(server);
    let line = config.lines().find(|line| line.starts_with("model = ")).unwrap();
    line.split('"').nth(1).unwrap().to_owned()
}

#[test]
fn a_session_on_a_server_moves_from_one_process_to_another() {
    let Some(postgres) = Postgres::start() else { return };
    let server = ModelServer::with([Reply::say("the first answer")]);
    let mut sandbox = Sandbox::new();
    sandbox.env("STORE_URL", &postgres.url());
    sandbox.config(&format!("{}\n[plugins.persistence]\nurl = \"${{STORE_URL}}\"\n", Sandbox::model_config(&server)));
    let client = Client::start(&sandbox);
    let session = client.new_session(&sandbox);
    client.prompt(&session, "the first question");

    let output = sandbox.run(&["run", "--session", &session, "me too"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("is open in another Crow (process "), "{}", text(&output));
    // A copy to go on from is to be had all the same.
    let fork = succeeds(&sandbox, &["sessions", "fork", &session]);
    client.finish();

    server.push(Reply::say("the second answer"));
    succeeds(&sandbox, &["run", "--session", &session, "the second question"]);
    assert!(server.wait_requests(2).text().contains("the first answer"));
    let found = succeeds(&sandbox, &["sessions", "search", "answer"]);
    assert!(found.contains("the second answer") && found.contains(fork.trim()), "{found}");
    assert_eq!(postgres.query(&postgres.url(), "SELECT count(*) FROM crow.sessions"), "2");
    for (path, bytes) in sandbox.home_files() {
        let found = bytes.windows(postgres.password().len()).any(|window| window == postgres.password().as_bytes());
        assert!(!found, "the password is in {}", path.display());
        assert_ne!(path.file_name().and_then(|name| name.to_str()), Some("crow.db"));
    }
}
