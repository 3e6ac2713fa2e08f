//! Load: every request has an id and ends in exactly one fate.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::wait::pause;
use crate::wire::{Wire, WireError, response_framing};

/// What to send.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Plan {
    pub address: String,
    pub host: String,
    pub method: String,
    /// `{id}` becomes the request's number.
    pub path: String,
    pub body: String,
    pub requests: u64,
    pub connections: usize,
    /// Requests per second over all connections, open loop; 0 = as fast as answers come.
    pub rate: f64,
    pub timeout_ms: u64,
    /// A connection per request.
    pub close: bool,
}

impl Plan {
    /// `requests` GETs of `/r/{id}` over `connections` kept-alive connections.
    pub fn get(host: &str, requests: u64, connections: usize) -> Self {
        Self {
            address: format!("{host}:80"),
            host: host.to_owned(),
            method: "GET".to_owned(),
            path: "/r/{id}".to_owned(),
            body: String::new(),
            requests,
            connections,
            rate: 0.0,
            timeout_ms: 10_000,
            close: false,
        }
    }
}

/// What became of it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Report {
    pub sent: u64,
    /// `ok`, `status 503`, `refused`, `reset`, `timeout`, `short`, `garbled`.
    pub fates: BTreeMap<String, u64>,
    /// First word of the body of each `ok`, in order of arrival: which backend answered.
    pub order: Vec<String>,
    /// Ids that ended `ok`.
    pub ok: Vec<u64>,
    /// Mean time of an `ok`, microseconds, and the slowest.
    pub mean_us: u64,
    pub max_us: u64,
}

impl Report {
    pub fn fate(&self, name: &str) -> u64 {
        self.fates.get(name).copied().unwrap_or(0)
    }

    pub fn lost(&self) -> u64 {
        self.sent - self.fate("ok")
    }

    /// How many each backend answered.
    pub fn shares(&self) -> BTreeMap<String, u64> {
        let mut shares = BTreeMap::new();
        for name in &self.order {
            *shares.entry(name.clone()).or_insert(0) += 1;
        }
        shares
    }

    /// One line for a failed expectation: `3 lost of 1000: {"reset": 3}`.
    pub fn summary(&self) -> String {
        format!("{} lost of {}: {:?}", self.lost(), self.sent, self.fates)
    }
}

/// Runs the plan; returns when every request has its fate.
pub fn run(plan: &Plan) -> Report {
    let next = AtomicU64::new(0);
    let report = Mutex::new(Report::default());
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..plan.connections {
            scope.spawn(|| drive(plan, &next, start, &report));
        }
    });
    let mut report = report.into_inner().unwrap();
    report.mean_us /= report.fate("ok").max(1);
    report
}

fn drive(plan: &Plan, next: &AtomicU64, start: Instant, report: &Mutex<Report>) {
    let mut connection = None;
    loop {
        let id = next.fetch_add(1, Ordering::SeqCst);
        if id >= plan.requests {
            return;
        }
        if plan.rate > 0.0 {
            let due = Duration::from_secs_f64(id as f64 / plan.rate);
            pause(due.saturating_sub(start.elapsed()));
        }
        let begun = Instant::now();
        let outcome = one(plan, id, &mut connection);
        let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        if outcome.is_err() || plan.close {
            connection = None;
        }
        let mut report = report.lock().unwrap();
        report.sent += 1;
        match outcome {
            Ok(body) => {
                report.order.push(body.split(' ').next().unwrap_or_default().to_owned());
                report.ok.push(id);
                report.mean_us += took;
                report.max_us = report.max_us.max(took);
                *report.fates.entry("ok".to_owned()).or_default() += 1;
            }
            Err(fate) => *report.fates.entry(fate).or_default() += 1,
        }
    }
}

fn one(plan: &Plan, id: u64, connection: &mut Option<TcpStream>) -> Result<String, String> {
    let stream = match connection {
        Some(stream) => stream,
        None => connection.insert(connect(plan)?),
    };
    let path = plan.path.replace("{id}", &id.to_string());
    let mut request = format!("{} {path} HTTP/1.1\r\nHost: {}\r\n", plan.method, plan.host);
    if plan.close {
        request += "Connection: close\r\n";
    }
    if !plan.body.is_empty() {
        request += &format!("Content-Length: {}\r\n", plan.body.len());
    }
    request += "\r\n";
    request += &plan.body;
    (&*stream).write_all(request.as_bytes()).map_err(|error| fate(&error))?;
    let mut wire = Wire::new(&*stream);
    let (status, keep, body) = answer(&mut wire, &plan.method).map_err(|error| match error {
        WireError::Dirty(_) => "garbled".to_owned(),
        WireError::Cut => "short".to_owned(),
        WireError::Io(error) => fate(&error),
    })?;
    if !keep {
        *connection = None;
    }
    if status == 200 { Ok(body) } else { Err(format!("status {status}")) }
}

fn answer(wire: &mut Wire<&TcpStream>, method: &str) -> Result<(u16, bool, String), WireError> {
    loop {
        let head = wire.head()?.ok_or(WireError::Cut)?;
        if head.status() < 200 {
            continue;
        }
        let mut body = Vec::new();
        wire.body(response_framing(&head, method)?, |piece| body.extend_from_slice(piece))?;
        let keep = head.one("connection").is_none_or(|value| !value.contains("close"));
        return Ok((head.status(), keep, String::from_utf8_lossy(&body).into_owned()));
    }
}

fn connect(plan: &Plan) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(&plan.address).map_err(|error| fate(&error))?;
    let limit = Duration::from_millis(plan.timeout_ms);
    stream.set_read_timeout(Some(limit)).map_err(|error| fate(&error))?;
    stream.set_nodelay(true).map_err(|error| fate(&error))?;
    Ok(stream)
}

fn fate(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::ConnectionRefused => "refused".to_owned(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => "reset".to_owned(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "timeout".to_owned(),
        other => format!("{other:?}"),
    }
}
