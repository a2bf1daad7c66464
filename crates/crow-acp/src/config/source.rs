//! Where a configuration comes from besides files: the environment and the command line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::tree::{self, Node, Origin, Source, Table, Value};

/// Everything that [`Config::load`](super::Config::load) looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// `CROW_HOME`, absolute: holds `config.toml` and everything else of the user's.
    pub home: PathBuf,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// What the command line says.
    pub overrides: Overrides,
}

/// What the command line says; goes before everything else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `-c KEY=VALUE`, as given: a dotted key, and a TOML value or plain text.
    pub set: Vec<String>,
    /// `--model PROVIDER/MODEL`.
    pub model: Option<String>,
    /// `--permission MODE`.
    pub mode: Option<String>,
    /// `-p no:NAME`, the names.
    pub blocked: Vec<String>,
}

impl Sources {
    /// The environment of this process, and the directory it says: `CROW_HOME`, or `.crow` in the user's home.
    ///
    /// # Errors
    /// Neither is known.
    pub fn from_process() -> Result<Self, ConfigError> {
        let env = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let home = match std::env::var_os("CROW_HOME").filter(|home| !home.is_empty()) {
            Some(home) => PathBuf::from(home),
            None => std::env::home_dir()
                .filter(|home| !home.as_os_str().is_empty())
                .map(|home| home.join(".crow"))
                .ok_or_else(|| ConfigError::new("there is no home directory: set CROW_HOME to a directory for Crow"))?,
        };
        let home = std::path::absolute(&home)
            .map_err(|error| ConfigError::new(format!("CROW_HOME `{}` cannot be used: {error}", home.display())))?;
        Ok(Self { home, env, overrides: Overrides::default() })
    }

    /// A directory, without environment or command line.
    pub fn new(home: impl AsRef<Path>) -> Self {
        Self { home: home.as_ref().to_owned(), ..Self::default() }
    }

    pub(super) fn environment(&self) -> Table {
        const VARIABLES: [(&str, &[&str]); 3] = [
            ("CROW_MODEL", &["model"]),
            ("OPENAI_API_KEY", &["providers", "openai", "api_key"]),
            ("OPENAI_BASE_URL", &["providers", "openai", "base_url"]),
        ];
        let mut table = Table::new();
        for (variable, path) in VARIABLES {
            if let Some(value) = self.env.get(variable).filter(|value| !value.is_empty()) {
                let origin = Origin::new(Source::Environment(variable.to_owned()));
                tree::merge(&mut table, tree::single(path, Value::String(value.clone()), &origin));
            }
        }
        table
    }

    pub(super) fn command_line(&self) -> Result<Table, ConfigError> {
        let mut table = Table::new();
        for argument in &self.overrides.set {
            tree::merge(&mut table, assignment(argument)?);
        }
        let named = [("--model", "model", &self.overrides.model), ("--permission", "mode", &self.overrides.mode)];
        for (flag, key, value) in named {
            if let Some(value) = value {
                let origin = Origin::new(Source::CommandLine(flag.to_owned()));
                tree::merge(&mut table, tree::single(&[key], Value::String(value.clone()), &origin));
            }
        }
        Ok(table)
    }
}

/// `KEY=VALUE`: the value is TOML if it can be, else the text as it stands.
fn assignment(argument: &str) -> Result<Table, ConfigError> {
    // The value may hold a secret, so that only the key is ever shown.
    let (key, value) = argument.split_once('=').unwrap_or((argument, ""));
    let origin = Origin::new(Source::CommandLine(format!("-c {key}")));
    if key.len() == argument.len() {
        return Err(ConfigError::at(&origin, "expected KEY=VALUE"));
    }
    let path = split_key(key).map_err(|error| ConfigError::at(&origin, error.message()))?;
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let parsed = tree::parse(&format!("value = {value}"), Source::Code).ok();
    let parsed = parsed.filter(|table| table.len() == 1).and_then(|mut table| table.remove("value"));
    let value = match parsed {
        Some(mut entry) => {
            relocate(&mut entry.node, &origin);
            entry.node.value
        }
        None => Value::String(value.to_owned()),
    };
    Ok(tree::single(&path, value, &origin))
}

fn relocate(node: &mut Node, origin: &Origin) {
    node.origin = origin.clone();
    match &mut node.value {
        Value::Array(items) => items.iter_mut().for_each(|item| relocate(item, origin)),
        Value::Table(table) => {
            for entry in table.values_mut() {
                entry.key = origin.clone();
                relocate(&mut entry.node, origin);
            }
        }
        _ => {}
    }
}

/// The parts of a dotted key; a part in quotes may hold dots.
pub(super) fn split_key(key: &str) -> Result<Vec<String>, ConfigError> {
    let bad = || ConfigError::new(format!("`{}` is not a key", key.trim()));
    let mut table = tree::parse(&format!("{key} = 0"), Source::Code).map_err(|_| bad())?;
    let mut path = Vec::new();
    loop {
        let (name, entry) = table.pop_first().filter(|_| table.is_empty()).ok_or_else(bad)?;
        path.push(name);
        match entry.node.value {
            Value::Table(inner) => table = inner,
            Value::Integer(0) => return Ok(path),
            _ => return Err(bad()),
        }
    }
}

/// A value of JSON as one of the tree; `None` for what TOML cannot say.
pub(super) fn from_json(value: serde_json::Value, origin: &Origin) -> Option<Value> {
    Some(match value {
        serde_json::Value::Null => return None,
        serde_json::Value::Bool(value) => Value::Boolean(value),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(number) => Value::Integer(number),
            None => Value::Float(number.as_f64()?),
        },
        serde_json::Value::String(text) => Value::String(text),
        serde_json::Value::Array(items) => {
            let node = |item| Some(Node { value: from_json(item, origin)?, origin: origin.clone() });
            Value::Array(items.into_iter().map(node).collect::<Option<_>>()?)
        }
        serde_json::Value::Object(map) => {
            let mut table = Table::new();
            for (key, value) in map {
                let node = Node { value: from_json(value, origin)?, origin: origin.clone() };
                table.insert(key, tree::Entry { key: origin.clone(), node });
            }
            Value::Table(table)
        }
    })
}
