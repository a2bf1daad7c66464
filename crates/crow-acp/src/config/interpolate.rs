//! `${VARIABLE}` in the text values of the user's own file. `$${` stands for `${` itself.

use std::collections::BTreeMap;

use super::error::ConfigError;
use super::tree::{Node, Table, Value};
use crate::secret::Secrets;

/// Puts in what the environment holds. A variable that is not set leaves [`Value::Unset`]: whoever reads that key says so.
pub(super) fn interpolate(
    table: &mut Table,
    env: &BTreeMap<String, String>,
    secrets: &Secrets,
) -> Result<(), ConfigError> {
    for entry in table.values_mut() {
        node(&mut entry.node, env, secrets)?;
    }
    Ok(())
}

fn node(node: &mut Node, env: &BTreeMap<String, String>, secrets: &Secrets) -> Result<(), ConfigError> {
    match &mut node.value {
        Value::String(text) if text.contains("${") => {
            node.value = expand(text, env, secrets).map_err(|message| ConfigError::at(&node.origin, message))?;
        }
        Value::Array(items) => {
            for item in items {
                self::node(item, env, secrets)?;
            }
        }
        Value::Table(table) => interpolate(table, env, secrets)?,
        _ => {}
    }
    Ok(())
}

fn expand(text: &str, env: &BTreeMap<String, String>, secrets: &Secrets) -> Result<Value, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = &from[2..];
            continue;
        }
        expanded.push_str(before);
        let Some(end) = from.find('}') else {
            return Err("`${` has no `}`; write `$${` for the two characters themselves".into());
        };
        let variable = &from[2..end];
        if variable.is_empty() || !variable.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(format!("`${{{variable}}}` does not name an environment variable"));
        }
        let Some(value) = env.get(variable) else {
            return Ok(Value::Unset { variable: variable.to_owned() });
        };
        secrets.add_variable(variable, value);
        expanded.push_str(value);
        rest = &from[end + 1..];
    }
    expanded.push_str(rest);
    Ok(Value::String(expanded))
}

/// Takes every entry out that could not be expanded, and says which was the first.
pub(super) fn take_unset(table: &mut Table) -> Option<ConfigError> {
    let mut first = None;
    table.retain(|key, entry| {
        let error = match &mut entry.node.value {
            Value::Unset { variable } => Some(ConfigError::at(
                &entry.node.origin,
                format!("`{key}`: the environment variable `{variable}` is not set"),
            )),
            Value::Table(inner) => {
                let error = take_unset(inner);
                first = first.take().or(error);
                None
            }
            _ => None,
        };
        let keep = error.is_none();
        first = first.take().or(error);
        keep
    });
    first
}
