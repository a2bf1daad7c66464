//! The example does what the README says of it, and the README shows the example.

use std::process::{Command, Output};

fn crow(home: &std::path::Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_first-plugin"));
    command.args(args).env("CROW_HOME", home.join("crow-home")).env_remove("CROW_MODEL").current_dir(home);
    command.output().expect("the example runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn the_plugin_is_there_like_any_other() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let listed = crow(home.path(), &["plugins"]);
    assert!(said(&listed).contains("no-secrets"), "{}", said(&listed));
    let order = crow(home.path(), &["hooks", "before_prompt"]);
    assert!(said(&order).contains("no-secrets (tryfirst)"), "{}", said(&order));
    let off = crow(home.path(), &["hooks", "before_prompt", "-p", "no:no-secrets"]);
    assert!(off.status.success() && !said(&off).contains("no-secrets"), "{}", said(&off));
}

#[test]
fn a_prompt_with_a_secret_is_refused_with_the_reason() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let refused = crow(home.path(), &["run", "use sk-12345", "--model", "replay/demo"]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("that looks like a secret key"), "{}", said(&refused));
    let listed = crow(home.path(), &["sessions"]);
    assert!(!said(&listed).contains("sk-12345"), "{}", said(&listed));
}

#[test]
fn the_readme_shows_this_very_code() {
    let code = include_str!("../src/main.rs");
    let code: Vec<&str> = code.lines().filter(|line| !line.starts_with("//!")).collect();
    let code = code.join("\n");
    assert_eq!(code.trim().lines().count(), 15);
    assert!(include_str!("../../../README.md").contains(code.trim()), "README.md shows an older version");
}
