//! Plugins that are just installed, from `crow plugin new` to `crow plugin remove`.
//!
//! A program of its own, so that no test that looks at times runs beside the compilers. It compiles Crow once more, in
//! the target directory of the workspace and with its settings: what is there already is used.
#![forbid(unsafe_code)]

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::SystemTime,
};

use crow_tests::{Client, Sandbox};
use serde_json::Value;

/// What the model says, if the plugin told it how many words there are.
const TALK: &str = r#"
{"expect": "It has 3 words."}
{"text": "Three, I see."}
{"end": {"finish": "stop"}}
"#;

/// A sandbox with Rust in it.
struct Stage {
    sandbox: Sandbox,
}

impl Stage {
    fn new() -> Self {
        let root = workspace();
        let mut sandbox = Sandbox::new();
        let user = PathBuf::from(env::var_os("HOME").expect("a home directory"));
        let set = |name: &str, default: &str| env::var_os(name).map_or_else(|| user.join(default), PathBuf::from);
        let (cargo, rustup) = (set("CARGO_HOME", ".cargo"), set("RUSTUP_HOME", ".rustup"));
        sandbox.env("CARGO_HOME", cargo.to_str().expect("UTF-8"));
        sandbox.env("RUSTUP_HOME", rustup.to_str().expect("UTF-8"));
        for name in ["RUSTUP_TOOLCHAIN", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_INCREMENTAL"] {
            if let Ok(value) = env::var(name) {
                sandbox.env(name, &value);
            }
        }
        let running = env::current_exe().expect("the running program's path");
        let target = running.ancestors().nth(3).expect("target/debug/deps").to_owned();
        sandbox.env("CARGO_TARGET_DIR", target.to_str().expect("UTF-8"));
        sandbox.env("CROW_HOST_PROFILE", "dev");
        sandbox.env("CROW_SOURCE", root.to_str().expect("UTF-8"));
        // The workspace's own settings, so that what was compiled with them fits.
        let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("the workspace's manifest");
        let from = manifest.find("[profile.dev]").expect("settings for development");
        let to = manifest.find("[profile.release]").expect("settings for releases");
        fs::create_dir(sandbox.root().join(".cargo")).expect("a new directory");
        fs::write(sandbox.root().join(".cargo/config.toml"), &manifest[from..to]).expect("a new file");
        sandbox.file("talk.jsonl", TALK);
        Self { sandbox }
    }

    fn command(&self, args: &[&str]) -> Command {
        self.sandbox.command(args)
    }

    /// Runs `crow`, however long it takes.
    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("crow starts")
    }

    fn succeeds(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "crow {args:?}: {}", said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn fails(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(!output.status.success(), "crow {args:?}: {}", said(&output));
        said(&output)
    }

    /// Fails, and says all of these.
    fn refuses(&self, plugin: &str, says: &[&str]) {
        let output = self.fails(&["plugin", "add", plugin]);
        let missing: Vec<_> = says.iter().filter(|text| !output.contains(**text)).collect();
        assert!(missing.is_empty(), "{missing:?} are not in: {output}");
    }

    fn cargo(&self, directory: &Path, args: &[&str]) -> String {
        let output = self.sandbox.command_for(Path::new("cargo"), args).current_dir(directory).output();
        let output = output.expect("cargo starts");
        assert!(output.status.success(), "cargo {args:?}: {}", said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Everything that an attempt which fails must leave alone.
    fn installed(&self) -> (Vec<String>, Vec<Option<String>>, SystemTime) {
        let home = self.sandbox.home();
        let names = |folder: &str| {
            let entries = fs::read_dir(home.join(folder)).expect("a directory of crow's").flatten();
            let mut names: Vec<String> =
                entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            names
        };
        let texts = ["host/Cargo.toml", "host/Cargo.lock", "host/built.json"]
            .map(|name| fs::read_to_string(home.join(name)).ok());
        let program = fs::metadata(home.join("bin/crow")).and_then(|file| file.modified()).expect("the program");
        ([names("host"), names("bin")].concat(), texts.into(), program)
    }

    /// A plugin crate of another's, without `crow plugin new`.
    fn write_crate(&self, name: &str, dependencies: &str, lib: &str) {
        self.sandbox.file(
            &format!("{name}/Cargo.toml"),
            format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2024\"\n[dependencies]\n{dependencies}\n"),
        );
        self.sandbox.file(&format!("{name}/src/lib.rs"), lib);
    }

    /// The model answers only if the plugin told it what it expects.
    fn fires(&self) -> bool {
        let talk = self.sandbox.project().join("talk.jsonl");
        let output = self.run(&["run", "one two three", "--model", &format!("replay/{}", talk.display())]);
        output.status.success() && said(&output).contains("Three, I see.")
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace")
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn from_new_to_removed() {
    let stage = Stage::new();
    let project = stage.sandbox.project();

    // A plugin is written, and its test passes as it is.
    let wrote = stage.succeeds(&["plugin", "new", "word-count"]);
    assert!(wrote.contains("crow plugin add ./word-count"), "{wrote}");
    fs::copy(workspace().join("Cargo.lock"), project.join("word-count/Cargo.lock")).expect("the known versions");
    let tested = stage.cargo(&project.join("word-count"), &["test", "--offline"]);
    assert!(tested.contains("test the_model_is_told ... ok"), "{tested}");
    assert!(!stage.fires(), "it is not installed yet");

    // Added, it is there: listed, in the order of its hook, on the command line and in an editor.
    let added = stage.succeeds(&["plugin", "add", "./word-count"]);
    assert!(added.contains("runs with your rights") && added.contains("Installed word-count 0.1.0"), "{added}");
    let order = stage.succeeds(&["hooks", "before_run"]);
    assert!(order.contains("word-count"), "{order}");
    let plugins = json(&stage.succeeds(&["plugins", "--json"]));
    let last = plugins["plugins"].as_array().and_then(|all| all.last()).cloned().unwrap_or_default();
    assert_eq!((&last["name"], &last["source"]), (&"word-count".into(), &"installed".into()), "{plugins}");
    assert!(stage.fires(), "the hook does not fire in crow run");
    stage.sandbox.config(&format!("model = \"replay/{}\"\n", project.join("talk.jsonl").display()));
    let client = Client::start(&stage.sandbox);
    let session = client.new_session(&stage.sandbox);
    assert_eq!(client.prompt(&session, "one two three").text(), "Three, I see.");
    client.finish();
    let without = stage.command(&["hooks", "before_run"]).env("CROW_NO_HOST", "1").output().expect("crow starts");
    assert!(!said(&without).contains("word-count"), "{}", said(&without));

    refused(&stage);
    cancelled(&stage);
    unusable(&stage);

    // A second one, from a repository, with the published interface. The first one goes.
    stage.write_crate("by-git", "crow-acp = \"0.1\"", &silent_plugin("by-git"));
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).current_dir(project.join("by-git")).output().expect("git starts");
        assert!(output.status.success(), "{}", said(&output));
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "--quiet", "--message", "A plugin"]);
    let address = format!("file://{}", project.join("by-git").display());
    stage.succeeds(&["plugin", "add", &address]);
    let listed = json(&stage.succeeds(&["plugin", "list", "--json"]));
    assert_eq!(listed["plugins"][0]["from"], address.as_str(), "{listed}");
    assert_eq!(listed["plugins"][1]["name"], "word-count", "{listed}");
    let removed = stage.succeeds(&["plugin", "remove", "word_count"]);
    assert!(removed.contains("Removed word-count"), "{removed}");
    let plugins = stage.succeeds(&["plugins"]);
    assert!(plugins.contains("by-git") && !plugins.contains("word-count"), "{plugins}");
    assert!(stage.fails(&["plugin", "remove", "by-gti"]).contains("Did you mean `by-git`?"));

    // Without any, crow is itself.
    stage.succeeds(&["plugin", "remove", "by-git"]);
    assert!(!stage.sandbox.home().join("bin/crow").exists());
    assert!(!stage.succeeds(&["plugins"]).contains("by-git"));
}

fn silent_plugin(name: &str) -> String {
    format!(
        "use crow_acp::{{CrowHooks, hookimpls}};\npub struct Silent;\n#[hookimpls(name = \"{name}\")]\n\
         impl CrowHooks for Silent {{ fn on_session_start(&self) {{}} }}\n\
         pub fn plugin() -> Silent {{ Silent }}\n"
    )
}

/// What does not work is refused, and leaves everything as it was.
fn refused(stage: &Stage) {
    let before = stage.installed();
    let acp = format!("crow-acp = {{ path = \"{}/crates/crow-acp\" }}", workspace().display());
    stage.refuses("./word-count", &["installed already", "crow plugin update"]);

    stage.write_crate("broken", &acp, "pub fn plugin() -> u32 { \"one\" }\n");
    let log = stage.sandbox.home().join("host/build.log").display().to_string();
    stage.refuses("./broken", &["error[E0308]: mismatched types", "src/lib.rs:1", "Nothing was changed", &log]);

    stage.write_crate("no-crow", "", "");
    stage.refuses("./no-crow", &["`no-crow` is no plugin for Crow: it does not depend on crow-acp"]);
    stage.write_crate("mute", &acp, "");
    stage.refuses("./mute", &["exports no `pub fn plugin()`"]);
    stage.write_crate("second-tools", &acp, &silent_plugin("tools"));
    stage.refuses("./second-tools", &["two plugins want the name `tools`"]);

    // The interface of a later Crow.
    stage.sandbox.file("later/src/lib.rs", "");
    let later = "[package]\nname = \"crow-acp\"\nversion = \"2.0.0\"\n[package.metadata.crow]\nhook-api = 2\n";
    stage.sandbox.file("later/Cargo.toml", later);
    stage.write_crate("from-later", "crow-acp = { path = \"../later\" }", "");
    let sentence = "`from-later` 1.0.0 was made for version 2 of Crow's hooks, and this crow 0.1.0 has version 1";
    stage.refuses("./from-later", &[sentence, "Update crow"]);

    let mut without = stage.command(&["plugin", "add", "./broken"]);
    let no_cargo = without.env("PATH", "/nowhere").output().expect("crow starts");
    assert!(said(&no_cargo).contains("there is no cargo here"), "{}", said(&no_cargo));

    let after = stage.installed();
    assert_eq!(before, after);
    assert!(stage.fires(), "the old program works no more");
}

/// Ctrl-C while it compiles.
fn cancelled(stage: &Stage) {
    let before = stage.installed();
    let acp = format!("crow-acp = {{ path = \"{}/crates/crow-acp\" }}", workspace().display());
    // Takes longer to compile than anybody waits.
    let build = "fn main() { std::thread::sleep(std::time::Duration::from_secs(600)); }\n";
    stage.write_crate("slow", &acp, &silent_plugin("slow"));
    stage.sandbox.file("slow/build.rs", build);
    let mut child = stage.command(&["plugin", "add", "./slow"]).stderr(Stdio::piped()).spawn().expect("crow starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.starts_with("Compiling Crow")), "it does not get that far");
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill starts");
    assert!(killed.success());
    let output = child.wait_with_output().expect("crow ends");
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(said(&output).contains("nothing was changed"), "{}", said(&output));
    assert_eq!(before, stage.installed());
    assert!(stage.fires());
}

/// A program that cannot be used is no reason not to start.
fn unusable(stage: &Stage) {
    use std::os::unix::fs::PermissionsExt;
    let (program, built) = (stage.sandbox.home().join("bin/crow"), stage.sandbox.home().join("host/built.json"));
    let told = |why: &str| {
        let plugins = stage.succeeds(&["plugins"]);
        let notice = plugins.lines().find(|line| line.contains("the installed plugins are not in use"));
        let notice = notice.unwrap_or_else(|| panic!("no notice in: {plugins}"));
        assert!(notice.contains(why) && notice.contains("crow plugin update"), "{notice}");
        assert!(!stage.fires(), "who fires there?");
    };
    let aside = program.with_file_name("aside");
    fs::rename(&program, &aside).expect("a rename");
    told("No such file");
    fs::write(&program, "not a program").expect("a new file");
    fs::set_permissions(&program, PermissionsExt::from_mode(0o700)).expect("its owner's");
    told("is not what was built");
    fs::rename(aside, &program).expect("a rename");
    fs::set_permissions(&program, PermissionsExt::from_mode(0o777)).expect("its owner's");
    told("can be changed by other users");
    fs::set_permissions(&program, PermissionsExt::from_mode(0o700)).expect("its owner's");
    let note = fs::read_to_string(&built).expect("a note");
    fs::write(&built, note.replace("\"crow\":\"0.1.0\"", "\"crow\":\"0.0.9\"")).expect("a file");
    told("built for crow 0.0.9");
    fs::write(&built, "{").expect("a file");
    told("cannot be read");
    fs::write(&built, note).expect("a file");
    assert!(stage.fires());
}
