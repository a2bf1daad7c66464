//! `terminal`.

use std::path::Path;
use std::time::Duration;

use crow_acp::{Access, ClientCapabilities, CommandEnd, StopReason, ToolContent, Update};
use serde_json::json;

use crate::support::{Editor, Fixture, eventually};

fn is_gone(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.map_or(true, |stat| stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z')))
}

/// The number that a command wrote to a file.
async fn pid_in(path: &Path) -> String {
    eventually("the command has begun", || std::fs::read_to_string(path).is_ok_and(|text| text.ends_with('\n'))).await;
    std::fs::read_to_string(path).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_run_in_one_shell() {
    let fixture = Fixture::new().await;
    std::fs::create_dir(fixture.cwd.join("sub")).unwrap();
    assert_eq!(fixture.ok("terminal", json!({"command": "echo hi"})).await, "hi");
    let preview = fixture.preview();
    assert_eq!(preview.title, "`echo hi`");
    assert_eq!(preview.access, [Access::Execute { command: "echo hi".into() }]);
    let moved = fixture.ok("terminal", json!({"command": "cd sub && export NAME=value"})).await;
    assert_eq!(moved, format!("[the working directory of the shell is now {}]", fixture.cwd.join("sub").display()));
    assert_eq!(fixture.ok("terminal", json!({"command": "echo $NAME; basename $PWD"})).await, "value\nsub");
    assert_eq!(fixture.ok("terminal", json!({"command": "true"})).await, "[no output]");
    let outcome = fixture.call("terminal", json!({"command": "echo no; exit 3"})).await;
    assert!(outcome.is_error());
    assert_eq!(
        outcome.text,
        format!(
            "no\n[exit code 3]\n[the shell ended with it; the next command gets a new one in {}]",
            fixture.cwd.join("sub").display()
        )
    );
    let expected = ToolContent::Terminal {
        command: "echo no; exit 3".into(),
        cwd: fixture.cwd.join("sub"),
        output: "no\n".into(),
        exit_code: Some(3),
    };
    assert_eq!(outcome.content, [expected]);
    assert_eq!(fixture.ok("terminal", json!({"command": "basename $PWD; echo \"[$NAME]\""})).await, "sub\n[]");
    assert_eq!(
        fixture.err("terminal", json!({"command": "ls /surely-not-there 2>/dev/null; false"})).await,
        "[exit code 1]"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_in_words_is_no_failure() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.ok("terminal", json!({"command": "echo Error: none"})).await, "Error: none");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shell_is_the_configured_one() {
    let fixture = Fixture::configured("shell = \"sh -u\"").await;
    assert_eq!(fixture.ok("terminal", json!({"command": "echo $0 ${-}"})).await.split(' ').next(), Some("sh"));
    let fixture = Fixture::configured("shell = \"/no/such/shell\"").await;
    assert!(
        fixture
            .err("terminal", json!({"command": "true"}))
            .await
            .starts_with("the shell `/no/such/shell` cannot be started")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_takes_too_long_is_ended() {
    let fixture = Fixture::configured("timeout_seconds = 1\nmax_timeout_seconds = 2").await;
    std::fs::create_dir(fixture.cwd.join("sub")).unwrap();
    fixture.ok("terminal", json!({"command": "cd sub"})).await;
    let text = fixture.err("terminal", json!({"command": "echo $$; sleep 1000"})).await;
    let (pid, rest) = text.split_once('\n').unwrap();
    assert!(rest.starts_with("[ended: it took longer than 1 s]"), "{rest}");
    eventually("the shell is gone", || is_gone(pid)).await;
    assert_eq!(fixture.ok("terminal", json!({"command": "basename $PWD"})).await, "sub");
    let text = fixture.err("terminal", json!({"command": "sleep 1000", "timeout_seconds": 500})).await;
    assert!(text.starts_with("[ended: it took longer than 2 s (the longest limit that is configured)]"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_command_ends_with_its_children() {
    let fixture = Fixture::new().await;
    std::fs::create_dir(fixture.cwd.join("sub")).unwrap();
    fixture.ok("terminal", json!({"command": "cd sub; sleep 1000 & echo $! >background"})).await;
    let run = fixture.start("terminal", json!({"command": "echo here; (echo $BASHPID >foreground; sleep 1000; true)"}));
    let child = pid_in(&fixture.cwd.join("sub/foreground")).await;
    let background = pid_in(&fixture.cwd.join("sub/background")).await;
    fixture.session.cancel();
    assert_eq!(run.await.unwrap().stop_reason, StopReason::Cancelled);
    eventually("its children are gone", || is_gone(&child) && is_gone(&background)).await;
    assert_eq!(
        fixture.ok("terminal", json!({"command": "basename $PWD"})).await,
        "sub",
        "a new shell where the last one was"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_session_or_the_agent_ends_so_do_its_processes() {
    let fixture = Fixture::new().await;
    let pid = fixture.ok("terminal", json!({"command": "sleep 1000 & echo $!"})).await;
    assert!(!is_gone(&pid));
    assert!(fixture.agent.close_session(fixture.session.id()).await);
    assert!(is_gone(&pid), "the session is closed when all is gone");
    let fixture = Fixture::new().await;
    let pid = fixture.ok("terminal", json!({"command": "nohup sleep 1000 >/dev/null & echo $!"})).await;
    fixture.agent.shutdown().await;
    assert!(is_gone(&pid), "so is the agent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_is_shown_while_it_comes() {
    let mut capabilities = ClientCapabilities::default();
    capabilities.terminal_output = true;
    let fixture = Fixture::with("", Editor { capabilities, ..Editor::default() }).await;
    let command = "printf '\\033[31mred\\033[0m\\n'; printf half; until [ -e go ]; do sleep 0.01; done; echo whole";
    let run = fixture.start("terminal", json!({"command": command}));
    eventually("the first output is shown", || fixture.live() == "\x1b[31mred\x1b[0m\nhalf").await;
    assert!(fixture.editor.updates.lock().unwrap().iter().any(|update| {
        let Update::ToolCall(update) = update else { return false };
        update.terminal.as_ref().is_some_and(|(what, cwd)| what == command && *cwd == fixture.cwd)
    }));
    fixture.file("go", "");
    run.await.unwrap();
    assert_eq!(fixture.live(), "\x1b[31mred\x1b[0m\nhalfwhole\n");
    assert_eq!(fixture.last_result().unwrap().text, "red\nhalfwhole", "the model reads no colours");
    assert_eq!(fixture.ok("terminal", json!({"command": "echo $TERM"})).await, "xterm-256color");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_without_terminals_gets_plain_lines() {
    let fixture = Fixture::new().await;
    fixture.ok("terminal", json!({"command": "printf '\\033[31mred\\033[0m\\n 1%%\\r99%%\\nend'; echo $TERM"})).await;
    assert_eq!(fixture.live(), "red\n99%\nenddumb\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_output_is_bounded_and_kept() {
    let fixture = Fixture::configured("output_limit = 2000").await;
    let text = fixture.ok("terminal", json!({"command": "seq 1 1000000"})).await;
    assert!(text.len() < 2500, "{} bytes", text.len());
    assert!(text.starts_with("1\n2\n") && text.ends_with("999999\n1000000"), "{text}");
    let path = text.split("the full text is in ").nth(1).unwrap().split(" …]").next().unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 1_000_000);
    let tail = fixture.ok("read", json!({"path": path, "offset": 999_999})).await;
    assert!(tail.starts_with("999999\n1000000\n"), "{tail}");
    assert!(fixture.live().len() < 2 << 20, "what is shown live is bounded, too");
    assert!(fixture.agent.delete_session(fixture.session.id()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn input_is_at_its_end_and_a_dead_shell_is_replaced() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.ok("terminal", json!({"command": "cat; echo done"})).await, "done");
    let pid = fixture.ok("terminal", json!({"command": "(sleep 0.1; kill -9 $$) >/dev/null 2>&1 & echo $$"})).await;
    eventually("the shell is dead", || is_gone(&pid)).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(fixture.ok("terminal", json!({"command": "echo new"})).await, "new");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_configuration_commands_run_in_the_clients_terminals() {
    let mut capabilities = ClientCapabilities::default();
    capabilities.terminals = true;
    let fixture = Fixture::with("terminal = \"client\"", Editor { capabilities, ..Editor::default() }).await;
    fixture.editor.ends.lock().unwrap().extend([
        {
            let mut end = CommandEnd::new("\x1b[31mtheirs\x1b[0m\n");
            end.exit_code = Some(0);
            end
        },
        {
            let mut end = CommandEnd::new("half");
            (end.timed_out, end.truncated) = (true, true);
            end
        },
    ]);
    assert_eq!(fixture.ok("terminal", json!({"command": "echo 'x y'"})).await, "theirs");
    let run = fixture.editor.commands.lock().unwrap().pop().unwrap();
    assert_eq!((run.call_id.as_str(), run.args.as_slice()), ("call", &["-c".to_owned(), "echo 'x y'".to_owned()][..]));
    assert_eq!((run.cwd.as_path(), run.time_limit), (fixture.cwd.as_path(), Duration::from_mins(2)));
    let text = fixture.err("terminal", json!({"command": "sleep 9", "timeout_seconds": 5})).await;
    assert_eq!(text, "half\n[the beginning of the output is missing]\n[ended: it took longer than 5 s]");
    let fixture = Fixture::configured("terminal = \"client\"").await;
    assert_eq!(fixture.ok("terminal", json!({"command": "echo ours"})).await, "ours", "a client without terminals");
}
