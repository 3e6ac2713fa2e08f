//! Holds a tree against its shape: every field known, every value of its type.
//!
//! Nothing stops at the first mistake: all of them are told at once.

use serde_json::{Map, Value};

use super::error::Problem;
use super::scalar::reads_as;
use super::shape::{Field, MOST_WEIGHT, Presence, Shape, Type};
use super::suggest::{list, suggest};
use super::tree::{Content, Entry, Node, Place};
use super::{duration, is_name, retry};
use crate::codes::{self, Code};

/// Mistakes and where they are.
#[derive(Default)]
pub(super) struct Checker {
    pub(super) faults: Vec<(Place, Problem)>,
    /// Path of the value being looked at.
    path: String,
}

impl Checker {
    /// The value of `node`, meaningful only if no fault was found.
    pub(super) fn value(&mut self, node: &Node<'_>, kind: &Type) -> Value {
        match kind {
            Type::Object(shape) => self.object(node, shape),
            Type::List(inner, most) => self.list(node, inner, *most),
            Type::Labels => self.labels(node, is_label_value),
            Type::Annotations => self.labels(node, |_| true),
            Type::Either(short, long) => match &node.content {
                Content::Scalar { .. } => self.value(node, short),
                Content::List(_) | Content::Map(_) => self.value(node, long),
            },
            Type::Text => self.text(node).unwrap_or_default().into(),
            Type::Name => self.name(node),
            Type::Integer { least, most } => {
                self.integer(node, (*least, *most), "a number", codes::INVALID_VALUE)
            }
            Type::Port => self.integer(node, (1, 65_535), "a port", codes::INVALID_VALUE),
            Type::Weight => self.integer(node, (0, MOST_WEIGHT), "a weight", codes::INVALID_WEIGHT),
            Type::True if matches!(raw(node), Some(("true", false))) => true.into(),
            Type::True => self.wrong_type(node, "`true`"),
            Type::Truth => match raw(node) {
                Some((word @ ("true" | "false"), false)) => (word == "true").into(),
                _ => self.wrong_type(node, "`true` or `false`"),
            },
            Type::Status => self.status(node),
            Type::Word(words) => self.word(node, words),
            Type::Duration => self.parsed(node, "a duration", "2s, 500ms, 1m30s", |text| {
                duration::parse(text).is_some()
            }),
            Type::Address => self.parsed(node, "an IP address", "10.0.0.11, fd00::11", |text| {
                text.parse::<std::net::IpAddr>().is_ok()
            }),
            Type::Host => self.parsed(node, "a host name", "shop.example, *.shop.example", is_host),
            Type::Short { example, holds } => self.parsed(node, "a short form", example, *holds),
            Type::Any | Type::Number | Type::Time | Type::OrNull(_) => as_it_is(node),
        }
    }

    pub(super) fn object(&mut self, node: &Node<'_>, shape: &Shape) -> Value {
        let Content::Map(entries) = &node.content else {
            return self.wrong_type(node, "an object with fields");
        };
        let mut object = Map::new();
        for entry in entries {
            let Some(field) = shape.field(&entry.key) else {
                self.unknown(entry, shape);
                continue;
            };
            let read = matches!(field.presence, Presence::Required | Presence::Optional);
            if read && !entry.value.is_null() {
                let value = self.within(&entry.key, |this| this.value(&entry.value, &field.kind));
                object.insert(field.name.to_owned(), value);
            }
        }
        let required = shape.fields.iter().filter(|f| f.presence == Presence::Required);
        for field in required.filter(|field| !object.contains_key(field.name)) {
            self.missing(node, field, shape);
        }
        Value::Object(object)
    }

    fn list(&mut self, node: &Node<'_>, inner: &Type, most: usize) -> Value {
        let Content::List(items) = &node.content else {
            return self.wrong_type(node, "a list");
        };
        if items.len() > most {
            let message = format!("{} items, at most {most} are allowed", items.len());
            self.fault(node.place, codes::TOO_LARGE, message, "split it up");
            return Value::Null;
        }
        let item = |(at, item): (usize, &Node<'_>)| {
            self.within(&format!("[{at}]"), |this| this.value(item, inner))
        };
        Value::Array(items.iter().enumerate().map(item).collect())
    }

    fn labels(&mut self, node: &Node<'_>, holds: fn(&str) -> bool) -> Value {
        let Content::Map(entries) = &node.content else {
            return self.wrong_type(node, "an object with keys and texts");
        };
        let mut labels = Map::new();
        for entry in entries {
            if !is_label_key(&entry.key) {
                let message = format!("{:?} is no label key", entry.key);
                let rule =
                    "keys: letters, digits, '-', '_', '.', at most 63, perhaps after DOMAIN/";
                self.fault(entry.place, codes::INVALID_NAME, message, rule);
            }
            let value = self.within(&format!("[{:?}]", entry.key), |this| {
                let text = this.text(&entry.value)?;
                if !holds(&text) {
                    let message = format!("{text:?} is no label value");
                    let rule = "values: letters, digits, '-', '_', '.', at most 63";
                    this.fault(entry.value.place, codes::INVALID_VALUE, message, rule);
                }
                Some(text)
            });
            labels.insert(entry.key.to_string(), value.unwrap_or_default().into());
        }
        Value::Object(labels)
    }

    fn name(&mut self, node: &Node<'_>) -> Value {
        let Some(text) = self.text(node) else { return Value::Null };
        if !is_name(&text) {
            let message = format!("{text:?} is no name");
            self.fault(node.place, codes::INVALID_NAME, message, codes::INVALID_NAME.why);
        }
        text.into()
    }

    /// A text that any YAML program reads as one.
    fn text(&mut self, node: &Node<'_>) -> Option<String> {
        let Some((text, quoted)) = raw(node) else {
            self.wrong_type(node, "a text");
            return None;
        };
        if !quoted && let Some(reading) = reads_as(text) {
            let message = format!("{text:?} reads as {reading}, a text is wanted");
            let hint = format!("quote it: \"{text}\"");
            self.fault(node.place, codes::WRONG_TYPE, message, hint);
            return None;
        }
        if text.contains(char::is_control) {
            let message = format!("{text:?} contains control characters");
            self.fault(node.place, codes::INVALID_VALUE, message, "remove them");
            return None;
        }
        Some(text.to_owned())
    }

    fn integer(
        &mut self,
        node: &Node<'_>,
        (least, most): (u64, u64),
        what: &str,
        code: Code,
    ) -> Value {
        let Some((text, false)) = raw(node) else {
            let wanted = format!("{what} (a whole number without quotes)");
            return self.wrong_type(node, &wanted);
        };
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_decimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_decimal || (digits.len() > 1 && digits.starts_with('0')) {
            return self.wrong_type(node, &format!("{what} (a whole number in decimal digits)"));
        }
        match text.parse::<u64>() {
            Ok(number) if (least..=most).contains(&number) => number.into(),
            _ => {
                let message = format!("{text} is not {what}");
                let hint = format!("write a number from {least} to {most}");
                self.fault(node.place, code, message, hint);
                Value::Null
            }
        }
    }

    fn status(&mut self, node: &Node<'_>) -> Value {
        let text = raw(node).map(|(text, _)| text).unwrap_or_default();
        if retry::status_codes(text).is_none() {
            let message = format!("{text:?} is no status code to retry");
            self.fault(node.place, codes::INVALID_VALUE, message, "write 400 to 599, or 5xx");
        }
        text.parse::<u16>().map_or_else(|_| text.into(), Value::from)
    }

    fn word(&mut self, node: &Node<'_>, words: &[&str]) -> Value {
        let text = raw(node).map(|(text, _)| text).unwrap_or_default();
        if !words.contains(&text) {
            let message = format!("{} is not one of {}", shown(node), list(words));
            let hint = match suggest(text, words.iter().copied()) {
                Some(word) => format!("did you mean \"{word}\"?"),
                None => format!("write one of {}", list(words)),
            };
            self.fault(node.place, codes::INVALID_VALUE, message, hint);
        }
        text.into()
    }

    fn parsed(
        &mut self,
        node: &Node<'_>,
        what: &str,
        examples: &str,
        holds: impl Fn(&str) -> bool,
    ) -> Value {
        let text = raw(node).map(|(text, _)| text).unwrap_or_default();
        if !holds(text) {
            let message = format!("{} is not {what}", shown(node));
            let hint = format!("write it like {examples}");
            self.fault(node.place, codes::INVALID_VALUE, message, hint);
        }
        text.into()
    }

    fn wrong_type(&mut self, node: &Node<'_>, wanted: &str) -> Value {
        let message = format!("{} is not {wanted}", shown(node));
        self.fault(node.place, codes::WRONG_TYPE, message, format!("write {wanted} here"));
        Value::Null
    }

    fn unknown(&mut self, entry: &Entry<'_>, shape: &Shape) {
        let names = || {
            let known = shape.fields.iter().filter(|field| field.presence != Presence::Ignored);
            known.map(|field| field.name)
        };
        let message = format!("unknown field {:?}", entry.key);
        let hint = match suggest(&entry.key, names()) {
            Some(name) => format!("did you mean \"{name}\"?"),
            None => format!("fields of {}: {}", shape.name, list(&names().collect::<Vec<_>>())),
        };
        self.within(&entry.key, |this| {
            this.fault(entry.place, codes::UNKNOWN_FIELD, message, hint);
        });
    }

    fn missing(&mut self, node: &Node<'_>, field: &Field, shape: &Shape) {
        let message = format!("{} needs {:?}", shape.name, field.name);
        let hint = format!("add {}: {}", field.name, field.doc);
        self.within(field.name, |this| {
            this.fault(node.place, codes::MISSING_FIELD, message, hint);
        });
    }

    fn fault(&mut self, at: Place, code: Code, message: String, hint: impl Into<String>) {
        let problem = Problem::new(self.path.clone(), code, message).hint(hint);
        self.faults.push((at, problem));
    }

    /// Runs `inner` one step deeper: a field's name, or `[index]`.
    fn within<T>(&mut self, step: &str, inner: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        if length > 0 && !step.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(step);
        let outcome = inner(self);
        self.path.truncate(length);
        outcome
    }
}

/// A scalar's text, and whether it was quoted.
fn raw<'n>(node: &'n Node<'_>) -> Option<(&'n str, bool)> {
    match &node.content {
        Content::Scalar { text, quoted } => Some((text, *quoted)),
        Content::List(_) | Content::Map(_) => None,
    }
}

/// A value as a message shows it: short, whatever was written.
fn shown(node: &Node<'_>) -> String {
    match &node.content {
        Content::Scalar { .. } if node.is_null() => "nothing".to_owned(),
        Content::Scalar { text, .. } => {
            let mut short: String = text.chars().take(60).collect();
            if short.len() < text.len() {
                short.push('…');
            }
            format!("{short:?}")
        }
        Content::List(_) => "a list".to_owned(),
        Content::Map(_) => "an object".to_owned(),
    }
}

/// The value without a shape: plain scalars as YAML 1.2's core schema reads them.
fn as_it_is(node: &Node<'_>) -> Value {
    match &node.content {
        Content::Scalar { text, quoted: true } => text.as_ref().into(),
        Content::Scalar { text, quoted: false } => match text.as_ref() {
            _ if node.is_null() => Value::Null,
            "true" => true.into(),
            "false" => false.into(),
            text => text.parse::<i64>().map_or_else(|_| text.into(), Value::from),
        },
        Content::List(items) => items.iter().map(as_it_is).collect(),
        Content::Map(entries) => {
            let entry = |e: &Entry<'_>| (e.key.to_string(), as_it_is(&e.value));
            Value::Object(entries.iter().map(entry).collect())
        }
    }
}

fn is_host(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    text.len() <= 253 && name.split('.').all(is_name) && name.parse::<std::net::IpAddr>().is_err()
}

fn is_label_key(text: &str) -> bool {
    let (domain, name) = text.split_once('/').map_or((None, text), |(d, n)| (Some(d), n));
    domain.is_none_or(|domain| domain.len() <= 253 && domain.split('.').all(is_name))
        && !name.is_empty()
        && is_label_value(name)
}

fn is_label_value(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    text.len() <= 63 && text.bytes().all(inner)
}
