//! The format of `hooks.json`, as far as agents share it: an object `hooks` with a list of groups for each event, each
//! group with a `matcher` and its commands.

use std::time::Duration;

use regex::Regex;
use serde_json::Value;

/// When commands are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    PreToolUse,
    PostToolUse,
    PostToolUseFailure,
    UserPromptSubmit,
    SessionStart,
    SessionEnd,
    Stop,
    SubagentStop,
    PreCompact,
    Notification,
}

impl Event {
    const ALL: [Self; 10] = [
        Self::PreToolUse,
        Self::PostToolUse,
        Self::PostToolUseFailure,
        Self::UserPromptSubmit,
        Self::SessionStart,
        Self::SessionEnd,
        Self::Stop,
        Self::SubagentStop,
        Self::PreCompact,
        Self::Notification,
    ];

    /// As files and commands call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PreToolUse => "PreToolUse",
            Self::PostToolUse => "PostToolUse",
            Self::PostToolUseFailure => "PostToolUseFailure",
            Self::UserPromptSubmit => "UserPromptSubmit",
            Self::SessionStart => "SessionStart",
            Self::SessionEnd => "SessionEnd",
            Self::Stop => "Stop",
            Self::SubagentStop => "SubagentStop",
            Self::PreCompact => "PreCompact",
            Self::Notification => "Notification",
        }
    }

    /// Whether what happens waits for its leave.
    pub(crate) fn is_gate(self) -> bool {
        matches!(self, Self::PreToolUse | Self::UserPromptSubmit | Self::PreCompact)
    }
}

/// A command and when to run it.
#[derive(Debug, Clone)]
pub(crate) struct Hook {
    pub(crate) event: Event,
    matcher: Matcher,
    pub(crate) command: String,
    /// If the file says how long it may take.
    pub(crate) timeout: Option<Duration>,
}

impl Hook {
    /// Whether it is meant for one of the names that something goes by.
    pub(crate) fn matches(&self, names: &[&str]) -> bool {
        match &self.matcher {
            Matcher::All => true,
            Matcher::Names(wanted) => wanted.iter().any(|wanted| names.contains(&wanted.as_str())),
            Matcher::Pattern(pattern) => names.iter().any(|name| pattern.is_match(name)),
        }
    }
}

#[derive(Debug, Clone)]
enum Matcher {
    All,
    /// `Edit|Write`.
    Names(Vec<String>),
    Pattern(Regex),
}

impl Matcher {
    /// What is no regular expression matches everything: a gate with a slip in it stays shut.
    fn read(text: &str, problems: &mut Vec<String>) -> Self {
        if text.is_empty() || text == "*" {
            return Self::All;
        }
        if text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '|') {
            return Self::Names(text.split('|').map(str::to_owned).collect());
        }
        match Regex::new(text) {
            Ok(pattern) => Self::Pattern(pattern),
            Err(_) => {
                problems.push(format!("the matcher `{text}` is no regular expression, so that it matches everything"));
                Self::All
            }
        }
    }
}

/// What a file says.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub(crate) hooks: Vec<Hook>,
    /// What in it has no effect, in sentences.
    pub(crate) problems: Vec<String>,
}

/// Reads a file.
///
/// # Errors
/// It is not of this format, in words.
pub(crate) fn parse(text: &str) -> Result<Parsed, String> {
    let root: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let root = root.as_object().ok_or("expected an object")?;
    let mut parsed = Parsed::default();
    let Some(events) = root.get("hooks").filter(|_| root.get("disableAllHooks") != Some(&Value::Bool(true))) else {
        return Ok(parsed);
    };
    let events = events.as_object().ok_or("`hooks`: expected an object")?;
    for (name, groups) in events {
        let Some(event) = Event::ALL.into_iter().find(|event| event.name() == name) else {
            parsed.problems.push(format!("there is no event `{name}` in Crow; its commands are not run"));
            continue;
        };
        let groups = groups.as_array().ok_or_else(|| format!("`hooks.{name}`: expected a list"))?;
        for group in groups {
            read_group(event, group, &mut parsed)?;
        }
    }
    Ok(parsed)
}

fn read_group(event: Event, group: &Value, parsed: &mut Parsed) -> Result<(), String> {
    let name = event.name();
    let matcher = match group.get("matcher") {
        None | Some(Value::Null) => Matcher::All,
        Some(Value::String(text)) => Matcher::read(text, &mut parsed.problems),
        Some(_) => return Err(format!("`hooks.{name}`: `matcher` is no text")),
    };
    let hooks = group.get("hooks").and_then(Value::as_array);
    for hook in hooks.ok_or_else(|| format!("`hooks.{name}`: a group without a list `hooks`"))? {
        let kind = hook.get("type").and_then(Value::as_str).unwrap_or("command");
        if kind != "command" {
            parsed.problems.push(format!("`hooks.{name}`: Crow runs no hooks of type `{kind}`"));
            continue;
        }
        let command = hook.get("command").and_then(Value::as_str).filter(|command| !command.trim().is_empty());
        let command = command.ok_or_else(|| format!("`hooks.{name}`: a hook without a `command`"))?;
        let timeout = match hook.get("timeout") {
            None | Some(Value::Null) => None,
            Some(seconds) => {
                let seconds = seconds.as_f64().filter(|seconds| *seconds > 0.0);
                let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                Some(time.ok_or_else(|| format!("`hooks.{name}`: `timeout` is no number of seconds"))?)
            }
        };
        parsed.hooks.push(Hook { event, matcher: matcher.clone(), command: command.to_owned(), timeout });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_agents_wrote_is_read() {
        let text = r#"{
            "permissions": { "allow": [] },
            "hooks": {
                "PreToolUse": [
                    { "matcher": "Edit|Write", "hooks": [ { "type": "command", "command": "a", "timeout": 2.5 } ] },
                    { "matcher": "mcp__.*", "hooks": [ { "type": "command", "command": "b" } ] },
                    { "matcher": "*", "hooks": [ { "command": "c" }, { "type": "prompt", "prompt": "x" } ] }
                ],
                "Stop": [ { "hooks": [ { "type": "command", "command": "d" } ] } ],
                "TeammateIdle": []
            }
        }"#;
        let parsed = parse(text).unwrap();
        let commands = |names: &[&str]| {
            let hooks = parsed.hooks.iter().filter(|hook| hook.event == Event::PreToolUse && hook.matches(names));
            hooks.map(|hook| hook.command.as_str()).collect::<String>()
        };
        assert_eq!(commands(&["Edit", "edit"]), "ac");
        assert_eq!(commands(&["NotebookEdit"]), "c", "a name is the whole name");
        assert_eq!(commands(&["mcp__files__read"]), "bc");
        assert_eq!(parsed.hooks[0].timeout, Some(Duration::from_millis(2500)));
        assert_eq!(parsed.hooks.iter().filter(|hook| hook.event == Event::Stop).count(), 1);
        assert_eq!(parsed.problems.len(), 2, "{:?}", parsed.problems);
        assert!(parse(r#"{ "disableAllHooks": true, "hooks": { "Stop": 3 } }"#).unwrap().hooks.is_empty());
    }

    #[test]
    fn a_slip_in_a_matcher_leaves_the_gate_shut() {
        let text = r#"{ "hooks": { "PreToolUse": [ { "matcher": "Edit(", "hooks": [ { "command": "a" } ] } ] } }"#;
        let parsed = parse(text).unwrap();
        assert!(parsed.hooks[0].matches(&["Bash"]));
        assert_eq!(parsed.problems.len(), 1);
    }

    #[test]
    fn what_is_not_of_the_format_is_an_error() {
        for (text, wanted) in [
            ("{", "EOF"),
            ("[]", "expected an object"),
            (r#"{ "hooks": [] }"#, "`hooks`: expected an object"),
            (r#"{ "hooks": { "Stop": {} } }"#, "`hooks.Stop`: expected a list"),
            (r#"{ "hooks": { "Stop": [ { "command": "a" } ] } }"#, "a group without a list"),
            (r#"{ "hooks": { "Stop": [ { "hooks": [ { "type": "command" } ] } ] } }"#, "without a `command`"),
            (r#"{ "hooks": { "Stop": [ { "hooks": [ { "command": "a", "timeout": -1 } ] } ] } }"#, "`timeout`"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }

    proptest::proptest! {
        /// Whatever a file holds: it is read or refused, and a matcher that was read can be asked.
        #[test]
        fn no_file_panics(
            matcher in "\\PC{0,12}",
            text in r#"(\{|\}|\[|\]|,|:|"hooks"|"PreToolUse"|"Stop"|"matcher"|"command"|"timeout"|"type"|1e400|-1|null|"x"| ){0,30}"#,
            name in "[A-Za-z_]{1,8}",
        ) {
            let _ = parse(&text);
            let group = serde_json::json!({ "matcher": matcher, "hooks": [{ "command": "x" }] });
            let file = serde_json::json!({ "hooks": { "PreToolUse": [group] } });
            for hook in parse(&file.to_string()).unwrap_or_default().hooks {
                let _ = hook.matches(&[&name]);
            }
        }
    }
}
