//! The command line, read into what it asks for.

mod sessions;
mod stats;

use std::ffi::OsString;

use crow_acp::Overrides;
use lexopt::{Arg, Parser, ValueExt};

use crate::exit::Failure;
use crate::help::Topic;
use crate::plugins::Plugins;

pub(crate) use sessions::{Format, Sessions};
pub(crate) use stats::Stats;

/// What the command line asks for.
#[derive(Debug, Clone)]
pub(crate) struct Cli {
    /// The plugins of this program.
    pub(crate) plugins: Plugins,
    /// The command.
    pub(crate) command: Command,
    /// What it says over the configuration.
    pub(crate) overrides: Overrides,
    /// `--json`: for programs.
    pub(crate) json: bool,
    /// `--trace-hooks`: show every hook as it fires.
    pub(crate) trace_hooks: bool,
}

/// A command and what belongs to it alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Bare `crow`.
    Status,
    Help(Topic),
    Version,
    Acp,
    Run(Run),
    Demo {
        keep: bool,
    },
    Init(Init),
    Doctor,
    Plugins,
    Hooks {
        name: Option<String>,
    },
    Sessions(Sessions),
    Stats(Stats),
    /// The file of an earlier Crow.
    Import(String),
    Plugin(Plugin),
    Trust(Trust),
}

/// `crow run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    /// The prompt; `-` means standard input.
    pub(crate) prompt: String,
    /// The session to go on with.
    pub(crate) session: Option<String>,
}

/// `crow init`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Init {
    /// The name of the provider in the configuration.
    pub(crate) provider: Option<String>,
    /// Its address.
    pub(crate) base_url: Option<String>,
    /// The environment variable that holds the key.
    pub(crate) key_env: Option<String>,
    /// Ask nothing.
    pub(crate) yes: bool,
}

/// `crow trust`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Of every project.
    List,
    /// Looks at what a project brings along, and decides; with `yes`, for all of it.
    Review { directory: Option<String>, yes: bool },
    /// Takes it back.
    Revoke { directory: Option<String> },
}

/// `crow plugin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plugin {
    /// What to do.
    pub(crate) verb: Verb,
    /// `--source`: where Crow's own crates are.
    pub(crate) source: Option<String>,
}

/// What `crow plugin` does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verb {
    List,
    /// A crate's name, a path or the address of a git repository; which package of that repository, and which state.
    Add {
        what: String,
        package: Option<String>,
        state: Option<(&'static str, String)>,
    },
    Remove(String),
    Update,
    New {
        name: String,
        path: Option<String>,
    },
    /// What a new build is asked before it is used.
    Check,
}

/// The options, whoever takes them, as they were given.
#[derive(Debug, Default)]
struct Given {
    overrides: Overrides,
    json: bool,
    trace_hooks: bool,
    session: Option<String>,
    init: Init,
    keep: bool,
    sessions: sessions::Options,
    stats: Stats,
    /// `--yes`, whoever takes it.
    yes: bool,
    list: bool,
    revoke: bool,
    source: Option<String>,
    path: Option<String>,
    state: Option<(&'static str, String)>,
    /// The names of the options that were given, to refuse those that the command does not have.
    names: Vec<&'static str>,
}

/// Every option: its name, its letter, and the commands that take it. `--help` and `--version` go with all.
const OPTIONS: &[(&str, Option<char>, &[Topic])] = &[
    ("model", Some('m'), &[Topic::Run, Topic::Acp, Topic::Init, Topic::Doctor]),
    ("permission", None, &[Topic::Run, Topic::Acp]),
    ("session", Some('s'), &[Topic::Run]),
    (
        "json",
        None,
        &[
            Topic::Run,
            Topic::Doctor,
            Topic::Plugins,
            Topic::Hooks,
            Topic::Sessions,
            Topic::Stats,
            Topic::Import,
            Topic::Plugin,
            Topic::Trust,
        ],
    ),
    ("trace-hooks", None, &[Topic::Run, Topic::Acp, Topic::Demo]),
    ("keep", None, &[Topic::Demo]),
    ("provider", None, &[Topic::Init]),
    ("base-url", None, &[Topic::Init]),
    ("key-env", None, &[Topic::Init]),
    ("yes", Some('y'), &[Topic::Init, Topic::Trust]),
    ("all", None, &[Topic::Trust]),
    ("list", None, &[Topic::Trust, Topic::Sessions]),
    ("revoke", None, &[Topic::Trust]),
    ("here", None, &[Topic::Sessions, Topic::Stats]),
    ("since", None, &[Topic::Stats]),
    ("by", None, &[Topic::Stats]),
    ("csv", None, &[Topic::Stats]),
    ("html", None, &[Topic::Stats]),
    ("limit", None, &[Topic::Sessions]),
    ("format", None, &[Topic::Sessions]),
    ("output", Some('o'), &[Topic::Sessions]),
    ("days", None, &[Topic::Sessions]),
    ("dry-run", None, &[Topic::Sessions]),
    ("to", None, &[Topic::Sessions]),
    ("force", None, &[Topic::Sessions]),
    ("source", None, &[Topic::Plugin]),
    ("path", None, &[Topic::Plugin]),
    ("branch", None, &[Topic::Plugin]),
    ("tag", None, &[Topic::Plugin]),
    ("rev", None, &[Topic::Plugin]),
    ("plugin", Some('p'), Topic::ALL),
    ("config", Some('c'), Topic::ALL),
];

/// The modes that `--permission` takes.
const MODES: [&str; 4] = ["ask", "accept-edits", "plan", "full"];

impl Cli {
    /// Reads the arguments after the name of a program with the built-in plugins.
    ///
    /// # Errors
    /// What cannot be understood, with the nearest thing that can.
    pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, Failure> {
        let mut parser = Parser::from_args(args);
        let mut given = Given::default();
        let mut words: Vec<String> = Vec::new();
        let mut help = false;
        while let Some(arg) = parser.next().map_err(bad)? {
            match arg {
                Arg::Short('h') | Arg::Long("help") => help = true,
                Arg::Short('V') | Arg::Long("version") => return Ok(Self::of(Command::Version, given)),
                Arg::Value(word) => words.push(word.string().map_err(bad)?),
                Arg::Long(name) => {
                    let name = known(name, &words)?;
                    given.take(name, &mut parser)?;
                }
                Arg::Short(letter) => {
                    let option = OPTIONS.iter().find(|(_, short, _)| *short == Some(letter));
                    let name = option.map(|(name, ..)| *name).ok_or_else(|| unknown(&format!("-{letter}"), &words))?;
                    given.take(name, &mut parser)?;
                }
            }
        }
        let mut words = words.into_iter().peekable();
        let Some(name) = words.next() else {
            let command = if help { Command::Help(Topic::Crow) } else { Command::Status };
            given.check(Topic::Crow)?;
            return Ok(Self::of(command, given));
        };
        if name == "help" {
            let topic = words.next().map_or(Ok(Topic::Crow), |word| topic(&word))?;
            return Ok(Self::of(Command::Help(topic), given));
        }
        // A client that logs in by a terminal appends its words to those that start the agent: `crow acp init`.
        let login = |word: &String| name == "acp" && word == "init";
        let name = words.next_if(login).unwrap_or_else(|| name.clone());
        let topic = topic(&name)?;
        if help {
            return Ok(Self::of(Command::Help(topic), given));
        }
        given.check(topic)?;
        let command = given.command(topic, &mut words)?;
        match words.next() {
            None => Ok(Self::of(command, given)),
            Some(word) if topic == Topic::Run => {
                Err(Failure::usage(format!("`crow run` takes one prompt; `{word}` came after it"))
                    .next("Put the whole prompt in quotes: crow run \"Fix the failing test\""))
            }
            Some(word) => {
                Err(see(Failure::usage(format!("`crow {name}` does not know what to do with `{word}`")), topic))
            }
        }
    }

    fn of(command: Command, given: Given) -> Self {
        let plugins = Plugins::built_in();
        Self { plugins, command, overrides: given.overrides, json: given.json, trace_hooks: given.trace_hooks }
    }
}

impl Given {
    fn take(&mut self, name: &'static str, parser: &mut Parser) -> Result<(), Failure> {
        self.names.push(name);
        let mut value = || -> Result<String, Failure> { parser.value().map_err(bad)?.string().map_err(bad) };
        match name {
            "model" => self.overrides.model = Some(value()?),
            "permission" => {
                let mode = value()?;
                if !MODES.contains(&mode.as_str()) {
                    let hint =
                        nearest(&mode, MODES).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                    let what = format!("`--permission {mode}`: the modes are {}{hint}", MODES.join(", "));
                    return Err(see(Failure::usage(what), Topic::Run));
                }
                self.overrides.mode = Some(mode);
            }
            "session" => self.session = Some(value()?),
            "plugin" => {
                let value = value()?;
                let name = value.strip_prefix("no:").filter(|name| !name.is_empty()).ok_or_else(|| {
                    Failure::usage(format!("`-p {value}`: expected no:NAME, for example -p no:persistence"))
                        .next("`crow plugins` lists the names.")
                })?;
                self.overrides.blocked.push(name.to_owned());
            }
            "config" => self.overrides.set.push(value()?),
            "json" => self.json = true,
            "trace-hooks" => self.trace_hooks = true,
            "keep" => self.keep = true,
            "here" => (self.sessions.here, self.stats.here) = (true, true),
            "since" => self.stats.since = Some(value()?),
            "by" => self.stats.by = Some(value()?),
            "csv" => self.stats.csv = true,
            "html" => self.stats.html = Some(value()?),
            "dry-run" => self.sessions.dry_run = true,
            "format" | "output" | "days" | "limit" | "to" => self.sessions.set(name, value()?)?,
            "yes" => (self.init.yes, self.yes) = (true, true),
            "all" => self.yes = true,
            "list" => (self.list, self.sessions.list) = (true, true),
            "force" => self.sessions.force = true,
            "revoke" => self.revoke = true,
            "provider" => self.init.provider = Some(value()?),
            "base-url" => self.init.base_url = Some(value()?),
            "source" => self.source = Some(value()?),
            "path" => self.path = Some(value()?),
            "branch" | "tag" | "rev" => self.state = Some((name, value()?)),
            "key-env" => self.init.key_env = Some(value()?),
            other => unreachable!("the option --{other} is in the table and nowhere else"),
        }
        Ok(())
    }

    /// Refuses options that the command does not take: they would be ignored silently.
    fn check(&self, topic: Topic) -> Result<(), Failure> {
        for name in &self.names {
            let takers = OPTIONS.iter().find(|(option, ..)| option == name).map_or(&[][..], |(.., takers)| takers);
            if !takers.contains(&topic) {
                let takers: Vec<String> = takers.iter().map(|topic| format!("`crow {}`", topic.name())).collect();
                let what = format!("`{}` has no option --{name}; it belongs to {}", topic.call(), takers.join(", "));
                return Err(see(Failure::usage(what), topic));
            }
        }
        Ok(())
    }

    fn command(&mut self, topic: Topic, words: &mut impl Iterator<Item = String>) -> Result<Command, Failure> {
        Ok(match topic {
            Topic::Crow => Command::Status,
            Topic::Acp => Command::Acp,
            Topic::Run => {
                let missing =
                    || see(Failure::usage("`crow run` needs a prompt: crow run \"Fix the failing test\""), topic);
                let prompt = words.next().filter(|prompt| !prompt.trim().is_empty()).ok_or_else(missing)?;
                Command::Run(Run { prompt, session: self.session.take() })
            }
            Topic::Demo => Command::Demo { keep: self.keep },
            Topic::Init => Command::Init(std::mem::take(&mut self.init)),
            Topic::Doctor => Command::Doctor,
            Topic::Plugins => Command::Plugins,
            Topic::Hooks => Command::Hooks { name: words.next() },
            Topic::Sessions => Command::Sessions(self.sessions(words)?),
            Topic::Stats => Command::Stats(std::mem::take(&mut self.stats).checked(self.json)?),
            Topic::Import => Command::Import(Self::import(words)?),
            Topic::Trust => Command::Trust(self.trust(words)?),
            Topic::Plugin => Command::Plugin(Plugin { verb: self.verb(words)?, source: self.source.take() }),
        })
    }

    fn trust(&self, words: &mut impl Iterator<Item = String>) -> Result<Trust, Failure> {
        if [self.list, self.revoke, self.yes].into_iter().filter(|given| *given).count() > 1 {
            let what = "`crow trust` does one thing at a time: --yes, --revoke or --list";
            return Err(see(Failure::usage(what), Topic::Trust));
        }
        Ok(match (self.list, self.revoke) {
            (true, _) => Trust::List,
            (_, true) => Trust::Revoke { directory: words.next() },
            _ => Trust::Review { directory: words.next(), yes: self.yes },
        })
    }

    fn verb(&mut self, words: &mut impl Iterator<Item = String>) -> Result<Verb, Failure> {
        const VERBS: [&str; 5] = ["list", "add", "remove", "update", "new"];
        const BELONG: [(&str, &str); 5] =
            [("json", "list"), ("path", "new"), ("branch", "add"), ("tag", "add"), ("rev", "add")];
        let verb = words.next().unwrap_or_else(|| "list".to_owned());
        let stray = BELONG.iter().find(|(option, taker)| self.names.contains(option) && *taker != verb);
        if let Some((option, taker)) = stray.filter(|_| VERBS.contains(&verb.as_str())) {
            let what = format!("`crow plugin {verb}` has no option --{option}; it belongs to `crow plugin {taker}`");
            return Err(see(Failure::usage(what), Topic::Plugin));
        }
        let mut need = |what: &str| words.next().ok_or_else(|| see(Failure::usage(what), Topic::Plugin));
        Ok(match verb.as_str() {
            "list" => Verb::List,
            "add" => {
                let what = need("`crow plugin add` needs a crate's name, a path or the address of a git repository")?;
                Verb::Add { what, package: words.next(), state: self.state.take() }
            }
            "remove" => Verb::Remove(need("`crow plugin remove` needs the name of a plugin: crow plugin list")?),
            "update" => Verb::Update,
            "new" => {
                let name = need("`crow plugin new` needs a name for the plugin, for example word-count")?;
                Verb::New { name, path: self.path.take() }
            }
            "check" => Verb::Check,
            other => {
                let hint = nearest(other, VERBS).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                let what = format!("`crow plugin {other}`: expected {}{hint}", VERBS.join(", "));
                return Err(see(Failure::usage(what), Topic::Plugin));
            }
        })
    }
}

fn topic(word: &str) -> Result<Topic, Failure> {
    let names = || Topic::ALL.iter().filter(|topic| **topic != Topic::Crow).map(|topic| topic.name());
    Topic::of(word).ok_or_else(|| {
        let hint = match nearest(word, names()) {
            Some(near) => format!("Did you mean `crow {near}`?"),
            None => format!("The commands are {}.\nFor a task: crow run \"…\"", names().collect::<Vec<_>>().join(", ")),
        };
        Failure::usage(format!("there is no command `{word}`")).next(hint)
    })
}

fn known(name: &str, words: &[String]) -> Result<&'static str, Failure> {
    let option = OPTIONS.iter().find(|(option, ..)| *option == name);
    option.map(|(option, ..)| *option).ok_or_else(|| unknown(&format!("--{name}"), words))
}

fn unknown(option: &str, words: &[String]) -> Failure {
    let long = option.strip_prefix("--");
    let near = long.and_then(|name| nearest(name, OPTIONS.iter().map(|(option, ..)| *option)));
    let hint = near.map(|near| format!("; did you mean `--{near}`?")).unwrap_or_default();
    let topic = words.first().and_then(|word| Topic::of(word)).unwrap_or(Topic::Crow);
    see(Failure::usage(format!("there is no option {option}{hint}")), topic)
}

fn see(failure: Failure, topic: Topic) -> Failure {
    failure.next(format!("`{} --help` explains it.", topic.call()))
}

fn bad(error: lexopt::Error) -> Failure {
    Failure::usage(error.to_string()).next("`crow --help` explains the command line.")
}

/// The one of `known` that was most likely meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (word.chars().count() / 3).max(1);
    let near = known.into_iter().map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate));
    near.filter(|(distance, _)| *distance <= most).min().map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn parse(line: &[&str]) -> Result<Cli, Failure> {
        Cli::parse(line.iter().map(OsString::from))
    }

    fn refused(line: &[&str], expected: Expect) {
        expected.assert_eq(&parse(line).expect_err("a command line that cannot be used").to_string());
    }

    #[test]
    fn options_may_stand_before_and_after_the_command() {
        let one = parse(&["run", "Do it", "--model", "a/b", "-p", "no:retry", "--json"]).unwrap();
        let other = parse(&["--json", "-pno:retry", "-m=a/b", "run", "Do it"]).unwrap();
        assert_eq!((&one.command, &one.overrides, one.json), (&other.command, &other.overrides, other.json));
        assert_eq!(one.overrides.model.as_deref(), Some("a/b"));
        assert_eq!(one.overrides.blocked, ["retry"]);
        assert_eq!(one.command, Command::Run(Run { prompt: "Do it".into(), session: None }));
    }

    #[test]
    fn a_dash_is_a_prompt_and_login_is_init() {
        assert!(matches!(parse(&["run", "-"]).unwrap().command, Command::Run(run) if run.prompt == "-"));
        assert_eq!(parse(&["login", "--yes"]).unwrap().command, parse(&["init", "-y"]).unwrap().command);
        assert_eq!(parse(&["acp", "init", "--yes"]).unwrap().command, parse(&["init", "-y"]).unwrap().command);
        assert_eq!(parse(&["sessions"]).unwrap().command, Command::Sessions(Sessions::List { here: false }));
    }

    #[test]
    fn help_goes_with_every_command() {
        assert_eq!(parse(&["hooks", "--help"]).unwrap().command, Command::Help(Topic::Hooks));
        assert_eq!(parse(&["help", "run"]).unwrap().command, Command::Help(Topic::Run));
        assert_eq!(parse(&["-h"]).unwrap().command, Command::Help(Topic::Crow));
    }

    #[test]
    fn plugins_come_from_three_places() {
        let verb = |line: &[&str]| match parse(line).unwrap().command {
            Command::Plugin(plugin) => plugin.verb,
            other => panic!("{other:?}"),
        };
        let add = |what: &str, package: Option<&str>, state| Verb::Add {
            what: what.to_owned(),
            package: package.map(str::to_owned),
            state,
        };
        assert_eq!(verb(&["plugin"]), Verb::List);
        assert_eq!(verb(&["plugin", "add", "word-count@1.2"]), add("word-count@1.2", None, None));
        let tag = Some(("tag", "v1".to_owned()));
        assert_eq!(verb(&["plugin", "add", "https://h/x", "x", "--tag", "v1"]), add("https://h/x", Some("x"), tag));
        assert_eq!(verb(&["plugin", "new", "x", "--path=y"]), Verb::New { name: "x".into(), path: Some("y".into()) });
        refused(
            &["plugin", "remove", "x", "--path", "y"],
            expect![[r#"
            crow: `crow plugin remove` has no option --path; it belongs to `crow plugin new`
              `crow plugin --help` explains it."#]],
        );
        refused(
            &["plugin", "install", "x"],
            expect![[r#"
            crow: `crow plugin install`: expected list, add, remove, update, new
              `crow plugin --help` explains it."#]],
        );
        refused(
            &["plugin", "add"],
            expect![[r#"
            crow: `crow plugin add` needs a crate's name, a path or the address of a git repository
              `crow plugin --help` explains it."#]],
        );
    }

    #[test]
    fn trust_does_one_thing_at_a_time() {
        let trust = |line: &[&str]| match parse(line).unwrap().command {
            Command::Trust(trust) => trust,
            other => panic!("{other:?}"),
        };
        assert_eq!(trust(&["trust"]), Trust::Review { directory: None, yes: false });
        assert_eq!(trust(&["trust", "x", "--all"]), Trust::Review { directory: Some("x".into()), yes: true });
        assert_eq!(trust(&["trust", "-y"]), trust(&["trust", "--yes"]));
        assert_eq!(trust(&["trust", "--revoke", "x"]), Trust::Revoke { directory: Some("x".into()) });
        assert_eq!(trust(&["trust", "--list"]), Trust::List);
        refused(
            &["trust", "--yes", "--revoke"],
            expect![[r#"
            crow: `crow trust` does one thing at a time: --yes, --revoke or --list
              `crow trust --help` explains it."#]],
        );
    }

    #[test]
    fn sessions_are_searched_exported_and_pruned() {
        let sessions = |line: &[&str]| match parse(line).unwrap().command {
            Command::Sessions(sessions) => sessions,
            other => panic!("{other:?}"),
        };
        let found = Sessions::Search { words: "two words".into(), limit: 3 };
        assert_eq!(sessions(&["sessions", "search", "two", "words", "--limit", "3"]), found);
        let export = Sessions::Export { id: "x".into(), format: Format::Markdown, output: Some("f".into()) };
        assert_eq!(sessions(&["sessions", "export", "x", "--format=md", "-o", "f"]), export);
        let prune = Sessions::Prune { days: Some(30), dry_run: true };
        assert_eq!(sessions(&["sessions", "prune", "--days", "30", "--dry-run"]), prune);
        let undo = Sessions::Undo { id: "x".into(), to: Some(3), force: true, list: false };
        assert_eq!(sessions(&["sessions", "undo", "x", "--to", "3", "--force"]), undo);
        assert_eq!(parse(&["import", "old.db"]).unwrap().command, Command::Import("old.db".into()));
        refused(
            &["sessions", "show", "x", "--days", "3"],
            expect![[r#"
            crow: `crow sessions show` has no option --days; it belongs to `crow sessions prune`
              `crow sessions --help` explains it."#]],
        );
        refused(
            &["sessions", "prune", "--days", "0"],
            expect![[r#"
            crow: `--days 0`: expected a number, 1 or more
              `crow sessions --help` explains it."#]],
        );
    }

    #[test]
    fn errors_name_the_nearest_thing() {
        refused(
            &["rnu", "x"],
            expect![[r#"
            crow: there is no command `rnu`
              Did you mean `crow run`?"#]],
        );
        refused(
            &["fix my tests"],
            expect![[r#"
            crow: there is no command `fix my tests`
              The commands are run, acp, demo, init, doctor, plugins, hooks, sessions, stats, import, plugin, trust.
              For a task: crow run "…""#]],
        );
        refused(
            &["run"],
            expect![[r#"
            crow: `crow run` needs a prompt: crow run "Fix the failing test"
              `crow run --help` explains it."#]],
        );
        refused(
            &["run", "x", "--modle", "a/b"],
            expect![[r#"
            crow: there is no option --modle; did you mean `--model`?
              `crow run --help` explains it."#]],
        );
        refused(
            &["run", "x", "--permission", "edits"],
            expect![[r#"
            crow: `--permission edits`: the modes are ask, accept-edits, plan, full
              `crow run --help` explains it."#]],
        );
        refused(
            &["run", "fix", "it"],
            expect![[r#"
            crow: `crow run` takes one prompt; `it` came after it
              Put the whole prompt in quotes: crow run "Fix the failing test""#]],
        );
        refused(
            &["doctor", "me"],
            expect![[r#"
            crow: `crow doctor` does not know what to do with `me`
              `crow doctor --help` explains it."#]],
        );
        refused(
            &["plugins", "--session", "1"],
            expect![[r#"
            crow: `crow plugins` has no option --session; it belongs to `crow run`
              `crow plugins --help` explains it."#]],
        );
        refused(
            &["acp", "-p", "retry"],
            expect![[r#"
            crow: `-p retry`: expected no:NAME, for example -p no:persistence
              `crow plugins` lists the names."#]],
        );
        refused(
            &["sessions", "lsit"],
            expect![[r#"
                crow: `crow sessions lsit`: expected list, show, search, export, fork, undo, delete, prune; did you mean `list`?
                  `crow sessions --help` explains it."#]],
        );
        refused(
            &["run", "x", "--model"],
            expect![[r#"
            crow: missing argument for option '--model'
              `crow --help` explains the command line."#]],
        );
    }
}
