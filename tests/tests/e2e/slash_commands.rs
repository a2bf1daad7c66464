//! Markdown files as slash commands.

use crow_tests::{ModelServer, Reply, Sandbox};
use serde_json::json;

use crate::stage::Stage;

#[test]
fn a_file_is_in_the_menu_and_a_new_one_with_the_next_prompt() {
    let server = ModelServer::start();
    let sandbox = Sandbox::with_model(&server);
    let commands = sandbox.home().join("commands/git");
    std::fs::create_dir_all(&commands).expect("a directory");
    let text = "---\ndescription: Makes a commit\nargument-hint: message\n---\nCommit with: $ARGUMENTS";
    std::fs::write(commands.join("commit.md"), text).expect("a file");
    let stage = Stage::on(server, sandbox);
    let listed = |name: &str| {
        let updates = json!(stage.client.updates(&stage.session));
        let offers = updates.as_array().expect("updates").iter().rev();
        let mut offers = offers.filter(|update| update["sessionUpdate"] == "available_commands_update");
        offers.next().expect("commands").to_string().contains(&format!("\"{name}\""))
    };
    stage.server.push(Reply::say("ok"));
    stage.prompt("/git:commit all of it");
    assert!(stage.server.wait_requests(1).text().contains("Commit with: all of it"));
    assert!(listed("git:commit") && !listed("new"));

    std::fs::write(stage.sandbox.home().join("commands/new.md"), "Something new").expect("a file");
    stage.server.push(Reply::say("ok"));
    stage.prompt("/new");
    assert!(stage.server.requests().last().expect("a request").text().contains("Something new"));
    assert!(listed("new"));
}
