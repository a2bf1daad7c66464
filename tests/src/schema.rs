//! The official JSON Schema, applied to what the agent said.

use std::{
    collections::{BTreeSet, HashMap},
    fmt, fs,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::{Entry, Way, deps};

/// A message that the protocol does not allow.
#[derive(Debug, Clone)]
pub struct Violation {
    /// What is wrong with it.
    pub problem: String,
    /// The message.
    pub message: Value,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message: String = self.message.to_string().chars().take(600).collect();
        write!(f, "{} in {message}", self.problem)
    }
}

/// The schema of the protocol, indexed by method and side.
pub struct Schema {
    definitions: Map<String, Value>,
    dialect: Value,
    /// (method, who handles it, kind) → the definition's name. Kinds: `Request`, `Response`, `Notification`.
    methods: HashMap<(String, String, &'static str), String>,
    compiled: Mutex<HashMap<String, Arc<Validator>>>,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").field("methods", &self.methods.len()).finish_non_exhaustive()
    }
}

impl Schema {
    /// The schema that came with the official TypeScript client.
    ///
    /// # Panics
    /// When it is not installed, with one line that says what to do; or cannot be read.
    pub fn official() -> &'static Self {
        static OFFICIAL: OnceLock<Schema> = OnceLock::new();
        OFFICIAL.get_or_init(|| {
            let read = |path: &Path| -> Value {
                let text = fs::read_to_string(path).expect("the schema is readable");
                serde_json::from_str(&text).expect("the schema is JSON")
            };
            let mut root = read(&deps::schema());
            adopt_forks(&mut root, &read(&deps::unstable_schema()));
            Self::new(&root)
        })
    }

    fn new(root: &Value) -> Self {
        let definitions = root["$defs"].as_object().cloned().unwrap_or_default();
        let mut methods = HashMap::new();
        for (name, definition) in &definitions {
            let (Some(method), Some(side)) = (definition["x-method"].as_str(), definition["x-side"].as_str()) else {
                continue;
            };
            let kind = ["Request", "Response", "Notification"].into_iter().find(|kind| name.ends_with(kind));
            let kind = kind.unwrap_or_else(|| panic!("the schema's `{name}` has a method but is no message"));
            methods.insert((method.to_owned(), side.to_owned(), kind), name.clone());
        }
        Self { definitions, dialect: root["$schema"].clone(), methods, compiled: Mutex::default() }
    }

    /// Checks all messages the agent sent, in the order of the transcript.
    pub fn check(&self, entries: &[Entry]) -> Vec<Violation> {
        let mut asked = HashMap::new();
        let mut violations = Vec::new();
        for entry in entries {
            let message = &entry.message;
            if entry.way == Way::ToAgent {
                if let (Some(id), Some(method)) = (message.get("id"), message["method"].as_str()) {
                    asked.insert(id.to_string(), method.to_owned());
                }
                continue;
            }
            let problems = self.problems(message, &asked);
            violations.extend(problems.into_iter().map(|problem| Violation { problem, message: message.clone() }));
        }
        violations
    }

    fn problems(&self, message: &Value, asked: &HashMap<String, String>) -> Vec<String> {
        let mut problems = envelope(message);
        if let Some(method) = message["method"].as_str() {
            let kind = if message.get("id").is_some() { "Request" } else { "Notification" };
            if !method.starts_with('_') {
                match ["client", "protocol"].iter().find_map(|side| self.definition(method, side, kind)) {
                    Some(name) => problems.extend(self.against(name, &message["params"])),
                    None => problems.push(format!("the protocol has no {kind} `{method}` for a client")),
                }
            }
        } else if let Some(result) = message.get("result") {
            match asked.get(&message["id"].to_string()) {
                // Extension methods and removed ones have no schema.
                Some(method) => {
                    if let Some(name) = self.definition(method, "agent", "Response") {
                        problems.extend(self.against(name, result));
                    }
                }
                None => problems.push("an answer to nothing that was asked".to_owned()),
            }
        } else if let Some(error) = message.get("error") {
            problems.extend(self.against("Error", error));
            if error["message"].as_str().is_some_and(|text| text.contains('\n')) {
                problems.push("an error message of several lines".to_owned());
            }
        }
        problems
    }

    fn definition(&self, method: &str, side: &str, kind: &'static str) -> Option<&str> {
        self.methods.get(&(method.to_owned(), side.to_owned(), kind)).map(String::as_str)
    }

    /// What is wrong with `value` as the definition `name`; empty when nothing is.
    pub fn against(&self, name: &str, value: &Value) -> Vec<String> {
        let validator = self.validator(name);
        let mut problems: Vec<String> = validator
            .iter_errors(value)
            .map(|error| format!("{name}: {error} at `{}`", error.instance_path()))
            .collect();
        if problems.is_empty() {
            let schema = json!({ "$ref": format!("#/$defs/{name}") });
            self.unknown_keys(&[&schema], value, name, &mut problems);
        }
        problems
    }

    fn validator(&self, name: &str) -> Arc<Validator> {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        let validator = compiled.entry(name.to_owned()).or_insert_with(|| {
            let schema =
                json!({ "$schema": self.dialect, "$ref": format!("#/$defs/{name}"), "$defs": self.definitions });
            Arc::new(jsonschema::validator_for(&schema).expect("the official schema is a schema"))
        });
        Arc::clone(validator)
    }

    /// The protocol forbids keys of one's own outside `_meta`, which the schema itself does not say.
    ///
    /// `schemas` are alternatives or complements: a key is known when any of them knows it.
    fn unknown_keys(&self, schemas: &[&Value], value: &Value, at: &str, problems: &mut Vec<String>) {
        let mut parts = Vec::new();
        for schema in schemas {
            self.parts(schema, value, &mut parts, &mut BTreeSet::new());
        }
        match value {
            Value::Object(fields) => {
                let mut known: HashMap<&str, Vec<&Value>> = HashMap::new();
                for (key, inner) in parts.iter().filter_map(|part| part["properties"].as_object()).flatten() {
                    known.entry(key).or_default().push(inner);
                }
                for (key, field) in fields.iter().filter(|(key, _)| *key != "_meta") {
                    match known.get(key.as_str()) {
                        Some(schemas) => self.unknown_keys(schemas, field, &format!("{at}.{key}"), problems),
                        // Nothing is said of free values such as a tool's input.
                        None if known.is_empty() => {}
                        None => problems.push(format!("{at} has a key `{key}` the protocol does not know")),
                    }
                }
            }
            Value::Array(items) => {
                let schemas: Vec<&Value> = parts.iter().filter_map(|part| part.get("items")).collect();
                for item in items {
                    self.unknown_keys(&schemas, item, at, problems);
                }
            }
            _ => {}
        }
    }

    /// Collects the schemas that say something about `value`: this one, and those it refers to, but for the
    /// alternatives that are plainly about something else.
    fn parts<'s>(&'s self, schema: &'s Value, value: &Value, found: &mut Vec<&'s Value>, seen: &mut BTreeSet<&'s str>) {
        let mut constants = schema["properties"].as_object().into_iter().flatten();
        let other = constants.any(|(key, inner)| {
            inner.get("const").is_some_and(|wanted| value.get(key).is_some_and(|given| given != wanted))
        });
        if other {
            return;
        }
        found.push(schema);
        for keyword in ["allOf", "anyOf", "oneOf"] {
            for branch in schema[keyword].as_array().into_iter().flatten() {
                self.parts(branch, value, found, seen);
            }
        }
        if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/"))
            && seen.insert(name)
            && let Some(definition) = self.definitions.get(name)
        {
            self.parts(definition, value, found, seen);
        }
    }
}

fn envelope(message: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let Some(fields) = message.as_object() else {
        return vec!["not an object".to_owned()];
    };
    if message["jsonrpc"] != "2.0" {
        problems.push("not JSON-RPC 2.0".to_owned());
    }
    let allowed: &[&str] = if fields.contains_key("method") {
        &["jsonrpc", "id", "method", "params"]
    } else {
        if fields.contains_key("result") == fields.contains_key("error") {
            problems.push("not exactly one of result and error".to_owned());
        }
        &["jsonrpc", "id", "result", "error"]
    };
    for key in fields.keys().filter(|key| !allowed.contains(&key.as_str())) {
        problems.push(format!("an unknown key `{key}` beside the method"));
    }
    problems
}

/// Of what is not stable yet, Crow speaks `session/fork`.
fn adopt_forks(stable: &mut Value, unstable: &Value) {
    for name in ["ForkSessionResponse", "SessionForkCapabilities"] {
        stable["$defs"][name] = unstable["$defs"][name].clone();
    }
    let capability = &unstable["$defs"]["SessionCapabilities"]["properties"]["fork"];
    stable["$defs"]["SessionCapabilities"]["properties"]["fork"] = capability.clone();
}
