//! `.mcp.json`: off until the user has trusted exactly what it says.

use std::time::Duration;

use crow_acp::Session;
use serde_json::json;

use crate::support::{Stage, tools};

fn write(stage: &Stage, mode: &str) {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mcp/odd_server.py");
    let server = json!({ "command": "python3", "args": [script, mode, stage.log()] });
    let file = json!({ "mcpServers": { "brought": server } });
    std::fs::write(stage.cwd.join(".mcp.json"), file.to_string()).unwrap();
}

fn approve(stage: &Stage, session: &Session) {
    let items: Vec<_> = stage.agent.trust().items(session).into_iter().map(|judged| judged.item).collect();
    assert_eq!(items.len(), 1);
    assert_eq!((items[0].kind.as_str(), items[0].name.as_str()), ("mcp server", "brought"));
    assert!(items[0].summary.starts_with("python3 "), "{}", items[0].summary);
    stage.agent.trust().approve(session, &items).unwrap();
}

#[tokio::test]
async fn nothing_starts_before_it_is_trusted_nor_after_it_has_changed() {
    let stage = Stage::new("").await;
    write(&stage, "echo");
    let session = stage.session(Vec::new()).await;
    stage.prompt(&session, "hi").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(tools(&session).is_empty());
    assert_eq!(stage.logged(), "");
    let notices = stage.notices().join("\n");
    assert!(notices.contains("mcp server `brought`") && notices.contains("crow trust"), "{notices}");

    approve(&stage, &session);
    let session = stage.session(Vec::new()).await;
    assert_eq!(stage.call(&session, "mcp__brought__echo", json!({ "text": "x" })).await.text, "echo: x");
    let said = stage.mcp(&session, "").await;
    assert!(said.contains("**brought** (from the project): ready"), "{said}");

    write(&stage, "hints");
    let session = stage.session(Vec::new()).await;
    stage.prompt(&session, "hi").await;
    assert!(tools(&session).is_empty(), "{:?}", tools(&session));
}

#[tokio::test]
async fn what_the_user_says_of_a_name_is_not_said_of_a_projects_server() {
    let config = "[plugins.mcp.servers.brought]\nread_only = [\"looks\"]";
    let stage = Stage::new(config).await;
    write(&stage, "hints");
    let session = stage.session(Vec::new()).await;
    approve(&stage, &session);
    let session = stage.session(Vec::new()).await;
    stage.prompt(&session, "hi").await;
    assert!(!session.tool("mcp__brought__looks").expect("a tool").read_only);
}
