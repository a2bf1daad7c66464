//! Files that are open in an editor.

use std::collections::HashMap;
use std::sync::Mutex;

use crow_acp::ClientCapabilities;
use serde_json::json;

use crate::support::{Editor, Fixture, diff};

fn editor(read: bool, write: bool) -> Editor {
    let mut capabilities = ClientCapabilities::default();
    capabilities.read_files = read;
    capabilities.write_files = write;
    Editor { capabilities, ..Editor::default() }
}

fn open(fixture: &Fixture, name: &str, text: &str) {
    fixture.editor.open.lock().unwrap().insert(fixture.cwd.join(name), text.into());
}

const UNSAVED: &str = "[the editor has unsaved changes: this is its text, and the file on disk differs]";

#[tokio::test]
async fn unsaved_changes_win_and_the_model_is_told() {
    let fixture = Fixture::with("", editor(true, true)).await;
    fixture.file("a", "disk\n");
    assert_eq!(fixture.ok("read", json!({"path": "a"})).await, "disk\n");
    open(&fixture, "a", "unsaved\n");
    assert_eq!(fixture.ok("read", json!({"path": "a"})).await, format!("unsaved\n\n{UNSAVED}"));
    let outcome = fixture.call("edit", json!({"path": "a", "old_text": "unsaved", "new_text": "edited"})).await;
    assert!(outcome.text.contains(UNSAVED), "{}", outcome.text);
    assert_eq!(diff(&outcome.content).unwrap().1.unwrap(), "unsaved\n", "the diff starts from what the user sees");
    assert_eq!(fixture.text("a"), "edited\n");
    assert_eq!(*fixture.editor.written.lock().unwrap(), [fixture.cwd.join("a")]);
    open(&fixture, "new", "only here\n");
    let text = fixture.ok("read", json!({"path": "new"})).await;
    assert_eq!(text, "only here\n\n[the file is only in the editor so far, not on disk]");
}

#[tokio::test]
async fn an_editor_that_keeps_line_endings_to_itself_has_no_unsaved_changes() {
    let fixture = Fixture::with("", editor(true, true)).await;
    fixture.file("a", "one\r\ntwo\r\n");
    open(&fixture, "a", "one\ntwo\n");
    assert_eq!(fixture.ok("read", json!({"path": "a"})).await, "one\ntwo\n");
    fixture.ok("edit", json!({"path": "a", "old_text": "two", "new_text": "2"})).await;
    assert_eq!(fixture.text("a"), "one\r\n2\r\n");
    open(&fixture, "a", "unsaved\n2\n");
    fixture.ok("edit", json!({"path": "a", "old_text": "2", "new_text": "3"})).await;
    assert_eq!(fixture.text("a"), "unsaved\r\n3\r\n");
}

#[tokio::test]
async fn only_what_is_offered_is_used() {
    let fixture = Fixture::with("", editor(false, false)).await;
    fixture.ok("write", json!({"path": "a", "content": "x\n"})).await;
    fixture.ok("read", json!({"path": "a"})).await;
    assert_eq!(fixture.editor.written.lock().unwrap().len(), 0);
    let fixture = Fixture::with("", editor(true, false)).await;
    fixture.ok("write", json!({"path": "a", "content": "x\n"})).await;
    assert_eq!(fixture.text("a"), "x\n");
    let fixture = Fixture::with("", editor(false, true)).await;
    fixture.ok("write", json!({"path": "deep/er/a", "content": "x\n"})).await;
    assert_eq!(*fixture.editor.written.lock().unwrap(), [fixture.cwd.join("deep/er/a")]);
    assert_eq!(fixture.text("deep/er/a"), "x\n");
}

#[tokio::test]
async fn files_outside_are_not_the_editors() {
    let fixture = Fixture::with("", editor(true, true)).await;
    let path = fixture.base.join("outside");
    fixture.ok("write", json!({"path": path, "content": "x\n"})).await;
    assert_eq!(fixture.editor.written.lock().unwrap().len(), 0);
    assert_eq!(std::fs::read_to_string(path).unwrap(), "x\n");
}

#[tokio::test]
async fn what_the_editor_does_not_do_is_told() {
    let fixture = Fixture::with("", Editor { lazy: true, ..editor(true, true) }).await;
    let text = fixture.ok("write", json!({"path": "a", "content": "x\n"})).await;
    assert!(text.contains("the file on disk is different: it is not saved yet, or was formatted"), "{text}");
    let error = fixture.err("write", json!({"path": "refused", "content": "x\n"})).await;
    assert!(error.contains("was not written: the client failed: read-only buffer"), "{error}");
}

#[tokio::test]
async fn an_editor_that_is_silent_is_not_waited_for() {
    let silent = Editor { silent: true, open: Mutex::new(HashMap::new()), ..editor(true, true) };
    let fixture = Fixture::with("", silent).await;
    fixture.file("a", "disk\n");
    tokio::time::pause();
    let text = fixture.ok("read", json!({"path": "a"})).await;
    assert_eq!(text, "disk\n\n[the editor did not answer: this is the text on disk]");
}
