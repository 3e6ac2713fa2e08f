//! One event as one line: a JSON object with typed fields, or text.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::config::LogFormat;
use crate::telemetry::Timestamp;

pub(super) struct Line(pub(super) LogFormat);

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = *event.metadata().level();
        let module = event.metadata().target();
        match self.0 {
            LogFormat::Json => writeln!(out, "{}", json(level, module, fields)),
            LogFormat::Text => {
                let colour = out.has_ansi_escapes();
                writeln!(out, "{}", text(level, module, &fields, colour))
            }
        }
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.keep(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.keep(field, value.to_string().into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.keep(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.keep(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field, value.into());
    }
}

impl Fields {
    fn keep(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            // A field may not take the place of the keys every line has.
            (name @ ("timestamp" | "level" | "msg"), value) => {
                self.others.insert(format!("{name}_"), value);
            }
            (name, value) => {
                self.others.insert(name.to_owned(), value);
            }
        }
    }
}

const fn name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

fn json(level: Level, module: &str, fields: Fields) -> Value {
    let mut line = Map::new();
    line.insert("timestamp".to_owned(), Timestamp::now().to_string().into());
    line.insert("level".to_owned(), name(level).into());
    line.insert("msg".to_owned(), fields.message.into());
    line.insert("module".to_owned(), module.into());
    line.extend(fields.others);
    Value::Object(line)
}

fn text(level: Level, module: &str, fields: &Fields, colour: bool) -> String {
    let (on, off) = match level {
        _ if !colour => ("", ""),
        Level::ERROR => ("\x1b[31m", "\x1b[0m"),
        Level::WARN => ("\x1b[33m", "\x1b[0m"),
        Level::INFO => ("\x1b[32m", "\x1b[0m"),
        _ => ("\x1b[2m", "\x1b[0m"),
    };
    let mut line = format!("{} {on}{:<5}{off} ", Timestamp::now(), name(level).to_uppercase());
    if level >= Level::DEBUG {
        line.push_str(module);
        line.push_str(": ");
    }
    escape(&fields.message, &mut line);
    for (key, value) in &fields.others {
        line.push(' ');
        line.push_str(key);
        line.push('=');
        match value {
            Value::String(text) if !text.is_empty() && !text.contains([' ', '"', '=']) => {
                escape(text, &mut line);
            }
            Value::String(text) => {
                line.push('"');
                escape(text, &mut line);
                line.push('"');
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => {
                line.push_str(&value.to_string());
            }
        }
    }
    line
}

/// Control characters would break the line, or the terminal it is shown on.
fn escape(text: &str, line: &mut String) {
    for character in text.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: LOG-01, LOG-10
    #[test]
    fn hostile_text_stays_on_one_line() {
        let message = "first\nsecond\x1b[31m".to_owned();
        let fields = Fields { message, others: Map::new() };
        let shown = text(Level::INFO, "meshd", &fields, false);
        assert!(shown.ends_with("first\\nsecond\\u{1b}[31m"), "{shown}");
        let shown = json(Level::INFO, "meshd", fields).to_string();
        assert!(!shown.contains(['\n', '\x1b']), "{shown}");
    }

    // covers: LOG-02
    #[test]
    fn every_line_has_its_three_keys_and_typed_fields() {
        let others = Map::from_iter([("port".to_owned(), Value::from(80))]);
        let line = json(Level::WARN, "meshd", Fields { message: "busy".to_owned(), others });
        assert_eq!(
            (&line["level"], &line["msg"], &line["port"]),
            (&"warn".into(), &"busy".into(), &80.into())
        );
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    }
}
