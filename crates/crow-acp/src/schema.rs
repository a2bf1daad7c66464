//! The part of JSON Schema that models get wrong: whether a tool call's arguments have the fields and types that the
//! tool declares. Keywords beyond these are the tool's own to check.

use serde_json::{Map, Value};

/// Checks `value` against `schema` (`type`, `properties`, `required`, `additionalProperties: false`, `items`, `enum`).
///
/// # Errors
/// One sentence for the model, naming the place.
pub(crate) fn check(schema: &Value, value: &Value) -> Result<(), String> {
    at(schema, value, "")
}

fn at(schema: &Value, value: &Value, path: &str) -> Result<(), String> {
    let here = || if path.is_empty() { "the arguments".to_owned() } else { format!("`{path}`") };
    if let Some(expected) = schema.get("type")
        && !is_one_of(expected, value)
    {
        return Err(format!("{} must be {}, not {}", here(), names(expected), kind(value)));
    }
    if let Some(Value::Array(allowed)) = schema.get("enum")
        && !allowed.contains(value)
    {
        let allowed: Vec<String> = allowed.iter().map(Value::to_string).collect();
        return Err(format!("{} must be one of {}", here(), allowed.join(", ")));
    }
    if let (Value::Object(object), Some(Value::Object(properties))) = (value, schema.get("properties")) {
        fields(schema, properties, object, path)?;
    }
    if let (Value::Array(items), Some(item)) = (value, schema.get("items")) {
        for (index, value) in items.iter().enumerate() {
            at(item, value, &format!("{path}[{index}]"))?;
        }
    }
    Ok(())
}

fn fields(
    schema: &Value,
    properties: &Map<String, Value>,
    object: &Map<String, Value>,
    path: &str,
) -> Result<(), String> {
    let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        if !object.contains_key(name) {
            return Err(format!("`{}` is missing", join(name)));
        }
    }
    let required = |name: &str| {
        schema.get("required").and_then(Value::as_array).is_some_and(|names| names.iter().any(|other| other == name))
    };
    for (name, value) in object {
        match properties.get(name) {
            // Many models write null for an argument that they leave out.
            Some(_) if value.is_null() && !required(name) => {}
            Some(property) => at(property, value, &join(name))?,
            None if schema.get("additionalProperties") == Some(&Value::Bool(false)) => {
                let known: Vec<&str> = properties.keys().map(String::as_str).collect();
                return Err(format!("there is no `{}`; the arguments are {}", join(name), known.join(", ")));
            }
            None => {}
        }
    }
    Ok(())
}

fn is_one_of(expected: &Value, value: &Value) -> bool {
    match expected {
        Value::String(name) => is(name, value),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(|name| is(name, value)),
        _ => true,
    }
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        _ => true,
    }
}

fn names(expected: &Value) -> String {
    match expected {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        other => other.as_str().unwrap_or("something else").to_owned(),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn says_what_does_not_fit_and_where() {
        let schema = json!({
            "type": "object",
            "properties": {
                "path": { "type": "string" },
                "limit": { "type": "integer" },
                "how": { "enum": ["a", "b"] },
                "edits": { "type": "array", "items": { "type": "object", "properties": { "n": { "type": "number" } }, "required": ["n"] } },
            },
            "required": ["path"],
            "additionalProperties": false,
        });
        let says = |value: Value| check(&schema, &value).err();
        assert_eq!(says(json!({ "path": "a", "limit": 3, "how": "a", "edits": [{ "n": 1.5 }] })), None);
        assert_eq!(says(json!({ "path": "a", "limit": null })), None);
        assert_eq!(says(json!([])), Some("the arguments must be object, not array".into()));
        assert_eq!(says(json!({})), Some("`path` is missing".into()));
        assert_eq!(says(json!({ "path": null })), Some("`path` must be string, not null".into()));
        assert_eq!(says(json!({ "path": "a", "limit": 1.5 })), Some("`limit` must be integer, not number".into()));
        assert_eq!(says(json!({ "path": "a", "how": "c" })), Some("`how` must be one of \"a\", \"b\"".into()));
        assert_eq!(says(json!({ "path": "a", "edits": [{}] })), Some("`edits[0].n` is missing".into()));
        assert!(
            says(json!({ "path": "a", "pth": 1 }))
                .is_some_and(|text| text.starts_with("there is no `pth`; the arguments are"))
        );
    }
}
