use super::*;

const LONG: Duration = Duration::from_secs(20);

fn options(program: &str, cwd: &Path) -> ShellOptions {
    ShellOptions { program: vec![program.to_owned()], cwd: cwd.to_owned(), escapes: false }
}

fn temporary() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap();
    (dir, path)
}

async fn run(shell: &mut Shell, command: &str) -> (String, End) {
    let mut output = String::new();
    let end = shell.run(command, LONG, |text| output.push_str(text)).await.unwrap();
    (output, end)
}

async fn ok(shell: &mut Shell, command: &str) -> String {
    let (output, end) = run(shell, command).await;
    assert_eq!(end, End::Finished { code: 0 }, "{command}: {output}");
    output
}

fn shells() -> Vec<String> {
    ["bash", "sh", "dash", "zsh", "ksh", "busybox"]
        .iter()
        .filter_map(|name| first_program(&[name]))
        .filter(|n| n != "busybox")
        .collect()
}

/// Whether the process is gone or only waits to be collected.
fn is_dead(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.map_or(true, |stat| stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z')))
}

async fn dies(pid: &str) {
    for _ in 0..500 {
        if is_dead(pid) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{pid} lives on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directory_and_environment_stay_and_nothing_but_output_is_seen() {
    for program in shells() {
        let (_dir, base) = temporary();
        std::fs::create_dir(base.join("sub dir")).unwrap();
        let mut shell = Shell::start(&options(&program, &base)).unwrap();
        assert_eq!(ok(&mut shell, "echo hello").await, "hello\n", "{program}");
        assert_eq!(ok(&mut shell, "cd 'sub dir'; export A='x  y'; f() { echo \"f $1\"; }; B=2").await, "");
        assert_eq!(shell.cwd(), base.join("sub dir"));
        assert_eq!(
            ok(&mut shell, "pwd; echo \"$A\" $B; f 1").await,
            format!("{}\nx  y 2\nf 1\n", base.join("sub dir").display())
        );
        assert_eq!(ok(&mut shell, "printf 'no newline'").await, "no newline");
        assert_eq!(ok(&mut shell, "").await, "");
        assert_eq!(ok(&mut shell, "cat <<'EOF'\nit's \"quoted\" $HOME\nEOF\n").await, "it's \"quoted\" $HOME\n");
        assert_eq!(ok(&mut shell, "echo one # comment").await, "one\n");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_codes_and_mistakes_leave_the_shell_usable() {
    for program in shells() {
        let (_dir, base) = temporary();
        let mut shell = Shell::start(&options(&program, &base)).unwrap();
        assert_eq!(run(&mut shell, "false").await.1, End::Finished { code: 1 }, "{program}");
        assert_eq!(run(&mut shell, "(exit 42)").await.1, End::Finished { code: 42 });
        let (output, end) = run(&mut shell, "if then").await;
        assert!(matches!(end, End::Finished { code: 1.. }), "{program}: {end:?} {output}");
        assert!(!output.is_empty());
        let (_, end) = run(&mut shell, "surely-no-such-program").await;
        assert_eq!(end, End::Finished { code: 127 });
        assert_eq!(run(&mut shell, "sh -c 'kill -9 $$'").await.1, End::Finished { code: 137 });
        assert_eq!(ok(&mut shell, "echo still here").await, "still here\n");
        assert!(matches!(shell.run("a\0b", LONG, |_| ()).await, Err(ShellError::Nul)));
        assert_eq!(ok(&mut shell, "exec >/dev/null; echo lost").await, "");
        assert_eq!(ok(&mut shell, "echo found").await, "found\n");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shell_that_ends_says_how() {
    let (_dir, base) = temporary();
    let start = || Shell::start(&options("bash", &base)).unwrap();
    assert_eq!(
        run(&mut start(), "echo bye; exit 3").await,
        ("bye\n".to_owned(), End::ShellGone { code: Some(3), signal: None })
    );
    assert_eq!(run(&mut start(), "kill -9 $$").await.1, End::ShellGone { code: None, signal: Some(9) });
    assert_eq!(run(&mut start(), "set -e; false; echo no").await.1, End::ShellGone { code: Some(1), signal: None });
    assert_eq!(run(&mut start(), "exec true").await.1, End::ShellGone { code: Some(0), signal: None });
    let mut shell = start();
    run(&mut shell, "exit 0").await;
    assert_eq!(run(&mut shell, "echo never").await.1, End::ShellGone { code: Some(0), signal: None });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_a_terminal_whose_input_is_at_its_end() {
    let (_dir, base) = temporary();
    let mut shell = Shell::start(&options("bash", &base)).unwrap();
    assert_eq!(ok(&mut shell, "test -t 0 && test -t 1 && test -t 2 && echo yes").await, "yes\n");
    assert_eq!(ok(&mut shell, "cat; cat; echo done").await, "done\n");
    assert_eq!(
        run(&mut shell, "read -p 'Continue? ' answer").await,
        ("Continue? ".to_owned(), End::Finished { code: 1 })
    );
    assert_eq!(ok(&mut shell, "stty size").await, "50 160\n");
    ok(&mut shell, "stty raw echo onlcr").await;
    assert_eq!(ok(&mut shell, "cat; echo put right").await, "put right\n");
    assert_eq!(ok(&mut shell, "echo $TERM $PAGER").await, "dumb cat\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_is_live_and_whole_whatever_it_is() {
    let (_dir, base) = temporary();
    let mut shell = Shell::start(&options("bash", &base)).unwrap();
    let (first, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let (marker, command) = (base.join("go on"), "echo one; until [ -e 'go on' ]; do sleep 0.01; done; echo two");
    let running = tokio::spawn(async move {
        let end = shell.run(command, LONG, |text| drop(first.send(text.to_owned()))).await.unwrap();
        (shell, end)
    });
    assert_eq!(seen.recv().await.unwrap(), "one\n", "seen while the command runs");
    std::fs::write(marker, "").unwrap();
    let (mut shell, end) = running.await.unwrap();
    assert_eq!(end, End::Finished { code: 0 });
    let lines = ok(&mut shell, "seq 1 100000").await;
    assert_eq!(lines, (1..=100_000).map(|n| format!("{n}\n")).collect::<Vec<_>>().concat());
    let snow = ok(&mut shell, "printf '\\342'; sleep 0.05; printf '\\230\\203\\n'; printf '\\377\\n'").await;
    assert_eq!(snow, "\u{2603}\n\u{fffd}\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_in_the_background_go_on_and_are_heard() {
    let (_dir, base) = temporary();
    let mut shell = Shell::start(&options("bash", &base)).unwrap();
    ok(&mut shell, "(until [ -e go ]; do sleep 0.01; done; seq 1 100000; touch printed) &").await;
    ok(&mut shell, "touch go").await;
    while !base.join("printed").exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let output = ok(&mut shell, "echo mine").await;
    assert!(output.ends_with("99999\n100000\nmine\n"), "{}", &output[output.len().saturating_sub(100)..]);
    // What waits is bounded: 64 KiB with us, and what the system holds on top of that.
    assert!(output.len() < 300 << 10, "{} bytes", output.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_limit_ends_the_wait_and_dropping_ends_everything() {
    let (_dir, base) = temporary();
    let mut shell = Shell::start(&options("bash", &base)).unwrap();
    let mut output = String::new();
    let command = "trap '' TERM HUP; (sleep 1000) & echo $!; setsid sleep 1000 & echo $!; echo $$; \
                   (exec env -u CROW_TERMINAL sleep 1000) & echo $!; while :; do :; done";
    let end = shell.run(command, Duration::from_millis(500), |text| output.push_str(text)).await.unwrap();
    assert_eq!(end, End::TimedOut);
    drop(shell);
    let pids: Vec<&str> = output.lines().collect();
    assert_eq!(pids.len(), 4, "{output}");
    for pid in pids {
        dies(pid).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_waits_until_all_are_gone() {
    let (_dir, base) = temporary();
    let mut shell = Shell::start(&options("bash", &base)).unwrap();
    let pids =
        ok(&mut shell, "sleep 1000 & echo $!; bash -c 'trap \"\" TERM; sleep 1000; sleep 1000' & echo $!; echo $$")
            .await;
    shell.close().await;
    assert_eq!(pids.lines().count(), 3);
    assert!(pids.lines().all(is_dead), "{pids}");
    let shell = pids.lines().last().unwrap();
    assert!(!Path::new(&format!("/proc/{shell}")).exists(), "the shell is collected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shell_that_is_none_is_a_clear_error() {
    let (_dir, base) = temporary();
    let error = Shell::start(&options("/no/such/shell", &base)).unwrap_err().to_string();
    assert!(error.starts_with("the shell `/no/such/shell` cannot be started: "), "{error}");
    let error = Shell::start(&options("bash", &base.join("gone"))).unwrap_err().to_string();
    assert!(error.ends_with("/gone does not exist any more"), "{error}");
}

/// The other half of the next test: an agent that is about to be killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by the test below"]
async fn agent_that_is_killed() {
    let Some(directory) = std::env::var_os("CROW_TEST_DIRECTORY").map(PathBuf::from) else { return };
    let mut shell = Shell::start(&options("bash", &directory)).unwrap();
    ok(&mut shell, "sleep 1000 & echo $! >background").await;
    let _ = shell
        .run("echo $$ >shell; sleep 1000 & echo $! >foreground.tmp; mv foreground.tmp foreground; wait", LONG, |_| ())
        .await;
}

#[tokio::test]
async fn if_the_agent_is_killed_the_system_hangs_up() {
    let (_dir, base) = temporary();
    let mut agent = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "shell::tests::agent_that_is_killed", "--ignored", "--nocapture"])
        .env("CROW_TEST_DIRECTORY", &base)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while !base.join("foreground").exists() {
        assert!(agent.try_wait().unwrap().is_none(), "the agent is gone too early");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    agent.kill().unwrap();
    agent.wait().unwrap();
    for file in ["shell", "foreground", "background"] {
        dies(&std::fs::read_to_string(base.join(file)).unwrap()).await;
    }
}
