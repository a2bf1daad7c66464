//! Skills and documents, in the real binary.

use std::fs;

use crow_tests::{ModelServer, Reply, Sandbox};
use serde_json::{Value, json};

use crate::stage::{Stage, said_by};

const DEPLOY: &str = "---\nname: deploy\ndescription: Deploys the app. For whoever says ship it.\n---\n\nRun `frobnicate --all` and wait.\n";

/// A place with a skill of the user's.
fn with_skill(server: &ModelServer) -> Sandbox {
    let sandbox = Sandbox::with_model(server);
    let directory = sandbox.home().join("skills/deploy");
    fs::create_dir_all(&directory).expect("a writable CROW_HOME");
    fs::write(directory.join("SKILL.md"), DEPLOY).expect("a writable CROW_HOME");
    sandbox
}

/// A place with a document.
fn with_document(server: &ModelServer, more: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let section = format!("\n[plugins.skills-rag]\npaths = [\"docs/**/*.md\"]\nwait_ms = 20000\n{more}");
    sandbox.config(&format!("{}{section}", Sandbox::model_config(server)));
    sandbox
        .file("docs/guide.md", "# Guide\n\nWelcome.\n\n## Staging\n\nThe staging cluster is deployed by frobnicate.\n");
    sandbox
}

fn tools(request: &Value) -> Vec<&str> {
    request["tools"].as_array().into_iter().flatten().filter_map(|tool| tool["function"]["name"].as_str()).collect()
}

#[test]
fn a_skill_is_listed_and_loaded() {
    let server = ModelServer::start();
    let sandbox = with_skill(&server);
    let stage = Stage::on(server, sandbox);
    stage.use_tool("load_skill", &json!({ "name": "deploy" }));
    assert!(stage.tool_result().contains("Run `frobnicate --all` and wait."), "{}", stage.tool_result());
    assert_eq!(stage.permissions_asked(), 0);
    let requests = stage.server.requests();
    let system = said_by("system", &requests[0].messages());
    assert!(system[0].contains("- deploy: Deploys the app. For whoever says ship it."), "{}", system[0]);
    assert_eq!(said_by("system", &requests[1].messages()), system, "the same letter by letter in every request");
    assert!(tools(&requests[0].json()).contains(&"search_skills"));

    stage.server.push(Reply::say("shipped"));
    stage.prompt("/skill:deploy to staging");
    let said = said_by("user", &stage.server.wait_requests(3).messages());
    assert!(said[1].contains("Run `frobnicate --all`") && said[1].ends_with("to staging"), "{said:?}");
    let commands = json!(stage.client.updates(&stage.session)).to_string();
    assert!(commands.contains("skill:deploy"), "{commands}");
}

#[test]
fn a_document_is_retrieved_and_stays_where_it_was_put() {
    let server = ModelServer::start();
    let sandbox = with_document(&server, "");
    let stage = Stage::on(server, sandbox);
    stage.server.otherwise(Reply::say("by frobnicate"));
    let turn = stage.prompt("How is the staging cluster deployed?");
    let first = stage.server.wait_requests(1).messages();
    let context = said_by("user", &first).concat();
    assert!(context.contains("## docs/guide.md:5-7 (Guide > Staging)"), "{context}");
    assert!(context.contains("is deployed by frobnicate."), "{context}");
    let shown = turn.of_kind("tool_call");
    assert_eq!(shown.len(), 1, "the user sees what was put in: {turn:#?}");
    assert_eq!(shown[0]["title"], "Found docs/guide.md:5-7");
    assert_eq!(shown[0]["locations"][0]["line"], 5);

    stage.prompt("And how is the staging cluster deployed on Sundays?");
    let second = stage.server.wait_requests(2).messages();
    assert_eq!(second[..first.len()], first, "what was sent is sent again as it was");
    assert_eq!(json!(second).to_string().matches("Guide > Staging").count(), 1, "once in a session");

    // After a restart too: the conversation that is loaded has it already.
    let stage = stage.restart();
    stage.load();
    stage.prompt("How is the staging cluster deployed, once more?");
    let third = stage.server.wait_requests(3).messages();
    assert_eq!(json!(third).to_string().matches("Guide > Staging").count(), 1);
    let mode = fs::metadata(stage.sandbox.home().join("skills.db")).map(|file| file.permissions());
    let mode = mode.map(|mode| std::os::unix::fs::PermissionsExt::mode(&mode));
    assert_eq!(mode.expect("an index") & 0o077, 0, "the index is private");
}

#[test]
fn a_projects_skills_are_off_until_it_is_trusted() {
    let server = ModelServer::start();
    let sandbox = Sandbox::with_model(&server);
    sandbox.file(".git/HEAD", "ref: refs/heads/main\n");
    sandbox.file(".agents/skills/deploy/SKILL.md", DEPLOY);
    let stage = Stage::on(server, sandbox);
    stage.server.otherwise(Reply::say("ok"));
    stage.prompt("ship it");
    let body = stage.server.wait_requests(1).json();
    assert!(!body.to_string().contains("deploy"), "{body}");
    assert!(!tools(&body).contains(&"load_skill"));
    let seen = json!(stage.client.updates(&stage.session)).to_string();
    assert!(seen.contains("deploy") && seen.contains("crow trust"), "{seen}");

    let trusted = stage.sandbox.run(&["trust", "--yes"]);
    assert!(trusted.status.success(), "{}", String::from_utf8_lossy(&trusted.stderr));
    let Stage { client, sandbox, server, .. } = stage;
    client.finish();
    let stage = Stage::on(server, sandbox);
    stage.prompt("ship it");
    let body = stage.server.wait_requests(2).json();
    assert!(body.to_string().contains("- deploy: Deploys the app."), "{body}");

    // It is another one now: the model cannot load what nobody has looked at.
    stage.sandbox.file(".agents/skills/deploy/SKILL.md", DEPLOY.replace("frobnicate", "rm -rf"));
    stage.use_tool("load_skill", &json!({ "name": "deploy" }));
    let result = stage.tool_result();
    assert!(!result.contains("rm -rf") && result.contains("crow trust"), "{result}");
}

#[test]
fn an_embedder_that_fails_leaves_the_search_by_words() {
    let server = ModelServer::start();
    let sandbox = with_document(&server, "\n[plugins.openai]\nembed = \"test/small\"\n");
    server.when("deployed by frobnicate", Reply::error(500, "out of memory"));
    let stage = Stage::on(server, sandbox);
    stage.server.otherwise(Reply::say("ok"));
    let told = crow_tests::wait_for(crow_tests::PATIENCE, || {
        let seen = json!(stage.client.updates(&stage.session)).to_string();
        (seen.contains("by their words alone") && seen.contains("out of memory")).then_some(())
    });
    assert!(told.is_some(), "{:#?}", stage.client.updates(&stage.session));
    stage.prompt("How is the staging cluster deployed?");
    assert!(stage.server.wait_requests(1).text().contains("Guide > Staging"));
}

#[test]
fn without_any_nothing_is_there() {
    let stage = Stage::new([Reply::say("ok")]);
    stage.prompt("hi");
    let body = stage.server.wait_requests(1).json();
    assert!(!tools(&body).contains(&"search_skills"), "{body}");
    assert!(!stage.sandbox.home().join("skills.db").exists());
}
