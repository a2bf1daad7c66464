//! A place of its own for each test, and the binary under test.

use std::{
    env, fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;

use crate::ModelServer;

/// The `crow` binary: `CROW_BIN`, or the one built next to the running test.
///
/// # Panics
/// With one line that says what to do, when there is none.
pub fn binary() -> PathBuf {
    built("crow", "CROW_BIN", "cargo build -p crow")
}

/// A binary of this workspace: what `variable` names, or the one next to the running program.
pub fn built(name: &str, variable: &str, build: &str) -> PathBuf {
    if let Some(path) = env::var_os(variable) {
        let path = PathBuf::from(path);
        // Commands run in directories of their own.
        return path.canonicalize().unwrap_or_else(|error| panic!("{variable} = {}: {error}", path.display()));
    }
    let running = env::current_exe().expect("the running program's path");
    let found = running.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("the `{name}` binary is not built: run `{build}`, or `cargo xtask test`, or set {variable}")
    })
}

/// A `CROW_HOME`, a project directory and an environment that no other test shares.
///
/// The environment starts empty but for `PATH`, `HOME` and `CROW_HOME`, so no key of the machine gets in.
#[derive(Debug)]
pub struct Sandbox {
    root: TempDir,
    env: Vec<(String, String)>,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Sandbox {
    /// A place without any configuration.
    pub fn new() -> Self {
        let root = TempDir::with_prefix("crow-test-").expect("a temporary directory");
        for folder in ["crow-home", "user", "project"] {
            fs::create_dir(root.path().join(folder)).expect("a new directory");
        }
        Self { root, env: Vec::new() }
    }

    /// A place whose configuration names `server` as its only model provider.
    pub fn with_model(server: &ModelServer) -> Self {
        let sandbox = Self::new();
        sandbox.config(&Self::model_config(server));
        sandbox
    }

    /// The configuration that [`with_model`](Self::with_model) writes. Tables may be added after it.
    pub fn model_config(server: &ModelServer) -> String {
        format!(
            "model = \"test/scripted\"\n\n[providers.test]\nprotocol = \"openai\"\nbase_url = \"{}\"\napi_key = \"test-key\"\n",
            server.base_url()
        )
    }

    /// Writes `CROW_HOME/config.toml`.
    pub fn config(&self, text: &str) {
        fs::write(self.home().join("config.toml"), text).expect("CROW_HOME is writable");
    }

    /// Sets an environment variable for what is started from here on.
    pub fn env(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// `CROW_HOME`.
    pub fn home(&self) -> PathBuf {
        self.root.path().join("crow-home")
    }

    /// The project directory: the `cwd` of sessions.
    pub fn project(&self) -> PathBuf {
        self.root.path().join("project")
    }

    /// The folder that holds everything here.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Writes a file of the project, with its folders, and returns its absolute path.
    pub fn file(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.project().join(path);
        fs::create_dir_all(path.parent().expect("a path in the project")).expect("the project is writable");
        fs::write(&path, content).expect("the project is writable");
        path
    }

    /// The text of a project file; `None` when it is not there.
    pub fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.project().join(path)).ok()
    }

    /// A command that runs the binary here with these arguments, in the project directory.
    pub fn command(&self, args: &[&str]) -> Command {
        self.command_for(&binary(), args)
    }

    /// A command that runs some program here.
    pub fn command_for(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(self.project())
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.root.path().join("user"))
            .env("CROW_HOME", self.home())
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs `crow` with these arguments to its end.
    ///
    /// # Panics
    /// When it cannot be started, or is not over after a minute (it is killed then).
    pub fn run(&self, args: &[&str]) -> Output {
        finish(self.command(args), &format!("crow {}", args.join(" ")))
    }

    /// Every file below `CROW_HOME`, with its bytes.
    pub fn home_files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        files(&self.home())
    }
}

/// Runs a command to its end, at most a minute.
///
/// # Panics
/// When it cannot be started or does not end.
pub fn finish(mut command: Command, name: &str) -> Output {
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
    let drain = |pipe: Option<Box<dyn Read + Send>>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut pipe) = pipe {
                let _ = pipe.read_to_end(&mut bytes);
            }
            bytes
        })
    };
    let stdout = drain(child.stdout.take().map(|pipe| Box::new(pipe) as _));
    let stderr = drain(child.stderr.take().map(|pipe| Box::new(pipe) as _));
    let status = crate::wait_for(Duration::from_mins(1), || child.try_wait().ok().flatten());
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let output = |thread: thread::JoinHandle<Vec<u8>>| thread.join().unwrap_or_default();
    let (stdout, stderr) = (output(stdout), output(stderr));
    let said = || format!("{}\n{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    let status = status.unwrap_or_else(|| panic!("{name} is not over after a minute; it said:\n{}", said()));
    Output { status, stdout, stderr }
}

fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(files(&path));
        } else if let Ok(bytes) = fs::read(&path) {
            found.push((path, bytes));
        }
    }
    found
}
