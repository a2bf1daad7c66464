//! `.mcp.json`: the servers that a project brings along, in the form that several agents share. A cloned repository is
//! untrusted input: nothing in it runs or is contacted before the user has trusted exactly this.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crow_acp::{ProjectItem, Secret, digest_bytes};
use serde::Deserialize;
use serde_json::Value;

use crate::spec::Spec;

/// The file's name.
const FILE: &str = ".mcp.json";

/// The largest file that is read, in bytes.
const LARGEST: u64 = 256 * 1024;

/// The file.
#[derive(Debug, Deserialize)]
struct File {
    #[serde(default, rename = "mcpServers")]
    servers: BTreeMap<String, Value>,
}

/// What such files say of a server. Keys that only other agents know are passed over.
#[derive(Debug, Deserialize)]
struct Entry {
    command: Option<String>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

/// A server that a project brings along.
#[derive(Debug)]
pub(crate) struct Brought {
    /// For whoever decides about trust.
    pub(crate) item: ProjectItem,
    entry: Entry,
}

/// The servers in the `.mcp.json` of `project`, and what is wrong with the file, for the user.
pub(crate) fn read(project: &Path) -> (Vec<Brought>, Vec<String>) {
    let path = project.join(FILE);
    let text = match std::fs::metadata(&path) {
        Ok(found) if found.is_file() && found.len() > LARGEST => Err("is too large".to_owned()),
        Ok(found) if found.is_file() => std::fs::read_to_string(&path).map_err(|error| error.to_string()),
        _ => return (Vec::new(), Vec::new()),
    };
    let file = text.and_then(|text| {
        serde_json::from_str::<File>(&text).map_err(|error| format!("cannot be read as JSON: {error}"))
    });
    match file {
        Err(why) => (Vec::new(), vec![format!("{}: {why}; the servers in it are left out", path.display())]),
        Ok(file) => {
            let mut servers = Vec::new();
            let mut wrong = Vec::new();
            for (name, value) in file.servers {
                match serde_json::from_value::<Entry>(value.clone()) {
                    Ok(entry) if entry.command.is_some() != entry.url.is_some() => {
                        servers.push(Brought { item: item(name, &path, &value, &entry), entry });
                    }
                    _ => wrong.push(format!(
                        "{}: the server `{}` is left out: it needs a `command` or a `url`",
                        path.display(),
                        name.escape_debug()
                    )),
                }
            }
            (servers, wrong)
        }
    }
}

fn item(name: String, path: &Path, value: &Value, entry: &Entry) -> ProjectItem {
    let summary = match (&entry.command, &entry.url) {
        (Some(command), _) => {
            let env = entry.env.iter().map(|(name, value)| format!("{name}={value} "));
            format!("{}{command} {}", env.collect::<String>(), entry.args.join(" ")).trim_end().to_owned()
        }
        (None, url) => url.clone().unwrap_or_default(),
    };
    // The parsed form: what counts is what it means, and it comes out in one order.
    let digest = digest_bytes(value.to_string().as_bytes());
    ProjectItem { kind: "mcp server".into(), name, path: path.to_owned(), digest, summary }
}

impl Brought {
    /// How it is reached. `${VARIABLE}` and `${VARIABLE:-default}` are put in here, after the user has trusted it.
    pub(crate) fn spec(
        &self,
        project: &Path,
        roots: &[PathBuf],
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Spec, String> {
        let expand = |text: &String| expand(text, &env).map(Secret::new);
        let all = |values: &BTreeMap<String, String>| {
            values.iter().map(|(name, value)| Ok((name.clone(), expand(value)?))).collect::<Result<_, String>>()
        };
        match (&self.entry.command, &self.entry.url) {
            (Some(command), _) => Ok(Spec::Stdio {
                command: expand(command)?.expose().into(),
                args: self.entry.args.iter().map(expand).collect::<Result<_, _>>()?,
                env: all(&self.entry.env)?,
                cwd: project.to_owned(),
                roots: roots.to_vec(),
            }),
            (None, url) => Spec::http(expand(&url.clone().unwrap_or_default())?, all(&self.entry.headers)?),
        }
    }
}

fn expand(text: &str, env: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once("${") {
        let Some((inside, behind)) = from.split_once('}') else { break };
        expanded.push_str(before);
        let (variable, default) = match inside.split_once(":-") {
            Some((variable, default)) => (variable, Some(default)),
            None => (inside, None),
        };
        match env(variable).filter(|value| default.is_none() || !value.is_empty()) {
            Some(value) => expanded.push_str(&value),
            None => {
                expanded.push_str(default.ok_or_else(|| format!("the environment variable `{variable}` is not set"))?)
            }
        }
        rest = behind;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(text: &str) -> (tempfile::TempDir, Vec<Brought>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), text).unwrap();
        let (servers, wrong) = read(dir.path());
        (dir, servers, wrong)
    }

    #[test]
    fn servers_are_read_and_mistakes_named() {
        let (dir, servers, wrong) = project(
            r#"{"mcpServers": {
                "a": {"command": "run ${HOME}", "args": ["-x", "${PORT:-80}"], "env": {"K": "v"}, "timeout": 5},
                "b": {"type": "http", "url": "http://127.0.0.1/${PATH}", "headers": {"H": "${TOKEN}"}},
                "c": {"args": []},
                "d": 7
            }}"#,
        );
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(wrong[0].contains("`c`") && wrong[1].contains("`d`"));
        assert_eq!(servers[0].item.summary, "K=v run ${HOME} -x ${PORT:-80}");
        assert_eq!(servers[1].item.summary, "http://127.0.0.1/${PATH}");
        let env = |name: &str| (name != "PORT" && name != "TOKEN").then(|| name.to_lowercase());
        let roots = [dir.path().to_owned()];
        assert_eq!(servers[0].spec(dir.path(), &roots, env).unwrap().summary(), "run home -x 80");
        let why = servers[1].spec(dir.path(), &roots, env).unwrap_err();
        assert!(why.contains("`TOKEN` is not set"), "{why}");
    }

    #[test]
    fn a_change_is_another_digest_and_a_change_of_layout_is_not() {
        let digest = |text: &str| project(text).1[0].item.digest.clone();
        let one = digest(r#"{"mcpServers":{"a":{"command":"x","args":["1"]}}}"#);
        assert_eq!(one, digest(r#"{ "mcpServers": { "a": { "command": "x", "args": [ "1" ] } } }"#));
        assert_ne!(one, digest(r#"{"mcpServers":{"a":{"command":"x","args":["2"]}}}"#));
        assert_ne!(one, digest(r#"{"mcpServers":{"a":{"command":"x","args":["1"],"env":{"A":"b"}}}}"#));
    }

    #[test]
    fn a_file_that_is_none_is_named_and_its_absence_is_not() {
        let (_dir, servers, wrong) = project("{\"mcpServers\": [");
        assert!(servers.is_empty() && wrong[0].contains("cannot be read as JSON"), "{wrong:?}");
        let empty = tempfile::tempdir().unwrap();
        let (servers, wrong) = read(empty.path());
        assert!(servers.is_empty() && wrong.is_empty());
    }
}
