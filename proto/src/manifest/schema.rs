//! JSON Schema (2020-12) of every kind and list, printed from the shapes.

use serde_json::{Map, Value, json};

use super::Kind;
use super::duration;
use super::shape::{self, MOST_WEIGHT, Presence, Shape, Type};

/// What [`schema`] knows.
#[must_use]
pub fn schema_names() -> Vec<String> {
    Kind::ALL.iter().flat_map(|kind| [kind.name().to_owned(), format!("{kind}List")]).collect()
}

/// The schema of a kind (`Service`, in any letter case, or an alias) or of its list
/// (`ServiceList`): of what `apply` takes and `get -o json` prints.
#[must_use]
pub fn schema(name: &str) -> Option<Value> {
    let is = |kind: &Kind, suffix: &str| name.eq_ignore_ascii_case(&format!("{kind}{suffix}"));
    let listed = Kind::ALL.into_iter().find(|kind| is(kind, "List"));
    let found = listed.or_else(|| Kind::ALL.into_iter().find(|kind| is(kind, "")));
    let kind = found.or_else(|| Kind::find(name))?;
    let mut schema = if listed.is_some() { list(kind) } else { object(shape::of(kind)) };
    let title = if listed.is_some() { format!("{kind}List") } else { kind.name().to_owned() };
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
        fields.insert("title".to_owned(), title.into());
    }
    Some(schema)
}

fn list(kind: Kind) -> Value {
    json!({
        "type": "object",
        "required": ["apiVersion", "kind", "items"],
        "additionalProperties": false,
        "properties": {
            "apiVersion": {"const": "mesh/v1"},
            "kind": {"const": format!("{kind}List")},
            "items": {"type": "array", "items": object(shape::of(kind))},
        },
    })
}

fn object(shape: &Shape) -> Value {
    let required = shape.fields.iter().filter(|field| field.presence == Presence::Required);
    let required: Vec<&str> = required.map(|field| field.name).collect();
    let property = |field: &shape::Field| {
        let mut schema = value(&field.kind);
        if let Some(fields) = schema.as_object_mut() {
            fields.insert("description".to_owned(), field.doc.into());
            if matches!(field.presence, Presence::Output | Presence::Ignored) {
                fields.insert("readOnly".to_owned(), true.into());
            }
        }
        (field.name.to_owned(), schema)
    };
    let properties: Map<String, Value> = shape.fields.iter().map(property).collect();
    json!({
        "type": "object",
        "description": shape.doc,
        "required": required,
        "additionalProperties": false,
        "properties": properties,
    })
}

fn value(kind: &Type) -> Value {
    match kind {
        Type::Text | Type::Address => json!({"type": "string"}),
        Type::Short { example, .. } => json!({"type": "string", "examples": [example]}),
        Type::Name => json!({"type": "string", "pattern": NAME, "maxLength": 63}),
        Type::Host => json!({"type": "string", "pattern": HOST, "maxLength": 253}),
        Type::Duration => json!({"type": "string", "pattern": duration::PATTERN}),
        Type::Time => json!({"type": "string", "format": "date-time"}),
        Type::Word([only]) => json!({"const": only}),
        Type::Word(words) => json!({"enum": words}),
        Type::True => json!({"const": true}),
        Type::Truth => json!({"type": "boolean"}),
        Type::Number => json!({"type": "number"}),
        Type::Integer { least, most: u64::MAX } => json!({"type": "integer", "minimum": least}),
        Type::Integer { least, most } => integer(*least, *most),
        Type::Port => integer(1, 65_535),
        Type::Weight => integer(0, MOST_WEIGHT),
        Type::Status => json!({"anyOf": [integer(400, 599), {"const": "5xx"}]}),
        Type::Labels | Type::Annotations => {
            json!({"type": "object", "additionalProperties": {"type": "string"}})
        }
        Type::Object(shape) => object(shape),
        Type::List(inner, usize::MAX) => json!({"type": "array", "items": value(inner)}),
        Type::List(inner, most) => {
            json!({"type": "array", "items": value(inner), "maxItems": most})
        }
        Type::Either(short, long) => json!({"anyOf": [value(short), value(long)]}),
        Type::OrNull(inner) => json!({"anyOf": [value(inner), {"type": "null"}]}),
        Type::Any => json!({}),
    }
}

fn integer(least: u64, most: u64) -> Value {
    json!({"type": "integer", "minimum": least, "maximum": most})
}

const NAME: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
const HOST: &str = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

#[cfg(test)]
mod tests;
