//! `crow run` as a person meets it: on a terminal, with questions, answers and Ctrl-C.

use std::io::{Read, Write};
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pty_process::blocking::{Command, Pty, open};

/// How long something may take that ought to happen soon. Long on purpose: a busy machine must not fail a test.
const PATIENCE: Duration = Duration::from_secs(30);

/// A recording that runs a command and then says goodbye.
const TOUCH: &str = r#"{"text": "I make a file."}
{"tool_call": {"name": "terminal", "arguments": {"command": "touch made.txt"}}}
{"end": {"finish": "tool_calls"}}
{"text": "That was all."}
{"end": {"finish": "stop"}}
"#;

/// A recording that talks for minutes.
const TALK: &str = r#"{"text": "One,"}
{"pause_ms": 1}
{"text": " two."}
{"tool_call": {"name": "terminal", "arguments": {"command": "echo begun; sleep 300"}}}
{"end": {"finish": "tool_calls"}}
"#;

/// `crow` on a terminal of its own, with a `CROW_HOME` and a project of its own.
struct Terminal {
    place: tempfile::TempDir,
    pty: Pty,
    child: Child,
    screen: Arc<Mutex<String>>,
}

impl Terminal {
    fn start(recording: &str, args: &[&str]) -> Self {
        Self::with(&[("model.jsonl", recording)], args)
    }

    /// In a project of these files.
    fn with(files: &[(&str, &str)], args: &[&str]) -> Self {
        let place = tempfile::tempdir().expect("a temporary directory");
        let project = place.path().join("project");
        for (name, text) in files {
            let path = project.join(name);
            std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
            std::fs::write(path, text).expect("a file");
        }
        let (pty, pts) = open().expect("a terminal");
        pty.resize(pty_process::Size::new(40, 80)).expect("a size");
        let child = Command::new(env!("CARGO_BIN_EXE_crow"))
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TERM", "xterm-256color")
            .env("CROW_HOME", place.path().join("home"))
            .current_dir(&project)
            .spawn(pts)
            .expect("crow starts");
        let screen = Arc::new(Mutex::new(String::new()));
        let mut reader = std::fs::File::from(std::os::fd::AsFd::as_fd(&pty).try_clone_to_owned().expect("a handle"));
        let written = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                written.lock().expect("a lock").push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Self { place, pty, child, screen }
    }

    fn screen(&self) -> String {
        self.screen.lock().expect("a lock").clone()
    }

    /// Waits until this is on the screen.
    fn wait(&self, text: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.screen().contains(text) {
            assert!(Instant::now() < end, "`{text}` did not come; the screen:\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn type_in(&mut self, keys: &str) {
        self.pty.write_all(keys.as_bytes()).expect("crow reads");
    }

    fn finish(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            if Instant::now() >= end {
                let _ = self.child.kill();
                panic!("crow does not end; the screen:\n{}", self.screen());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn made(&self) -> bool {
        self.place.path().join("project/made.txt").exists()
    }
}

const RUN: [&str; 4] = ["run", "make a file", "--model", "replay/model.jsonl"];

#[test]
fn a_yes_lets_the_command_run() {
    let mut crow = Terminal::start(TOUCH, &RUN);
    crow.wait("no › ");
    assert!(!crow.made(), "asked after the fact");
    crow.type_in("y\n");
    crow.wait("That was all.");
    assert_eq!(crow.finish().code(), Some(0), "{}", crow.screen());
    assert!(crow.made());
}

#[test]
fn a_no_is_a_reason_for_the_model_and_no_end() {
    let mut crow = Terminal::start(TOUCH, &RUN);
    crow.wait("no › ");
    crow.type_in("n\n");
    crow.wait("That was all.");
    assert_eq!(crow.finish().code(), Some(0), "{}", crow.screen());
    assert!(!crow.made());
}

#[test]
fn control_c_at_a_question_cancels() {
    let mut crow = Terminal::start(TOUCH, &RUN);
    crow.wait("no › ");
    crow.type_in("\x03");
    assert_eq!(crow.finish().code(), Some(130), "{}", crow.screen());
    assert!(!crow.made());
}

#[test]
fn control_c_in_a_command_cancels_and_keeps_the_conversation() {
    let mut crow = Terminal::start(TALK, &["run", "talk", "--model", "replay/model.jsonl", "--permission", "full"]);
    crow.wait("begun");
    crow.type_in("\x03");
    assert_eq!(crow.finish().code(), Some(130), "{}", crow.screen());
    assert!(crow.screen().contains("cancelled"), "{}", crow.screen());
    let listed = std::process::Command::new(env!("CARGO_BIN_EXE_crow"))
        .args(["sessions", "--json"])
        .env("CROW_HOME", crow.place.path().join("home"))
        .output()
        .expect("crow runs");
    assert!(String::from_utf8_lossy(&listed.stdout).contains("talk"), "{listed:?}");
}

#[test]
fn without_a_model_an_endpoint_can_be_named() {
    let mut crow = Terminal::start("", &["init"]);
    crow.wait("Number [1]: ");
    // Whatever this machine offers, the last choice is another endpoint.
    let choices = crow.screen();
    let last = choices.lines().rfind(|line| line.contains("another endpoint")).expect("a choice").trim();
    let number = last.split(' ').next().expect("a number").to_owned();
    crow.type_in(&format!("{number}\n"));
    crow.wait("Address");
    crow.type_in("localhost\n");
    crow.wait("An address starts with");
    crow.type_in("http://127.0.0.1:1/v1\n");
    crow.wait("What to call it [local]: ");
    crow.type_in("\n");
    crow.wait("Key:");
    crow.type_in("\n");
    crow.wait("did not tell its models");
    crow.wait("Model: ");
    crow.type_in("qwen\n");
    crow.wait("Written:");
    assert_eq!(crow.finish().code(), Some(0), "{}", crow.screen());
    let config = std::fs::read_to_string(crow.place.path().join("home/config.toml")).expect("a configuration");
    assert!(config.contains("model = \"local/qwen\"") && config.contains("http://127.0.0.1:1/v1"), "{config}");
}

const BROUGHT: [(&str, &str); 2] = [
    (".crow/hooks.json", r#"{ "hooks": { "Stop": [ { "hooks": [ { "command": "./evil.sh" } ] } ] } }"#),
    (".crow/commands/ship.md", "Ship it\u{1b}[2J"),
];

#[test]
fn trust_is_decided_item_by_item() {
    let mut crow = Terminal::with(&BROUGHT, &["trust"]);
    crow.wait("Trust command /ship?");
    assert!(crow.screen().contains("Stop: ./evil.sh"), "what it would do stands there");
    assert!(!crow.screen().contains("\u{1b}[2J"), "a project has no word with the terminal");
    crow.type_in("yes\n");
    crow.wait("Trust hook .crow/hooks.json?");
    crow.type_in("what\n");
    crow.type_in("no\n");
    crow.wait("Trusted 1.");
    assert_eq!(crow.finish().code(), Some(1), "one is not trusted");
    let kept = std::fs::read_to_string(crow.place.path().join("home/trust.json")).expect("it is kept");
    assert!(kept.contains("/ship") && !kept.contains("hooks.json"), "{kept}");
}

#[test]
fn leaving_in_the_middle_trusts_nothing() {
    let mut crow = Terminal::with(&BROUGHT, &["trust"]);
    crow.wait("Trust command /ship?");
    crow.type_in("yes\n");
    crow.wait("Trust hook .crow/hooks.json?");
    crow.type_in("\u{4}");
    assert_eq!(crow.finish().code(), Some(130));
    assert!(!crow.place.path().join("home/trust.json").exists());
}
