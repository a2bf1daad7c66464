//! `glob`, `grep`.

use serde_json::json;

use crate::support::{Editor, Fixture};

async fn project(section: &str) -> Fixture {
    let fixture = Fixture::configured(section).await;
    fixture.file(".gitignore", "target/\n");
    fixture.file("target/debug/lib.rs", "fn needle() {}\n");
    fixture.file(".git/needle.rs", "needle\n");
    fixture.file(".github/ci.yml", "run: needle\n");
    fixture.file("src/lib.rs", "one\nfn needle() {}\nthree\nfour\nfive\nNeedle\n");
    fixture.file("src/deep/mod.rs", "needle needle\n");
    fixture.file("binary", b"needle\0\n");
    fixture
}

#[tokio::test]
async fn files_are_found_by_name() {
    let fixture = project("").await;
    assert_eq!(fixture.ok("glob", json!({"pattern": "*.rs"})).await, "src/deep/mod.rs\nsrc/lib.rs\n");
    assert_eq!(fixture.preview().title, "Find `*.rs`");
    assert_eq!(fixture.ok("glob", json!({"pattern": "*.rs", "path": "src"})).await, "src/deep/mod.rs\nsrc/lib.rs\n");
    assert_eq!(fixture.ok("glob", json!({"pattern": "src/*.rs"})).await, "src/lib.rs\n");
    assert_eq!(fixture.ok("glob", json!({"pattern": "*.{yml,md}"})).await, ".github/ci.yml\n");
    assert_eq!(fixture.ok("glob", json!({"pattern": "*.nope"})).await, "[no file matches]");
    assert!(fixture.err("glob", json!({"pattern": "../*"})).await.contains("say where to look with `path`"));
    assert!(fixture.err("glob", json!({"pattern": "[a"})).await.contains("is wrong"));
    assert!(fixture.err("glob", json!({"pattern": "*", "path": "binary"})).await.contains("is not a directory"));
}

#[tokio::test]
async fn lines_are_found_by_what_they_say() {
    let fixture = project("").await;
    assert_eq!(
        fixture.ok("grep", json!({"pattern": "needle"})).await,
        ".github/ci.yml:1:run: needle\nsrc/deep/mod.rs:1:needle needle\nsrc/lib.rs:2:fn needle() {}\n"
    );
    assert_eq!(
        fixture.ok("grep", json!({"pattern": "^needle$", "ignore_case": true, "glob": "src/*.rs", "context": 1})).await,
        "src/lib.rs-5-five\nsrc/lib.rs:6:Needle\n"
    );
    assert_eq!(fixture.preview().title, "Search for `^needle$` (src/*.rs)");
    assert_eq!(
        fixture.ok("grep", json!({"pattern": "e", "path": "src/lib.rs", "context": 0, "limit": 2})).await,
        "src/lib.rs:1:one\nsrc/lib.rs:2:fn needle() {}\n\n[only the first 2 matching lines are shown; search for something narrower]"
    );
    assert_eq!(
        fixture.ok("grep", json!({"pattern": "one|Needle", "path": "src", "context": 1})).await,
        "src/lib.rs:1:one\nsrc/lib.rs-2-fn needle() {}\n--\nsrc/lib.rs-5-five\nsrc/lib.rs:6:Needle\n"
    );
    assert_eq!(fixture.ok("grep", json!({"pattern": "absent"})).await, "[no line matches]");
    assert!(fixture.err("grep", json!({"pattern": "("})).await.contains("cannot be searched for"));
    assert!(fixture.err("grep", json!({"pattern": "x", "path": "none"})).await.contains("No such file"));
}

#[tokio::test]
async fn results_are_bounded() {
    let fixture = project("max_results = 2\noutput_limit = 1000").await;
    for file in 0..5 {
        fixture.file(&format!("many/{file}.txt"), "hay\n".repeat(300));
    }
    assert_eq!(
        fixture.ok("glob", json!({"pattern": "*.txt"})).await,
        "many/0.txt\nmany/1.txt\n\n[3 more files match; make the pattern narrower]"
    );
    assert_eq!(fixture.ok("grep", json!({"pattern": "hay", "path": "many/0.txt"})).await.matches("hay").count(), 2);
    let long = fixture.ok("grep", json!({"pattern": "hay", "limit": 100_000})).await;
    assert!(long.len() < 1500 && long.contains("the full text is in "), "{long}");
    let path = long.split("the full text is in ").nth(1).unwrap().split(" …]").next().unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap().matches("hay").count(), 1500);
    assert!(
        fixture.ok("grep", json!({"pattern": "hay", "path": path, "limit": 1})).await.contains("1:many/0.txt:1:hay")
    );
    assert_eq!(fixture.preview().access, [], "the model's own output needs no leave");
}

#[tokio::test]
async fn long_lines_are_cut_around_the_match() {
    let fixture = Fixture::new().await;
    fixture.file("minified.js", format!("{}needle{}\n", "a".repeat(5000), "é".repeat(5000)));
    let found = fixture.ok("grep", json!({"pattern": "needle"})).await;
    assert!(found.contains("needle") && found.len() < 600, "{} bytes", found.len());
}

#[tokio::test]
async fn the_configuration_can_leave_more_out() {
    let fixture = Fixture::build("ignore = [\"*.gen.rs\", \"/vendor\"]", Editor::default()).await;
    for name in ["a.rs", "b.gen.rs", "vendor/c.rs", "src/vendor/d.rs"] {
        fixture.file(name, "x\n");
    }
    assert_eq!(fixture.ok("glob", json!({"pattern": "*.rs"})).await, "a.rs\nsrc/vendor/d.rs\n");
    assert_eq!(fixture.ok("grep", json!({"pattern": "x"})).await, "a.rs:1:x\nsrc/vendor/d.rs:1:x\n");
    assert_eq!(fixture.ok("list", json!({})).await, "src/\na.rs\n\n[2 ignored entries are left out]");
}
