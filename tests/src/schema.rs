//! As much of JSON Schema as `meshctl schema` uses, to hold its output against it.

use serde_json::Value;

/// Where `value` breaks `schema`; empty when it does not. `$ref`s are looked up in `root`.
pub fn violations(root: &Value, schema: &Value, value: &Value, path: &str) -> Vec<String> {
    if let Some(target) = schema["$ref"].as_str() {
        let found = root.pointer(target.trim_start_matches('#'));
        return match found {
            Some(found) => violations(root, found, value, path),
            None => vec![format!("{path}: {target} is nowhere")],
        };
    }
    let mut wrong = Vec::new();
    if !has_type(&schema["type"], value) {
        wrong.push(format!("{path}: {value} is not {}", schema["type"]));
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        wrong.push(format!("{path}: {value} is none of {allowed:?}"));
    }
    if let Some(wanted) = schema.get("const")
        && wanted != value
    {
        wrong.push(format!("{path}: {value} is not {wanted}"));
    }
    for key in ["anyOf", "oneOf"] {
        let Some(options) = schema[key].as_array() else { continue };
        if !options.iter().any(|option| violations(root, option, value, path).is_empty()) {
            wrong.push(format!("{path}: {value} matches no {key}"));
        }
    }
    wrong.extend(object(root, schema, value, path));
    if let Some(items) = value.as_array().filter(|_| schema.get("items").is_some()) {
        for (at, item) in items.iter().enumerate() {
            wrong.extend(violations(root, &schema["items"], item, &format!("{path}[{at}]")));
        }
    }
    wrong
}

fn object(root: &Value, schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let Some(members) = value.as_object() else { return Vec::new() };
    let mut wrong = Vec::new();
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !members.contains_key(name) {
            wrong.push(format!("{path}: {name} is missing"));
        }
    }
    for (name, member) in members {
        let path = format!("{path}.{name}");
        match schema["properties"].get(name) {
            Some(known) => wrong.extend(violations(root, known, member, &path)),
            None if schema["additionalProperties"] == false => {
                wrong.push(format!("{path}: unknown"))
            }
            None if schema["additionalProperties"].is_object() => {
                wrong.extend(violations(root, &schema["additionalProperties"], member, &path));
            }
            None => {}
        }
    }
    wrong
}

fn has_type(wanted: &Value, value: &Value) -> bool {
    let one = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => false,
    };
    match wanted {
        Value::String(name) => one(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(one),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::violations;
    use serde_json::json;

    #[test]
    fn what_breaks_the_schema_is_named() {
        let schema = json!({"type": "object", "required": ["a"], "additionalProperties": false,
            "properties": {"a": {"type": ["integer", "null"]}, "b": {"enum": ["x"]}}});
        let check = |value| violations(&schema, &schema, &value, "");
        assert!(check(json!({"a": 1, "b": "x"})).is_empty());
        assert_eq!(check(json!({"a": "1"})).len(), 1);
        assert_eq!(check(json!({"b": "y", "c": 1})).len(), 3);
    }
}
