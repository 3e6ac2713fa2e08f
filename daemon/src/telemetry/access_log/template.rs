//! A text line per request, shaped by a template of `%FIELDS%`.

use std::io::Write as _;

use crate::record::{Entry, unpadded};
use crate::state::Interner;
use crate::telemetry::Timestamp;

/// Compiled once; an unknown field is an error then, not a hole in every line.
#[derive(Clone, Debug)]
pub(super) struct Template(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Literal(String),
    Field(Field),
}

#[derive(Clone, Copy, Debug)]
enum Field {
    StartTime,
    Method,
    Path,
    Protocol,
    Status,
    Duration,
    BytesSent,
    BytesReceived,
    UpstreamCluster,
    UpstreamSubset,
    UpstreamHost,
    Flags,
    Route,
    Host,
    TraceId,
    RequestId,
    Client,
    Destination,
    Source,
    Pid,
    Process,
}

/// Our names, and Envoy's where they differ.
const FIELDS: [(&str, Field); 29] = [
    ("START_TIME", Field::StartTime),
    ("METHOD", Field::Method),
    ("REQ(:METHOD)", Field::Method),
    ("PATH", Field::Path),
    ("REQ(:PATH)", Field::Path),
    ("REQ(X-ENVOY-ORIGINAL-PATH?:PATH)", Field::Path),
    ("PROTOCOL", Field::Protocol),
    ("STATUS", Field::Status),
    ("RESPONSE_CODE", Field::Status),
    ("DURATION", Field::Duration),
    ("BYTES_SENT", Field::BytesSent),
    ("BYTES_RECEIVED", Field::BytesReceived),
    ("UPSTREAM_CLUSTER", Field::UpstreamCluster),
    ("UPSTREAM_SUBSET", Field::UpstreamSubset),
    ("UPSTREAM_HOST", Field::UpstreamHost),
    ("RESPONSE_FLAGS", Field::Flags),
    ("ROUTE_NAME", Field::Route),
    ("HOST", Field::Host),
    ("REQ(:AUTHORITY)", Field::Host),
    ("TRACE_ID", Field::TraceId),
    ("REQUEST_ID", Field::RequestId),
    ("REQ(X-REQUEST-ID)", Field::RequestId),
    ("DOWNSTREAM_REMOTE_ADDRESS", Field::Client),
    ("REMOTE_ADDR", Field::Client),
    ("DOWNSTREAM_LOCAL_ADDRESS", Field::Destination),
    ("DESTINATION", Field::Destination),
    ("SOURCE", Field::Source),
    ("PID", Field::Pid),
    ("PROCESS", Field::Process),
];

impl Template {
    /// `Err` is the field nobody knows.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once('%') {
            parts.push(Part::Literal(literal.to_owned()));
            let (name, after) = after.split_once('%').ok_or_else(|| format!("%{after}"))?;
            rest = after;
            if name.is_empty() {
                parts.push(Part::Literal("%".to_owned()));
                continue;
            }
            let field = FIELDS.iter().find(|(known, _)| *known == name);
            let (_, field) = field.ok_or_else(|| format!("%{name}%"))?;
            parts.push(Part::Field(*field));
        }
        parts.push(Part::Literal(rest.to_owned()));
        Ok(Self(parts))
    }

    pub(super) fn write(&self, entry: &Entry, names: &Interner, line: &mut Vec<u8>) {
        for part in &self.0 {
            match part {
                Part::Literal(text) => line.extend_from_slice(text.as_bytes()),
                Part::Field(field) => field.write(entry, names, line),
            }
        }
        line.push(b'\n');
    }
}

impl Field {
    fn write(self, entry: &Entry, names: &Interner, line: &mut Vec<u8>) {
        let record = &entry.record;
        match self {
            Self::StartTime => show(line, Timestamp::from_nanos(record.start)),
            Self::Method => quote(entry.method().as_bytes(), line),
            Self::Path => quote(entry.path(), line),
            Self::Host => quote(&entry.host, line),
            Self::Protocol => quote(entry.protocol().as_bytes(), line),
            Self::Status => show(line, record.status),
            Self::Duration => show(line, record.steps.total() / 1_000_000),
            Self::BytesSent => show(line, record.sent),
            Self::BytesReceived => show(line, record.received),
            Self::UpstreamCluster => show(line, upstream(entry, names)),
            Self::UpstreamSubset => {
                show(line, names.name(record.pick.map_or(0, |pick| pick.subset)))
            }
            Self::UpstreamHost => match record.pick {
                Some(pick) => show(line, pick.address),
                None => line.push(b'-'),
            },
            Self::Flags => quote(record.flag.code().as_bytes(), line),
            Self::Route => show(line, names.name(record.route)),
            Self::TraceId => show(line, entry.trace_id().as_deref().unwrap_or("none")),
            Self::RequestId => quote(entry.request_id().unwrap_or_default().as_bytes(), line),
            Self::Client => show(line, record.source.address),
            Self::Destination => show(line, record.destination),
            Self::Source => show(line, names.name(record.source.service)),
            Self::Pid => show(line, record.source.pid),
            Self::Process => quote(unpadded(&record.source.process).as_bytes(), line),
        }
    }
}

/// The service that answered, or was meant to.
pub(super) fn upstream(entry: &Entry, names: &Interner) -> std::sync::Arc<str> {
    names.name(entry.record.pick.map_or(entry.record.service, |pick| pick.service))
}

fn show(line: &mut Vec<u8>, value: impl std::fmt::Display) {
    // Writing to memory cannot fail.
    drop(write!(line, "{value}"));
}

/// What a client may have chosen: `-` when empty, and nothing that could end the field, the line,
/// or control a terminal.
fn quote(text: &[u8], line: &mut Vec<u8>) {
    if text.is_empty() {
        line.push(b'-');
    }
    for &byte in text {
        match byte {
            b'"' | b'\\' | 0..=0x1f | 0x7f..=0xff => show(line, format_args!("\\x{byte:02x}")),
            0x20..=0x7e => line.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;
    use crate::telemetry::testing;

    const ENVOYS: &str = "[%START_TIME%] \"%METHOD% %PATH% %PROTOCOL%\" %STATUS% %DURATION% \
                          %BYTES_SENT% %BYTES_RECEIVED% \"%UPSTREAM_CLUSTER%\"";

    fn line(template: &str, path: &[u8]) -> String {
        let names = Interner::new();
        let service = names.id("web");
        let record = testing::answered(200, 234_900_000);
        let pick = record.pick.map(|pick| crate::record::Pick { service, ..pick });
        let record = Record { pick, ..record };
        let entry = Entry { record, host: b"web.mesh".to_vec(), path: path.to_vec() };
        let mut line = Vec::new();
        Template::parse(template).unwrap().write(&entry, &names, &mut line);
        String::from_utf8(line).unwrap()
    }

    // covers: LOG-14, LOG-15, LOG-16, LOG-17, LOG-18, LOG-19, LOG-20, LOG-21, LOG-22, LOG-23
    #[test]
    fn the_default_line_is_envoys() {
        assert_eq!(
            line(ENVOYS, b"/api/users"),
            "[2024-02-29T12:34:56.789Z] \"GET /api/users HTTP/1.1\" 200 234 1245 12 \"web\"\n"
        );
    }

    // covers: LOG-21
    #[test]
    fn any_order_can_be_had_under_envoys_names() {
        let template = "%RESPONSE_CODE% %BYTES_SENT% %BYTES_RECEIVED% %DURATION% 100%%";
        assert_eq!(line(template, b"/"), "200 1245 12 234 100%\n");
    }

    #[test]
    fn hostile_bytes_cannot_forge_a_line() {
        let shown = line("\"%PATH%\"", b"/\"\n200 \x1b[2J\xff\\");
        assert_eq!(shown, "\"/\\x22\\x0a200 \\x1b[2J\\xff\\x5c\"\n");
    }

    #[test]
    fn an_unknown_field_is_named() {
        assert_eq!(Template::parse("%START_TIME% %NOPE%").unwrap_err(), "%NOPE%");
        assert_eq!(Template::parse("50% of").unwrap_err(), "% of");
    }
}
