//! What a command answers: by its exit code, or by JSON on its standard output.

use serde_json::{Map, Value};

use crate::file::Event;
use crate::process::Exit;

/// A decision about a tool call, the strongest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Decision {
    Allow,
    Ask,
    Deny,
}

/// What one command, or all commands of an event together, answered.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Answer {
    /// It could not be run, or not be understood: why.
    pub(crate) failed: Option<String>,
    /// It blocks: why.
    pub(crate) blocked: Option<String>,
    /// It ends the run: what the user is told.
    pub(crate) stopped: Option<String>,
    pub(crate) decision: Option<(Decision, String)>,
    /// The tool's arguments as they should be.
    pub(crate) updated: Map<String, Value>,
    /// What the model should know.
    pub(crate) context: Vec<String>,
    /// What the user should know.
    pub(crate) messages: Vec<String>,
}

impl Answer {
    pub(crate) fn failed(command: &str, why: impl std::fmt::Display) -> Self {
        Self { failed: Some(format!("the hook `{command}` {why}")), ..Self::default() }
    }

    /// Reads what a command that has run says about `event`.
    pub(crate) fn of(event: Event, command: &str, exit: &Exit) -> Self {
        match exit.code {
            0 if exit.stdout.starts_with('{') => match serde_json::from_str::<Map<String, Value>>(&exit.stdout) {
                Ok(said) => Self::read(event, command, &said),
                Err(_) if exit.cut => Self::failed(command, "said more than is read"),
                Err(error) => Self::failed(command, format!("answered what is no JSON: {error}")),
            },
            0 => {
                // For these two, what is printed is meant for the model.
                let meant = matches!(event, Event::UserPromptSubmit | Event::SessionStart) && !exit.stdout.is_empty();
                Self { context: if meant { vec![exit.stdout.clone()] } else { Vec::new() }, ..Self::default() }
            }
            2 => Self { blocked: Some(reason(&exit.stderr, command)), ..Self::default() },
            code => {
                let said = if exit.stderr.is_empty() { &exit.stdout } else { &exit.stderr };
                let said = said.lines().next().unwrap_or_default();
                let colon = if said.is_empty() { "" } else { ": " };
                let message = format!("the hook `{command}` ended with exit code {code}{colon}{said}");
                Self { messages: vec![message], ..Self::default() }
            }
        }
    }

    fn read(event: Event, command: &str, said: &Map<String, Value>) -> Self {
        let text = |from: &Map<String, Value>, name: &str| from.get(name).and_then(Value::as_str).map(str::to_owned);
        let mut answer = Self { messages: text(said, "systemMessage").into_iter().collect(), ..Self::default() };
        let why = || reason(&text(said, "reason").unwrap_or_default(), command);
        match text(said, "decision").as_deref() {
            None => {}
            Some("block" | "deny") => answer.blocked = Some(why()),
            Some("approve" | "allow") => answer.decision = Some((Decision::Allow, why())),
            Some("ask") => answer.decision = Some((Decision::Ask, why())),
            Some(other) => return Self::failed(command, format!("decided `{other}`, which nobody knows")),
        }
        if said.get("continue") == Some(&Value::Bool(false)) {
            let reason = text(said, "stopReason").unwrap_or_else(|| format!("the hook `{command}` ended the run"));
            answer.stopped = Some(reason);
        }
        let Some(specific) = said.get("hookSpecificOutput").and_then(Value::as_object) else { return answer };
        answer.context.extend(text(specific, "additionalContext").filter(|context| !context.is_empty()));
        if event == Event::PreToolUse {
            if let Some(updated) = specific.get("updatedInput").and_then(Value::as_object) {
                answer.updated.clone_from(updated);
            }
            let why = || reason(&text(specific, "permissionDecisionReason").unwrap_or_default(), command);
            match text(specific, "permissionDecision").as_deref() {
                None => {}
                Some("deny") => answer.decision = Some((Decision::Deny, why())),
                Some("ask") => answer.decision = Some((Decision::Ask, why())),
                Some("allow") => answer.decision = Some((Decision::Allow, why())),
                Some(other) => return Self::failed(command, format!("decided `{other}`, which nobody knows")),
            }
        }
        answer
    }

    /// Takes in what another command answered. What holds up more wins; of two rewrites of one argument the later.
    pub(crate) fn merge(&mut self, other: Self) {
        self.failed = self.failed.take().or(other.failed);
        self.blocked = self.blocked.take().or(other.blocked);
        self.stopped = self.stopped.take().or(other.stopped);
        let stronger =
            |(decision, _): &(Decision, String)| self.decision.as_ref().is_none_or(|(own, _)| decision > own);
        if other.decision.as_ref().is_some_and(stronger) {
            self.decision = other.decision;
        }
        self.updated.extend(other.updated);
        self.context.extend(other.context);
        self.messages.extend(other.messages);
    }

    /// Why what waits for its leave must not happen.
    pub(crate) fn refusal(&self) -> Option<&str> {
        let denied = self.decision.as_ref().filter(|(decision, _)| *decision == Decision::Deny);
        let reasons = [self.blocked.as_ref(), denied.map(|(_, reason)| reason), self.stopped.as_ref()];
        reasons.into_iter().flatten().next().map(String::as_str)
    }
}

fn reason(said: &str, command: &str) -> String {
    if said.trim().is_empty() { format!("blocked by the hook `{command}`") } else { said.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(code: i32, stdout: &str, stderr: &str) -> Exit {
        Exit { code, stdout: stdout.into(), stderr: stderr.into(), cut: false }
    }

    fn said(json: &str) -> Answer {
        Answer::of(Event::PreToolUse, "check", &exit(0, json, ""))
    }

    #[test]
    fn exit_codes_decide() {
        let answer = Answer::of(Event::PreToolUse, "check", &exit(2, "", "no!\n"));
        assert_eq!(answer.refusal(), Some("no!"));
        let answer = Answer::of(Event::PreToolUse, "check", &exit(2, "", ""));
        assert_eq!(answer.refusal(), Some("blocked by the hook `check`"));
        let answer = Answer::of(Event::PreToolUse, "check", &exit(1, "", "oh\nmore"));
        assert_eq!((answer.refusal(), answer.messages.len()), (None, 1));
        assert_eq!(answer.messages[0], "the hook `check` ended with exit code 1: oh");
        assert_eq!(Answer::of(Event::PreToolUse, "check", &exit(0, "fine", "")), Answer::default());
        assert_eq!(
            Answer::of(Event::SessionStart, "check", &exit(0, "the branch is x", "")).context,
            ["the branch is x"]
        );
    }

    #[test]
    fn json_decides() {
        assert_eq!(said(r#"{ "decision": "block", "reason": "r" }"#).refusal(), Some("r"));
        assert_eq!(said(r#"{ "continue": false, "stopReason": "s" }"#).stopped.as_deref(), Some("s"));
        assert_eq!(said(r#"{ "decision": "approve" }"#).decision.unwrap().0, Decision::Allow);
        let answer = said(
            r#"{ "systemMessage": "m", "hookSpecificOutput": { "hookEventName": "PreToolUse", "permissionDecision": "deny",
                 "permissionDecisionReason": "why", "updatedInput": { "a": 1 }, "additionalContext": "c" } }"#,
        );
        assert_eq!(answer.refusal(), Some("why"));
        assert_eq!((answer.messages, answer.context), (vec!["m".to_owned()], vec!["c".to_owned()]));
        assert_eq!(answer.updated["a"], 1);
    }

    #[test]
    fn what_is_not_understood_is_a_failure() {
        for json in [
            "{ not json",
            r#"{ "decision": "maybe" }"#,
            r#"{ "hookSpecificOutput": { "permissionDecision": "perhaps" } }"#,
        ] {
            assert!(said(json).failed.is_some(), "{json}");
        }
        let cut = Exit { cut: true, ..exit(0, "{ \"decision\": \"blo", "") };
        assert!(Answer::of(Event::PreToolUse, "check", &cut).failed.unwrap().contains("more than is read"));
    }

    #[test]
    fn what_holds_up_more_wins() {
        let decision =
            |text: &str| said(&format!(r#"{{ "hookSpecificOutput": {{ "permissionDecision": "{text}" }} }}"#));
        for (one, other, wanted) in
            [("allow", "ask", Decision::Ask), ("deny", "allow", Decision::Deny), ("ask", "deny", Decision::Deny)]
        {
            for (first, second) in [(one, other), (other, one)] {
                let mut answer = decision(first);
                answer.merge(decision(second));
                assert_eq!(answer.decision.unwrap().0, wanted, "{first}, {second}");
            }
        }
    }
}
