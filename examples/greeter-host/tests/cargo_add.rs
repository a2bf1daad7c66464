//! `cargo add` alone makes a plugin work: the host is copied, built, given a dependency, and built again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The host in a directory of its own, with nothing of this workspace around it.
fn copy() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cargo-add-alone");
    fs::create_dir_all(copy.join("src")).unwrap();
    fs::copy(here.join("src/main.rs"), copy.join("src/main.rs")).unwrap();
    let root = here.parent().and_then(Path::parent).unwrap();
    fs::copy(root.join("Cargo.lock"), copy.join("Cargo.lock")).unwrap();
    let manifest = fs::read_to_string(here.join("Cargo.toml")).unwrap();
    let manifest = manifest
        .replace("\"../../", &format!("\"{}/", root.display()))
        .replace("\"../", &format!("\"{}/examples/", root.display()));
    fs::write(copy.join("Cargo.toml"), manifest + "\n[workspace]\n").unwrap();
    copy
}

fn cargo(directory: &Path, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(args)
        .current_dir(directory)
        .env("CARGO_TARGET_DIR", directory.join("target"))
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn cargo_add_is_all_it_takes() {
    let host = copy();
    assert_eq!(cargo(&host, &["run", "--quiet", "--offline", "--", "Ada"]), "0 plugins\n");
    let loud = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("greeter-loud");
    cargo(&host, &["add", "--quiet", "--offline", "--path", loud.to_str().unwrap()]);
    assert_eq!(cargo(&host, &["run", "--quiet", "--offline", "--", "Ada"]), "1 plugins\nHELLO ADA!\n");
    // The same under another name, and behind a feature that is off.
    cargo(&host, &["remove", "--quiet", "--offline", "greeter-loud"]);
    let add = ["add", "--quiet", "--offline", "--optional", "--rename", "noise", "--path", loud.to_str().unwrap()];
    cargo(&host, &add);
    assert_eq!(cargo(&host, &["run", "--quiet", "--offline", "--", "Ada"]), "0 plugins\n");
    let run = ["run", "--quiet", "--offline", "--features", "noise", "--", "Ada"];
    assert_eq!(cargo(&host, &run), "1 plugins\nHELLO ADA!\n");
}
