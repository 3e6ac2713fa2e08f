//! HTTP/1.1 attacks: what is sent, what must come back, and what the backend may have seen.
//!
//! Ids are stable (`H1-07`); docs/features.md promises the range. A case passes when the answer is
//! the wanted one, the backend read nothing ambiguous, and a victim on a connection of its own
//! still gets its own answer.

mod answers;
mod bodies;
mod connections;
mod lines;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::backend::{Backend, Piece, Seen, ok};
use crate::captured::Probe;
use crate::netns::Netns;
use crate::probe::Part;
use crate::wire::{Head, Wire, WireError, response_framing};

/// One answer as the attacker got it.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub head: Head,
    pub body: Vec<u8>,
    /// It ended as its framing said.
    pub whole: bool,
}

/// Everything that can be judged.
#[derive(Debug, Default)]
pub struct Outcome {
    pub replies: Vec<Reply>,
    /// Interim answers (1xx) before or between them.
    pub interim: usize,
    /// Bytes after the last answer.
    pub stray: Vec<u8>,
    pub closed: bool,
    /// Complete requests the backend read.
    pub seen: Vec<Seen>,
    /// What it could not read without guessing.
    pub dirt: Vec<String>,
}

type Check = fn(&Outcome) -> Option<String>;

pub struct Case {
    pub id: u16,
    pub name: &'static str,
    parts: Vec<Part>,
    /// First final status; 0 = closed without one.
    want: Vec<u16>,
    closes: bool,
    reply: Option<Vec<Piece>>,
    heads: usize,
    saw: Option<usize>,
    check: Option<Check>,
}

impl Case {
    fn new(id: u16, name: &'static str, bytes: impl Into<Vec<u8>>, want: &[u16]) -> Self {
        Self {
            id,
            name,
            parts: vec![Part::Send(bytes.into())],
            want: want.to_vec(),
            closes: false,
            reply: None,
            heads: 0,
            saw: None,
            check: None,
        }
    }

    /// Must be refused: 400, closed, nothing reaches the backend.
    fn refused(id: u16, name: &'static str, bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(id, name, bytes, &[400]).closing().seen(0)
    }

    fn or(mut self, status: u16) -> Self {
        self.want.push(status);
        self
    }

    fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    fn seen(mut self, requests: usize) -> Self {
        self.saw = Some(requests);
        self
    }

    fn then(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }

    /// The backend answers `/reply` with this.
    fn answered(mut self, pieces: Vec<Piece>) -> Self {
        self.reply = Some(pieces);
        self
    }

    fn heads(mut self, count: usize) -> Self {
        self.heads = count;
        self
    }

    fn check(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }
}

/// Every case, for requests to `host`.
pub fn cases(host: &str) -> Vec<Case> {
    let request = Request { host };
    let mut all = bodies::cases(request);
    all.extend(lines::cases(request));
    all.extend(connections::cases(request));
    all.extend(answers::cases(request));
    all
}

/// Requests to one host.
#[derive(Clone, Copy)]
struct Request<'a> {
    host: &'a str,
}

impl Request<'_> {
    fn get(self, fields: &str) -> String {
        self.line("GET /t HTTP/1.1", fields)
    }

    fn line(self, line: &str, fields: &str) -> String {
        format!("{line}\r\nHost: {}\r\n{fields}\r\n", self.host)
    }

    fn post(self, fields: &str, body: &str) -> String {
        self.line("POST /t HTTP/1.1", fields) + body
    }

    fn chunked(self, body: &str) -> String {
        self.post(TE, body)
    }
}

const TE: &str = "Transfer-Encoding: chunked\r\n";
const CHUNKED: &str = "5\r\nhello\r\n0\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\n";

/// A backend that answers with the target it saw, and `/reply`, `/early` as the case says.
pub struct Lane {
    pub backend: Backend,
    reply: Arc<Mutex<Vec<Piece>>>,
    pub host: String,
}

impl Lane {
    pub fn new(netns: &Netns, service: &str, port: u16) -> Self {
        let reply = Arc::new(Mutex::new(Vec::new()));
        let scripted = Arc::clone(&reply);
        let backend = Backend::scripted(netns, service, port, move |seen| {
            let target = seen.head.target();
            if target.starts_with("/reply") || target.starts_with("/early") {
                return scripted.lock().unwrap().clone();
            }
            let text = format!("{} {target} {}", seen.head.method(), seen.length);
            vec![Piece::Bytes(ok(&text, seen.head.method() == "HEAD"))]
        });
        Self { backend, reply, host: format!("{service}.mesh") }
    }

    /// Plays the case; `Err` says what is wrong.
    pub fn play(&self, probe: &mut Probe, case: Case) -> Result<(), String> {
        let address = format!("{}:80", self.host);
        self.backend.forget();
        *self.reply.lock().unwrap() = case.reply.clone().unwrap_or_default();
        let idle = if case.closes { 2_000 } else { 300 };
        let got = probe.exchange(&address, case.parts, idle);
        let mut outcome = read(&got.received, case.heads, got.closed);
        let said_close = outcome.replies.last().is_some_and(|reply| {
            reply.head.one("connection").is_some_and(|value| value.contains("close"))
        });
        outcome.closed = got.closed || said_close;
        outcome.seen = self.backend.seen();
        outcome.dirt = self.backend.dirt();
        let verdict = judge(&outcome, &case.want, case.closes, case.saw)
            .or_else(|| case.check.and_then(|check| check(&outcome)));
        let victim = self.victim(probe, &address);
        self.backend.hang_up();
        match verdict.or(victim) {
            None => Ok(()),
            Some(why) => {
                let statuses: Vec<u16> = outcome.replies.iter().map(|r| r.head.status()).collect();
                let closed = if outcome.closed { "closed" } else { "open" };
                let seen = outcome.seen.len();
                Err(format!("{why} (answers {statuses:?}, {closed}, backend saw {seen})"))
            }
        }
    }

    /// Someone else's request, right after the attack.
    fn victim(&self, probe: &mut Probe, address: &str) -> Option<String> {
        let request =
            format!("GET /victim HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.host);
        let got = probe.exchange(address, vec![request.as_str().into()], 3_000).text();
        let own = got.starts_with("HTTP/1.1 200") && got.ends_with("GET /victim 0");
        (!own).then(|| format!("the victim got {:?}", got.chars().take(80).collect::<String>()))
    }
}

fn judge(outcome: &Outcome, want: &[u16], closes: bool, saw: Option<usize>) -> Option<String> {
    if let Some(dirt) = outcome.dirt.first() {
        return Some(format!("forwarded {dirt}"));
    }
    if outcome.seen.iter().any(|seen| seen.head.target().contains("smuggled")) {
        return Some("a smuggled request arrived".to_owned());
    }
    if !outcome.stray.is_empty() {
        let shown = String::from_utf8_lossy(&outcome.stray[..outcome.stray.len().min(40)]);
        return Some(format!("stray bytes {shown:?}"));
    }
    let status = outcome.replies.first().map_or(0, |reply| reply.head.status());
    if !want.contains(&status) {
        return Some(format!("wanted {want:?}"));
    }
    if closes && !outcome.closed {
        return Some("left open".to_owned());
    }
    let seen = outcome.seen.len();
    saw.filter(|saw| *saw != seen).map(|saw| format!("the backend should see {saw}"))
}

/// Splits what came back into answers; the first `heads` answer HEAD requests.
fn read(received: &[u8], heads: usize, closed: bool) -> Outcome {
    let mut outcome = Outcome::default();
    let mut wire = Wire::new(received);
    loop {
        let head = match wire.head() {
            Ok(None) => return outcome,
            Ok(Some(head)) => head,
            Err(_) => {
                outcome.stray = received.to_vec();
                return outcome;
            }
        };
        if head.status() < 200 && head.status() != 101 {
            outcome.interim += 1;
            continue;
        }
        let method = if outcome.replies.len() < heads { "HEAD" } else { "GET" };
        let mut reply = Reply { head, ..Reply::default() };
        let until_close = [crate::wire::Framing::UntilClose];
        let read = response_framing(&reply.head, method).and_then(|framing| {
            wire.body(framing, |piece| reply.body.extend_from_slice(piece))?;
            Ok(!until_close.contains(&framing) || closed)
        });
        reply.whole = matches!(read, Ok(true));
        outcome.replies.push(reply);
        match read {
            Err(WireError::Dirty(_)) | Ok(_) => {}
            Err(WireError::Cut | WireError::Io(_)) => return outcome,
        }
    }
}

fn text(reply: &Reply) -> String {
    String::from_utf8_lossy(&reply.body).into_owned()
}

fn statuses(outcome: &Outcome, wanted: &[u16]) -> Option<String> {
    let got: Vec<u16> = outcome.replies.iter().map(|reply| reply.head.status()).collect();
    (got != wanted).then(|| format!("answers {got:?}, wanted {wanted:?}"))
}

fn body_is_hello(outcome: &Outcome) -> Option<String> {
    let arrived = outcome.seen.iter().all(|seen| seen.body == b"hello");
    (!arrived || outcome.seen.is_empty()).then(|| "the body did not arrive whole".to_owned())
}

/// None of these fields reached the backend, as field or trailer.
fn without(outcome: &Outcome, names: &[&str]) -> Option<String> {
    let arrived = |name: &&&str| {
        outcome.seen.iter().any(|seen| {
            let trailer = seen.trailers.iter().any(|field| field.0.eq_ignore_ascii_case(name));
            trailer || !seen.head.all(name).is_empty()
        })
    };
    names.iter().find(arrived).map(|name| format!("{name} was forwarded"))
}

fn pause_then(parts: [Piece; 2], ms: u64) -> Vec<Piece> {
    let [first, second] = parts;
    vec![first, Piece::Wait(Duration::from_millis(ms)), second]
}
