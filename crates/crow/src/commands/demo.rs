//! `crow demo`: the main job on an embedded default. A small project with a failing test, the real agent, and a recording
//! in the model's place. Nothing else is played: if the tools did not do the work, the demo says so and fails.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use crow_acp::crow_hooks::Monitor;
use crow_acp::{Config, Overrides, Sources};

use crate::args::Cli;
use crate::client::{self, News};
use crate::exit::{Exit, Failure};
use crate::host::Host;
use crate::logs::private_dir;
use crate::render::Style;
use crate::show::{Show, TraceTo};
use crate::signals::Interrupts;
use crate::trace::Trace;
use crate::turn::{self, Answers, Ended};

/// The project, file by file.
const PROJECT: [(&str, &str); 2] =
    [("leap.sh", include_str!("../demo/leap.sh")), ("test.sh", include_str!("../demo/test.sh"))];
/// The file with the bug.
const FAULTY: &str = "leap.sh";
/// The task.
const PROMPT: &str = "In this project the tests fail: sh test.sh. Find the bug and fix it.";
/// The configuration, as a user's would be.
const CONFIG: &str = "# The recording that is built into Crow, in a model's place.\nmodel = \"replay/demo\"\n\n\
    # The project is a throw-away copy: nothing is asked.\nmode = \"full\"\n";

/// Runs the command.
///
/// # Errors
/// It could not start, or the bug is still there at the end.
pub(crate) async fn run(cli: &Cli, keep: bool) -> Result<Exit, Failure> {
    let place = Place::make()?;
    let ended = play(cli, &place).await;
    if keep {
        let root = place.root.keep();
        crate::dialog::say(&format!("\nKept: {}", root.display()))?;
    }
    ended
}

async fn play(cli: &Cli, place: &Place) -> Result<Exit, Failure> {
    let mut show = Show::new(false);
    show.note(Style::Dim, "A project in a temporary directory, with a script and a test that fails:");
    let before = place.test()?;
    show.listing(&place.listing(), &before.said);
    if before.passes {
        return Err(Failure::failed("the demo's test passes before anything was fixed: there is nothing to show"));
    }
    show.said(PROMPT);

    let ended = work(cli, place, &mut show).await?;
    if ended.exit == Exit::Cancelled {
        return Ok(Exit::Cancelled);
    }
    let changed = fs::read_to_string(place.project.join(FAULTY)).ok().is_some_and(|text| text != PROJECT[0].1);
    let after = place.test()?;
    if let Some(error) = ended.error {
        return Err(Failure::failed(format!("the demo's run failed: {error}")).next(verdict(changed, &after)));
    }
    if !changed || !after.passes {
        return Err(Failure::failed("the demo did not fix the bug").next(verdict(changed, &after)));
    }
    show.note(Style::Good, "✓ Checked: leap.sh was changed on disk, and the test passes now. It failed before.");
    show.closing(CLOSING);
    Ok(Exit::Done)
}

/// What was found instead of a fixed bug.
fn verdict(changed: bool, after: &Test) -> String {
    let changed = if changed { "leap.sh was changed" } else { "leap.sh was not changed" };
    let passes = if after.passes { "the test passes" } else { "the test still fails" };
    format!("{changed}, and {passes}. Was a plugin switched off? `crow plugins` lists them.")
}

/// Lets the agent work, as `crow run` would.
async fn work(cli: &Cli, place: &Place, show: &mut Show) -> Result<Ended, Failure> {
    // Neither the user's configuration nor the environment has a say in what is shown; the command line has.
    let overrides =
        Overrides { set: cli.overrides.set.clone(), blocked: cli.overrides.blocked.clone(), ..Overrides::default() };
    let config = Config::load(&Sources { overrides, ..Sources::new(&place.home) })?;
    let queue = client::queue();
    let trace = cli.trace_hooks.then(|| {
        let sender = queue.0.clone();
        Arc::new(Trace::new(move |fired| drop(sender.send(News::Hook(fired)))))
    });
    let host = Host::new(config, cli.plugins, trace.clone().map(|trace| trace as Arc<dyn Monitor>)).await?;
    let agent = host.agent.clone();
    let mut interrupts = Interrupts::listen()?;
    let answers = Answers::Nobody { mode: "full".to_owned() };
    let ended = client::connect(&agent, queue, async |mut connection| {
        connection.initialize().await?;
        let opened = connection.open(&place.project, None).await?;
        for notice in &host.notices {
            show.note(Style::Warn, &notice.title);
        }
        let prompt = PROMPT.to_owned();
        let ended =
            turn::run(&mut connection, &opened.id, prompt, show, &answers, TraceTo::Conversation, &mut interrupts)
                .await;
        Ok((connection, ended))
    });
    let (mut connection, ended) = ended.await?;
    if let Some(trace) = trace {
        trace.flush();
    }
    // What fired while everything went down.
    while let Ok(news) = connection.news.try_recv() {
        if let News::Hook(fired) = news {
            show.hook(&fired, TraceTo::Conversation);
        }
    }
    Ok(ended)
}

/// The directories of one demo. They vanish with it.
#[derive(Debug)]
struct Place {
    root: tempfile::TempDir,
    project: PathBuf,
    home: PathBuf,
}

/// A run of the project's test.
#[derive(Debug)]
struct Test {
    passes: bool,
    said: String,
}

impl Place {
    fn make() -> Result<Self, Failure> {
        let cannot = |error: std::io::Error| Failure::failed(format!("no temporary directory for the demo: {error}"));
        let root = tempfile::TempDir::with_prefix("crow-demo-").map_err(cannot)?;
        let (project, home) = (root.path().join("leap"), root.path().join("home"));
        fs::create_dir(&project).map_err(cannot)?;
        private_dir(&home).map_err(cannot)?;
        for (name, text) in PROJECT {
            fs::write(project.join(name), text).map_err(cannot)?;
        }
        fs::write(home.join("config.toml"), CONFIG).map_err(cannot)?;
        Ok(Self { root, project, home })
    }

    fn listing(&self) -> String {
        let path = |name: &str| self.project.join(name).display().to_string();
        let line = |(name, text): &(&str, &str)| format!("{}  {} lines", path(name), text.lines().count());
        PROJECT.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Runs the test without the agent.
    fn test(&self) -> Result<Test, Failure> {
        let output = Command::new("sh")
            .arg("test.sh")
            .current_dir(&self.project)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| Failure::failed(format!("the demo needs a POSIX shell called `sh`: {error}")))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(Test { passes: output.status.success(), said })
    }
}

/// How to go on.
const CLOSING: &str = "\
Only the model's words were a recording.

A real model     crow init                 a key, or a model server on this machine
                 crow run \"PROMPT\"         one task in the directory you are in
In your editor   it starts `crow acp`; in Zed's settings.json:
                 \"agent_servers\": { \"Crow\": { \"type\": \"custom\",
                                              \"command\": \"crow\", \"args\": [\"acp\"] } }
                 JetBrains, Neovim, others: crow acp --help
Look inside      crow demo --trace-hooks   this again, with every hook as it fires
                 crow hooks                who implements which hook";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_project_is_broken_until_somebody_fixes_it() {
        let place = Place::make().unwrap();
        let before = place.test().unwrap();
        assert!(!before.passes);
        assert!(before.said.contains("FAIL  1900") && before.said.contains("2 failed"), "{}", before.said);
        assert_eq!(place.project.join(FAULTY), place.project.join(PROJECT[0].0));
    }

    #[test]
    fn the_directories_vanish() {
        let place = Place::make().unwrap();
        let path = place.root.path().to_owned();
        assert!(path.exists());
        drop(place);
        assert!(!path.exists());
    }
}
