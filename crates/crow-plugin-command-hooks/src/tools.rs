//! Tools by the names that other agents use, and their arguments, so that commands written for those work here.

use std::path::Path;

use serde_json::{Map, Value, json};

/// A tool of ours as others know it.
struct Known {
    ours: &'static str,
    /// The first is the one that commands are told.
    theirs: &'static [&'static str],
    /// Our arguments and theirs.
    arguments: &'static [(&'static str, &'static str)],
}

const KNOWN: [Known; 8] = [
    Known { ours: "terminal", theirs: &["Bash"], arguments: &[("command", "command"), ("timeout_seconds", "timeout")] },
    Known {
        ours: "edit",
        theirs: &["Edit", "MultiEdit"],
        arguments: &[
            ("path", "file_path"),
            ("old_text", "old_string"),
            ("new_text", "new_string"),
            ("replace_all", "replace_all"),
        ],
    },
    Known { ours: "write", theirs: &["Write"], arguments: &[("path", "file_path"), ("content", "content")] },
    Known {
        ours: "read",
        theirs: &["Read"],
        arguments: &[("path", "file_path"), ("offset", "offset"), ("limit", "limit")],
    },
    Known {
        ours: "grep",
        theirs: &["Grep"],
        arguments: &[
            ("pattern", "pattern"),
            ("path", "path"),
            ("glob", "glob"),
            ("ignore_case", "-i"),
            ("context", "-C"),
            ("limit", "head_limit"),
        ],
    },
    Known { ours: "glob", theirs: &["Glob"], arguments: &[("pattern", "pattern"), ("path", "path")] },
    Known { ours: "list", theirs: &["LS"], arguments: &[("path", "path")] },
    Known { ours: "fetch", theirs: &["WebFetch"], arguments: &[("url", "url")] },
];

fn known(ours: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.ours == ours)
}

/// What a matcher may call our tool: what others call it, and its own name.
pub(crate) fn names(ours: &str) -> Vec<&str> {
    let theirs = known(ours).map_or(&[][..], |known| known.theirs);
    theirs.iter().copied().chain([ours]).collect()
}

/// What commands are told a tool is called.
pub(crate) fn told(ours: &str) -> &str {
    known(ours).map_or(ours, |known| known.theirs[0])
}

/// Arguments as commands are told them: by the names that others use, with absolute paths.
pub(crate) fn input(ours: &str, arguments: &Value, cwd: &Path) -> Value {
    let (Some(known), Value::Object(arguments)) = (known(ours), arguments) else { return arguments.clone() };
    let told = arguments.iter().map(|(name, value)| {
        let theirs = known.arguments.iter().find(|(ours, _)| ours == name).map_or(name.as_str(), |(_, theirs)| theirs);
        let value = match (name.as_str(), value) {
            ("path", Value::String(path)) => Value::from(cwd.join(path).to_string_lossy()),
            ("timeout_seconds", value) => value.as_u64().map_or_else(|| value.clone(), |seconds| json!(seconds * 1000)),
            _ => value.clone(),
        };
        (theirs.to_owned(), value)
    });
    Value::Object(told.collect())
}

/// Our arguments with what a command wants in their place. What it does not name stays.
pub(crate) fn rewritten(ours: &str, arguments: &Value, updated: &Map<String, Value>) -> Value {
    let mut arguments = arguments.as_object().cloned().unwrap_or_default();
    for (name, value) in updated {
        let mapped = known(ours).and_then(|known| known.arguments.iter().find(|(_, theirs)| theirs == name));
        let name = mapped.map_or(name.as_str(), |(ours, _)| ours);
        let value = match (name, value.as_f64()) {
            // Rounded up: a command that asks for less than a second means some time, not none.
            ("timeout_seconds", Some(milliseconds)) => json!((milliseconds / 1000.0).ceil() as u64),
            _ => value.clone(),
        };
        arguments.insert(name.to_owned(), value);
    }
    Value::Object(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_again_changes_nothing() {
        for (tool, arguments) in [
            ("terminal", json!({ "command": "ls", "timeout_seconds": 3 })),
            ("edit", json!({ "path": "/p/a", "old_text": "x", "new_text": "y", "replace_all": true })),
            ("write", json!({ "path": "/p/a", "content": "x" })),
            ("read", json!({ "path": "/p/a", "offset": 3, "limit": 4 })),
            (
                "grep",
                json!({ "pattern": "x", "path": "/p", "glob": "*", "ignore_case": true, "context": 1, "limit": 2 }),
            ),
            ("somebodys_own", json!({ "path": "a", "timeout_seconds": 1 })),
        ] {
            let told = input(tool, &arguments, Path::new("/p"));
            let back = rewritten(tool, &json!({}), told.as_object().unwrap());
            assert_eq!(back, arguments, "{tool}: {told}");
        }
    }

    #[test]
    fn commands_are_told_what_they_know() {
        assert_eq!(
            input("edit", &json!({ "path": "a", "old_text": "x", "new_text": "y" }), Path::new("/p")),
            json!({ "file_path": "/p/a", "old_string": "x", "new_string": "y" })
        );
        assert_eq!(input("terminal", &json!({ "timeout_seconds": 2 }), Path::new("/p")), json!({ "timeout": 2000 }));
        assert_eq!((told("terminal"), told("own")), ("Bash", "own"));
        assert_eq!(names("edit"), ["Edit", "MultiEdit", "edit"]);
    }

    #[test]
    fn what_is_not_rewritten_stays() {
        let updated = json!({ "command": "ls -l" });
        let arguments =
            rewritten("terminal", &json!({ "command": "ls", "timeout_seconds": 9 }), updated.as_object().unwrap());
        assert_eq!(arguments, json!({ "command": "ls -l", "timeout_seconds": 9 }));
    }
}
