//! `read`, `write`, `edit`, `list`.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use crow_acp::{Access, CrowHooks, Location, hookimpls};
use serde_json::json;

use crate::support::{Fixture, diff};

#[tokio::test]
async fn reading_gives_the_text_and_says_where() {
    let fixture = Fixture::new().await;
    let path = fixture.file("src/lib.rs", "fn a() {}\nfn b() {}\nfn c() {}\n");
    assert_eq!(fixture.ok("read", json!({"path": "src/lib.rs"})).await, "fn a() {}\nfn b() {}\nfn c() {}\n");
    let preview = fixture.preview();
    assert_eq!(preview.title, "Read src/lib.rs");
    assert_eq!(preview.locations, [Location::new(&path, None)]);
    assert_eq!(preview.access, [Access::Read { path: path.clone() }]);
    let page = fixture.ok("read", json!({"path": path, "offset": 2, "limit": 1})).await;
    assert_eq!(page, "fn b() {}\n\n[lines 2 to 2 of 3; go on with offset 3]");
    assert_eq!(fixture.preview().title, "Read src/lib.rs, lines 2 to 2");
    assert_eq!(fixture.preview().locations, [Location::new(&path, Some(2))]);
    assert!(fixture.session.tool("read").unwrap().read_only);
}

#[tokio::test]
async fn what_cannot_be_read_is_a_clear_error() {
    let fixture = Fixture::configured("max_file_bytes = 100").await;
    fixture.file("binary", b"a\0b");
    fixture.file("large", [b'x'; 101]);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        fixture.cwd.join("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    for (path, says) in [
        ("none", "does not exist"),
        ("binary", "it is a binary file of 3 bytes"),
        ("large", "too large: 101 bytes, and the limit is 100"),
        ("fifo", "is not a regular file but a FIFO"),
        (".", "is a directory; use `list`"),
        ("", "the path is empty"),
        ("a\0b", "NUL"),
        ("large/below", "Not a directory"),
        ("none/below", "does not exist"),
    ] {
        for (tool, arguments) in
            [("read", json!({"path": path})), ("edit", json!({"path": path, "old_text": "a", "new_text": "b"}))]
        {
            let error = fixture.err(tool, arguments).await;
            assert!(error.contains(says), "{tool} {path:?}: {error}");
        }
    }
    for path in [".", "fifo", "large/below", ""] {
        fixture.err("write", json!({"path": path, "content": ""})).await;
    }
    assert!(fixture.err("read", json!({"path": "binary", "offset": 9})).await.contains("binary"));
}

#[tokio::test]
async fn long_files_come_in_pages() {
    let fixture = Fixture::configured("read_lines = 10\noutput_limit = 1000").await;
    let text: Vec<String> = (1..=30).map(|n| format!("line {n}\n")).collect();
    fixture.file("long", text.concat());
    assert!(
        fixture
            .ok("read", json!({"path": "long"}))
            .await
            .ends_with("line 10\n\n[lines 1 to 10 of 30; go on with offset 11]")
    );
    fixture.file("wide", format!("{}\n", "x".repeat(300)).repeat(9));
    assert!(fixture.ok("read", json!({"path": "wide"})).await.ends_with("[lines 1 to 3 of 9; go on with offset 4]"));
}

#[tokio::test]
async fn writing_creates_and_replaces() {
    let fixture = Fixture::new().await;
    assert_eq!(
        fixture.ok("write", json!({"path": "new/a.txt", "content": "one\n"})).await,
        "created new/a.txt (1 lines)"
    );
    let path = fixture.cwd.join("new/a.txt");
    let preview = fixture.preview();
    assert_eq!(preview.title, "Create new/a.txt");
    assert_eq!(preview.access, [Access::Write { path: path.clone() }]);
    assert_eq!(diff(&preview.content), Some((path.clone(), None, "one\n".into())));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o741)).unwrap();
    let outcome = fixture.call("write", json!({"path": "new/a.txt", "content": "two\n"})).await;
    assert_eq!(outcome.text, "replaced new/a.txt (1 lines)");
    assert_eq!(diff(&outcome.content), Some((path.clone(), Some("one\n".into()), "two\n".into())));
    assert_eq!(diff(&fixture.preview().content), diff(&outcome.content));
    assert_eq!(fixture.text("new/a.txt"), "two\n");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o741);
    assert!(!fixture.session.tool("write").unwrap().read_only);
}

#[tokio::test]
async fn encodings_and_line_endings_stay() {
    let fixture = Fixture::new().await;
    let path = fixture.file("crlf", "a\r\nb\r\n");
    fixture.ok("write", json!({"path": "crlf", "content": "x\ny\n"})).await;
    assert_eq!(fixture.text("crlf"), "x\r\ny\r\n");
    fixture.ok("edit", json!({"path": "crlf", "old_text": "x\ny", "new_text": "1\n2\n3"})).await;
    assert_eq!(fixture.text("crlf"), "1\r\n2\r\n3\r\n");
    std::fs::write(&path, b"caf\xe9 one\n").unwrap();
    let text = fixture.ok("read", json!({"path": "crlf"})).await;
    assert_eq!(text, "caf\u{e9} one\n\n[the file is not UTF-8; read as Windows-1252]");
    fixture.ok("edit", json!({"path": "crlf", "old_text": "one", "new_text": "\u{fc}ber"})).await;
    assert_eq!(std::fs::read(&path).unwrap(), b"caf\xe9 \xfcber\n");
    let error = fixture.err("edit", json!({"path": "crlf", "old_text": "caf", "new_text": "\u{2603}"})).await;
    assert!(error.contains("lacks some of the new characters"), "{error}");
    std::fs::write(&path, b"\xEF\xBB\xBFmark\n").unwrap();
    fixture.ok("edit", json!({"path": "crlf", "old_text": "mark", "new_text": "still"})).await;
    assert_eq!(std::fs::read(&path).unwrap(), b"\xEF\xBB\xBFstill\n");
}

#[tokio::test]
async fn edits_show_as_diffs_with_locations() {
    let fixture = Fixture::new().await;
    let path = fixture.file("a.py", "def f():\n    return 1\n\ndef g():\n    return 1\n");
    let outcome = fixture
        .call(
            "edit",
            json!({"path": "a.py", "old_text": "def g():\n  return 1\n", "new_text": "def g():\n  return 2\n"}),
        )
        .await;
    assert_eq!(
        outcome.text,
        "edited a.py at line 4\n[the text in the file differed in whitespace; the new text was fitted to it]"
    );
    let after = "def f():\n    return 1\n\ndef g():\n    return 2\n";
    assert_eq!(fixture.text("a.py"), after);
    assert_eq!(outcome.locations, [Location::new(&path, Some(4))]);
    assert_eq!(fixture.preview().locations, outcome.locations);
    assert_eq!(diff(&fixture.preview().content).unwrap().2, after);
    assert_eq!(diff(&outcome.content), diff(&fixture.preview().content));
    assert_eq!(fixture.preview().access, [Access::Write { path }]);
}

#[tokio::test]
async fn an_edit_without_a_clear_place_changes_nothing() {
    let fixture = Fixture::new().await;
    fixture.file("a", "x = 1\ny = 2\nx = 1\n");
    let error = fixture.err("edit", json!({"path": "a", "old_text": "x = 1", "new_text": "x = 3"})).await;
    assert!(error.contains("occurs 2 times, at lines 1, 3"), "{error}");
    let error = fixture.err("edit", json!({"path": "a", "old_text": "z", "new_text": "x"})).await;
    assert!(error.contains("does not occur"), "{error}");
    assert_eq!(fixture.text("a"), "x = 1\ny = 2\nx = 1\n");
    let text =
        fixture.ok("edit", json!({"path": "a", "old_text": "x = 1", "new_text": "x = 3", "replace_all": true})).await;
    assert_eq!(text, "edited a at 2 places, lines 1, 3");
    assert_eq!(fixture.text("a"), "x = 3\ny = 2\nx = 3\n");
}

#[tokio::test]
async fn paths_outside_are_named_to_permissions_as_they_really_are() {
    let fixture = Fixture::new().await;
    let secret = fixture.base.join("secret");
    std::fs::write(&secret, "s\n").unwrap();
    symlink(&secret, fixture.cwd.join("link")).unwrap();
    for path in ["link", "../secret", secret.to_str().unwrap()] {
        assert_eq!(fixture.ok("read", json!({"path": path})).await, "s\n");
        assert_eq!(fixture.preview().access, [Access::Read { path: secret.clone() }], "{path}");
    }
    fixture.ok("write", json!({"path": "link", "content": "t\n"})).await;
    assert_eq!(fixture.preview().access, [Access::Write { path: secret.clone() }]);
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "t\n");
    assert!(fixture.cwd.join("link").is_symlink(), "the link stays a link");
    for (tool, arguments) in [
        ("list", json!({"path": ".."})),
        ("glob", json!({"pattern": "*", "path": ".."})),
        ("grep", json!({"pattern": "t", "path": ".."})),
    ] {
        fixture.ok(tool, arguments).await;
        assert_eq!(fixture.preview().access, [Access::Read { path: fixture.base.clone() }], "{tool}");
    }
}

/// Swaps a file for a symlink between the question and the call, as a command in the background might.
struct Swap(std::path::PathBuf, std::path::PathBuf);

#[hookimpls]
impl CrowHooks for Swap {
    fn guard_tool_call(&self) {
        let _ = std::fs::remove_file(&self.0);
        let _ = symlink(&self.1, &self.0);
    }
}

#[tokio::test]
async fn what_was_permitted_is_what_is_opened() {
    let fixture = Fixture::new().await;
    let secret = fixture.base.join("secret");
    std::fs::write(&secret, "s\n").unwrap();
    let path = fixture.file("plain", "p\n");
    fixture.agent.plugins().register(Swap(path.clone(), secret.clone())).unwrap();
    for (tool, arguments) in [
        ("read", json!({"path": "plain"})),
        ("write", json!({"path": "plain", "content": "x"})),
        ("edit", json!({"path": "plain", "old_text": "p", "new_text": "x"})),
    ] {
        let _ = std::fs::remove_file(&path);
        std::fs::write(&path, "p\n").unwrap();
        let error = fixture.err(tool, arguments).await;
        assert!(error.contains("is not what permission was asked for"), "{tool}: {error}");
    }
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "s\n");
}

#[tokio::test]
async fn a_directory_is_listed_without_what_is_ignored() {
    let fixture = Fixture::configured("max_results = 4").await;
    fixture.file(".gitignore", "target/\n*.log\n");
    fixture.file("target/x", "");
    fixture.file("a.log", "");
    fixture.file(".git/config", "");
    fixture.file("src/lib.rs", "");
    fixture.file("b.txt", "");
    symlink("b.txt", fixture.cwd.join("link")).unwrap();
    assert_eq!(
        fixture.ok("list", json!({})).await,
        "src/\n.gitignore\nb.txt\nlink -> b.txt\n\n[2 ignored entries are left out]"
    );
    assert_eq!(fixture.preview().title, "List .");
    fixture.file("c.txt", "");
    assert!(fixture.ok("list", json!({"path": "."})).await.contains("[1 more entries are not shown"));
    assert_eq!(fixture.ok("list", json!({"path": "target"})).await, "x\n", "asked for by name");
    std::fs::create_dir(fixture.cwd.join("empty")).unwrap();
    assert_eq!(fixture.ok("list", json!({"path": "empty"})).await, "\n[the directory is empty]");
    assert!(fixture.err("list", json!({"path": "b.txt"})).await.contains("is not a directory; use `read`"));
    assert!(fixture.err("list", json!({"path": "none"})).await.contains("does not exist"));
}

#[tokio::test]
async fn names_may_be_anything() {
    let fixture = Fixture::new().await;
    let odd = [&b"new\nline"[..], b"\xff\xfe", b"--help", b"sp ace", "\u{2603}".as_bytes(), b"\x1b[31m"];
    for name in odd {
        std::fs::write(fixture.cwd.join(std::ffi::OsStr::from_bytes(name)), "needle\n").unwrap();
    }
    let listed = fixture.ok("list", json!({})).await;
    assert_eq!(listed.lines().count(), odd.len(), "{listed}");
    assert!(!listed.contains('\x1b'));
    assert_eq!(fixture.ok("glob", json!({"pattern": "*"})).await.lines().count(), odd.len());
    assert_eq!(fixture.ok("grep", json!({"pattern": "needle"})).await.lines().count(), odd.len());
    assert_eq!(fixture.ok("read", json!({"path": "new\nline"})).await, "needle\n");
    assert_eq!(fixture.ok("read", json!({"path": "--help"})).await, "needle\n");
}

#[tokio::test]
async fn tools_can_be_switched_off() {
    let fixture = Fixture::configured("disabled = [\"terminal\", \"fetch\"]").await;
    let mut names: Vec<String> = fixture.session.tools().iter().map(|tool| tool.name.clone()).collect();
    names.sort();
    assert_eq!(names, ["edit", "glob", "grep", "list", "read", "write"]);
    let outcome = fixture.call("terminal", json!({"command": "true"})).await;
    assert!(outcome.text.contains("there is no tool `terminal`"), "{}", outcome.text);
}
