//! Canonical YAML: the same object always gives the same text, in the shape people write.
//!
//! Small things stand on one line (`{name: web, subset: v1}`), lists of objects one item per
//! line, so that a diff shows the line that changed.

use serde_json::Value;

use super::Object;
use super::scalar::reads_as;

/// A flow form longer than this becomes a block.
const WIDTH: usize = 100;

/// The canonical text of one object.
#[must_use]
pub fn to_yaml(object: &Object) -> String {
    json_to_yaml(&object.to_json())
}

/// The canonical text of several objects, as one stream of documents.
#[must_use]
pub fn to_yaml_stream<'a>(objects: impl IntoIterator<Item = &'a Object>) -> String {
    objects.into_iter().map(to_yaml).collect::<Vec<_>>().join("---\n")
}

/// Any JSON value in the same style: what `-o yaml` prints.
#[must_use]
pub fn json_to_yaml(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                line(&mut text, 0, &format!("{}:", scalar(key)), value);
            }
        }
        Value::Array(items) if !items.is_empty() => list(&mut text, 0, items),
        Value::Object(_)
        | Value::Array(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_) => text.push_str(&format!("{}\n", flow(value))),
    }
    text
}

/// One field or list item: what comes before the value, and the value on the same line or below.
fn line(text: &mut String, indent: usize, lead: &str, value: &Value) {
    pad(text, indent);
    text.push_str(lead);
    if fits(value, indent + lead.len()) {
        text.push_str(&format!(" {}\n", flow(value)));
        return;
    }
    text.push('\n');
    if let Some(fields) = value.as_object() {
        for (key, value) in fields {
            line(text, indent + 2, &format!("{}:", scalar(key)), value);
        }
    } else if let Some(items) = value.as_array() {
        // Below its field a list needs no deeper indent; below another item's dash it does.
        let inner = if lead == "-" { indent + 2 } else { indent };
        list(text, inner, items);
    }
}

fn list(text: &mut String, indent: usize, items: &[Value]) {
    for item in items {
        match item.as_object().filter(|_| !fits(item, indent + 1)) {
            None => line(text, indent, "-", item),
            Some(fields) => {
                let start = text.len();
                for (key, value) in fields {
                    line(text, indent + 2, &format!("{}:", scalar(key)), value);
                }
                // The item's dash takes the place of its first field's indent.
                text.replace_range(start + indent..=start + indent, "-");
            }
        }
    }
}

fn pad(text: &mut String, indent: usize) {
    text.extend(std::iter::repeat_n(' ', indent));
}

/// Whether a value may stand on one line: scalars, and short collections without a list of
/// several objects in them.
fn fits(value: &Value, column: usize) -> bool {
    let is_scalar = !value.is_array() && !value.is_object();
    is_scalar || (is_flat(value) && column + 1 + flow(value).len() <= WIDTH)
}

fn is_flat(value: &Value) -> bool {
    if let Some(fields) = value.as_object() {
        return fields.values().all(|value| match value.as_array() {
            Some(items) => items.iter().all(|item| !item.is_object()),
            None => is_flat(value),
        });
    }
    match value.as_array().map(Vec::as_slice) {
        None => true,
        Some([only]) if only.is_object() => is_flat(only),
        Some(items) => items.iter().all(|item| !item.is_object() && !item.is_array()),
    }
}

fn flow(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => scalar(text),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", "))
        }
        Value::Object(fields) => {
            let field =
                |(key, value): (&String, &Value)| format!("{}: {}", scalar(key), flow(value));
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
    }
}

/// A text, quoted wherever any reader could take it for something else.
fn scalar(text: &str) -> String {
    let plain = !text.is_empty()
        && reads_as(text).is_none()
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_'))
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+()$^;~".contains(c));
    if plain {
        return text.to_owned();
    }
    // A JSON string is a YAML string, but for characters that YAML does not print.
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if c.is_control() || is_odd(c) => {
                quoted.push_str(&match u32::from(c) {
                    code @ ..=0xffff => format!("\\u{code:04X}"),
                    code => format!("\\U{code:08X}"),
                });
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Line separators, byte order marks and text direction marks: they must not reach a terminal.
fn is_odd(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
        | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
