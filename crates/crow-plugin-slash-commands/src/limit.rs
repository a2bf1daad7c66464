//! `allowed-tools`: which tools may change something while a command runs. It only ever takes away; what is left is asked
//! about as always.

use serde_json::Value;

/// Our tools by the names that others use.
const THEIRS: [(&str, &str); 4] = [("Bash", "terminal"), ("Edit", "edit"), ("MultiEdit", "edit"), ("Write", "write")];

/// Whether `tool` may be called with these arguments, as far as one of `allowed` says so: a tool's name, or
/// `Bash(git add:*)` for commands that begin like this and in which a shell would act on nothing else.
pub(crate) fn allows(allowed: &[String], tool: &str, arguments: &Value) -> bool {
    allowed.iter().any(|entry| {
        let (name, inner) = match entry.split_once('(') {
            Some((name, inner)) => (name.trim(), Some(inner.trim_end_matches(')').trim())),
            None => (entry.as_str(), None),
        };
        let ours = THEIRS.iter().find(|(theirs, _)| *theirs == name).map_or(name, |(_, ours)| ours);
        if ours != tool && name != "*" {
            return false;
        }
        match (inner, arguments.get("command").and_then(Value::as_str)) {
            (None | Some("*" | ""), _) => true,
            (Some(pattern), Some(command)) => begins(command, pattern),
            // Paths and the like are for the permissions to judge.
            (Some(_), None) => true,
        }
    })
}

fn begins(command: &str, pattern: &str) -> bool {
    let command = command.trim();
    let Some(start) = pattern.strip_suffix(":*").or_else(|| pattern.strip_suffix('*')) else {
        return command == pattern;
    };
    let start = start.trim();
    let is_plain = !command.contains(|c| ";&|<>`$()\n\\".contains(c));
    let ends_there = command.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
    is_plain && ends_there
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_named_may_not() {
        let allowed = |entries: &[&str], tool: &str, command: &str| {
            let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
            allows(&entries, tool, &json!({ "command": command }))
        };
        assert!(allowed(&["Bash(git add:*)", "Edit"], "terminal", "git add -A"));
        assert!(allowed(&["Bash(git add:*)"], "terminal", "git add"));
        for command in ["git addx", "git push", "git add; rm x", "git add $(rm x)", "git add && rm x", "git add\nrm x"]
        {
            assert!(!allowed(&["Bash(git add:*)"], "terminal", command), "{command}");
        }
        assert!(
            allowed(&["Bash(make test)"], "terminal", "make test")
                && !allowed(&["Bash(make test)"], "terminal", "make")
        );
        assert!(allowed(&["Bash"], "terminal", "anything; at all") && !allowed(&["Edit"], "terminal", "ls"));
        assert!(allowed(&["edit"], "edit", "") && allowed(&["MultiEdit"], "edit", "") && allowed(&["*"], "write", ""));
        assert!(!allowed(&[], "terminal", "ls"));
    }
}
