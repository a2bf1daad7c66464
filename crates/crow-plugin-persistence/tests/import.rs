//! Sessions of the earlier Crow.

mod common;

use std::path::{Path, PathBuf};

use crow_acp::{EventKind, ModelId, Role, SessionQuery, ToolStatus, Usage};
use crow_plugin_persistence::{StoreError, read_earlier};
use rusqlite::Connection;

use common::Place;

const TABLES: &str = "
    CREATE TABLE prompts (id INTEGER PRIMARY KEY, name TEXT, template TEXT, created_at TEXT);
    CREATE TABLE sessions (session_id TEXT PRIMARY KEY, prompt_id INTEGER, prompt_args TEXT, system_prompt TEXT,
        tool_definitions TEXT, request_params TEXT, model_identifier TEXT, created_at TEXT);
    CREATE TABLE messages (id INTEGER PRIMARY KEY, session_id TEXT, created_at TEXT, data JSON, role TEXT,
        prompt_tokens INTEGER, completion_tokens INTEGER, total_tokens INTEGER);";

fn earlier(place: &Place, rows: &str) -> PathBuf {
    let path = place.directory.path().join("earlier.db");
    Connection::open(&path).unwrap().execute_batch(&format!("{TABLES}{rows}")).unwrap();
    path
}

const CONVERSATION: &str = r#"
    INSERT INTO sessions VALUES ('s1', NULL, '{}', 'You are Crow.', '[]', '{}', 'openai/gpt-5', '2025-03-01 10:00:00');
    INSERT INTO messages VALUES
        (1, 's1', '2025-03-01 10:00:01', '{"role": "user", "content": "fix the needle"}', 'user', NULL, NULL, NULL),
        (2, 's1', '2025-03-01 10:00:02', '{"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls":
            [{"id": "c1", "type": "function", "function": {"name": "read", "arguments": "{\"path\": \"a\"}"}}]}',
            'assistant', 100, 20, 120),
        (3, 's1', '2025-03-01 10:00:03', '{"role": "tool", "tool_call_id": "c1", "content": "text of a"}', 'tool', NULL,
            NULL, NULL),
        (4, 's1', '2025-03-01T10:00:04.500Z', '{"role": "assistant", "content": [{"type": "text", "text": "done"}]}',
            'assistant', 150, 5, 155);
    INSERT INTO sessions VALUES ('s2', NULL, NULL, NULL, NULL, NULL, 'a local model', 1740823200);"#;

#[test]
fn an_earlier_conversation_comes_back_whole() {
    for place in [Some(Place::file()), Place::server()].into_iter().flatten() {
        let earlier = read_earlier(&earlier(&place, CONVERSATION), Path::new("/work")).unwrap();
        assert_eq!(earlier.skipped, [] as [String; 0]);
        let archive = place.archive_to_be();
        assert_eq!(archive.insert_all(earlier.sessions.clone()).unwrap(), [true, true]);
        // Once more, after somebody went on with it or not: what is there stays.
        assert_eq!(archive.insert_all(earlier.sessions).unwrap(), [false, false]);
        assert_eq!(archive.list(&SessionQuery::newest(10)).unwrap().len(), 2);

        let record = archive.record("s1").unwrap().unwrap();
        assert_eq!(record.summary.title.as_deref(), Some("fix the needle"));
        assert_eq!(record.summary.model, Some(ModelId::new("openai", "gpt-5")));
        assert_eq!((record.summary.created_at, record.summary.updated_at), (1_740_823_200_000, 1_740_823_204_500));
        let [_, injected, asked, called, told, done] = &record.events[..] else { panic!("{:?}", record.events) };
        assert!(matches!(&injected.kind, EventKind::Injected { message } if message.role == Role::System));
        assert!(matches!(&asked.kind, EventKind::User { message } if message.text() == "fix the needle"));
        let EventKind::Assistant { message, usage, .. } = &called.kind else { panic!("{called:?}") };
        assert_eq!(*usage, Usage::new(100, 20));
        assert_eq!(message.tool_calls().next().unwrap().raw_arguments, "{\"path\": \"a\"}");
        let EventKind::Tool(tool) = &told.kind else { panic!("{told:?}") };
        assert_eq!((tool.call.name.as_str(), tool.status), ("read", ToolStatus::Completed));
        assert!(matches!(&done.kind, EventKind::Assistant { message, .. } if message.text() == "done"));
        assert_eq!(place.number("SELECT input_tokens + output_tokens FROM sessions WHERE id = 's1'"), 275);
        assert_eq!(archive.search("needle", 10).unwrap().len(), 1);
        let other = archive.find("s2").unwrap().unwrap();
        assert_eq!(other.model, Some(ModelId::new("imported", "a local model")));
        assert_eq!(other.created_at, 1_740_823_200_000);
        place.check_invariants();
    }
}

#[test]
fn bad_rows_are_told_and_do_no_harm() {
    let place = Place::file();
    let rows = r#"
        INSERT INTO sessions (session_id, created_at) VALUES ('s1', 'some day'), (NULL, NULL), ('empty', NULL);
        INSERT INTO messages (id, session_id, data, role) VALUES
            (1, 's1', '{"content": "one"}', 'user'),
            (2, 's1', 'not json', 'user'),
            (3, 's1', '{"content": "x"}', 'wizard'),
            (4, 's1', NULL, 'user'),
            (5, 's1', '{"content": "orphan", "tool_call_id": "nobody"}', 'tool'),
            (6, 's1', '{"content": "no id"}', 'tool'),
            (7, 's1', '{"tool_calls": [{"function": {}}]}', 'assistant'),
            (8, 'gone', '{"content": "x"}', 'user'),
            (9, NULL, '{"content": "x"}', 'user'),
            (10, 's1', '{"content": {"odd": 1}}', 'assistant'),
            (11, 's1', '"two"', 'user');"#;
    let earlier = read_earlier(&earlier(&place, rows), Path::new("/work")).unwrap();
    assert_eq!(earlier.skipped.len(), 8, "{:#?}", earlier.skipped);
    assert!(earlier.skipped.iter().any(|line| line.starts_with("message 2 of the session s1: its data is not JSON")));
    let archive = place.archive_to_be();
    assert_eq!(archive.insert_all(earlier.sessions).unwrap(), [true, true]);
    let events = archive.record("s1").unwrap().unwrap().events;
    let texts: Vec<String> = events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::User { message } | EventKind::Injected { message } => Some(message.text()),
            _ => None,
        })
        .collect();
    assert_eq!(texts, ["one", "orphan", "two"]);
    place.check_invariants();
}

#[test]
fn what_is_no_earlier_store_is_refused() {
    let place = Place::file();
    let path = place.directory.path().join("other.db");
    let error = read_earlier(&path, Path::new("/work")).unwrap_err();
    assert!(
        error.to_string().ends_with("other.db cannot be imported: No such file or directory (os error 2)"),
        "{error}"
    );
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE sessions (id TEXT)").unwrap();
    let error = read_earlier(&path, Path::new("/work")).unwrap_err();
    assert!(matches!(error, StoreError::NotEarlier { .. }), "{error}");
    std::fs::write(&path, "no database at all, but of some length\n".repeat(100)).unwrap();
    let error = read_earlier(&path, Path::new("/work")).unwrap_err();
    assert!(error.to_string().ends_with("other.db cannot be imported: file is not a database"), "{error}");
}
