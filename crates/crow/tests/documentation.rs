//! What the documentation shows is what there is.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use crow_acp::CrowHooks;
use crow_acp::crow_hooks::{Budget, Contract, HookSpec, Kind};
use expect_test::expect_file;

/// The groups of the reference: each begins with this hook.
const GROUPS: [(&str, &str); 8] = [
    ("configure", "Start and end of the process"),
    ("register_tools", "Sessions"),
    ("load_session", "The store"),
    ("before_prompt", "A prompt"),
    ("before_turn", "A turn: the request"),
    ("call_llm", "A turn: the answer"),
    ("repair_tool_call", "A turn: the tools"),
    ("before_stop", "The end of a run, and around"),
];

const INTRODUCTION: &str = "# Hook reference\n\nMade from the hookspecs; `crow hooks NAME` prints the same, with who implements it. \
    For the order see [who is called when](order.md).\n\nAn impl takes any of the arguments by name, and returns the value, an \
    `Option` of it, or a `Result` of either. `agent` and `session` give access to everything.\n";

#[test]
fn the_hook_reference_is_current() {
    let mut text = INTRODUCTION.to_owned();
    for spec in <dyn CrowHooks as Contract>::SPECS {
        if let Some((_, title)) = GROUPS.iter().find(|(first, _)| *first == spec.name) {
            let _ = writeln!(text, "\n## {title}");
        }
        let _ = writeln!(text, "\n### {}\n\n```rust,ignore\n{spec}\n```\n", spec.name);
        let doc: Vec<&str> = spec.doc.trim().lines().map(str::trim).collect();
        let _ = writeln!(text, "{}\n\n*{}*", doc.join("\n"), kind(spec));
    }
    expect_file!["../../../docs/src/plugins/hooks.md"].assert_eq(&text);
}

fn kind(spec: &HookSpec) -> String {
    let kind = match spec.kind {
        Kind::FirstResult => "First: the first impl that gives a value ends the call.",
        _ if spec.isolate => "Isolate: a failing impl is reported and the others run.",
        _ if spec.output == "()" => "Collect: every impl runs; an error ends the call.",
        _ => "Collect: every impl runs, and the values come back as a list.",
    };
    let time = match spec.budget {
        _ if spec.sync => " Impls are plain functions.",
        Some(Budget::Unbounded) => " No limit of time.",
        Some(Budget::Limited(_)) => " A limit of time of its own.",
        None => "",
    };
    format!("{kind}{time}")
}

#[test]
fn every_group_of_the_reference_begins_with_a_hook() {
    for (first, _) in GROUPS {
        assert!(<dyn CrowHooks as Contract>::SPECS.iter().any(|spec| spec.name == first), "{first}");
    }
}

#[test]
fn every_page_of_the_book_is_listed_and_there() {
    let book = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src"));
    let summary = std::fs::read_to_string(book.join("SUMMARY.md")).expect("the book's summary");
    let pages: Vec<&str> = summary.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(pages.len() > 10);
    for page in pages {
        let page = book.join(page);
        let text = std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        for include in text.split("{{#include ").skip(1).filter_map(|rest| rest.split(['}', ':']).next()) {
            let path = page.with_file_name(include);
            assert!(path.is_file(), "{} includes {include}, which is not there", page.display());
        }
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let external = link.is_empty() || link.contains("://");
            assert!(external || page.with_file_name(link).is_file(), "{} links to {link}", page.display());
        }
    }
}

#[test]
fn the_readme_shows_the_demo_as_it_is() {
    let output = Command::new(env!("CARGO_BIN_EXE_crow")).arg("demo").output().expect("crow runs");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
    let readme = include_str!("../../../README.md");
    let recorded = readme.split("$ crow demo\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a recording");
    let (recorded, shown) = (timeless(recorded), timeless(&shown));
    for (at, line) in shown.iter().enumerate() {
        assert_eq!(recorded.get(at), Some(line), "line {} of the recording in README.md is old", at + 1);
    }
    assert_eq!(recorded.len(), shown.len(), "the recording in README.md has more lines");
}

/// Without what differs from run to run: the temporary directory, times, and spaces at the ends of lines.
fn timeless(text: &str) -> Vec<String> {
    let word = |word: &str| {
        if word.contains("crow-demo-") {
            word.rsplit('/').next().unwrap_or_default().to_owned()
        } else if word.parse::<f64>().is_ok() && word.contains('.') {
            "T".to_owned()
        } else {
            word.to_owned()
        }
    };
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ").trim_end().to_owned();
    text.trim().lines().map(line).collect()
}
