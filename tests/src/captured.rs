//! The test's end of a `mesh-probe`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::datagram::{Heard, Talk};
use crate::load::{Plan, Report};
use crate::probe::{Answer, Ask, Exchanged, Part};
use crate::wait::until;
use crate::watch::{Watch, Watched};

/// A client process; ends when dropped.
pub struct Probe {
    child: Child,
    asks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Probe {
    /// Starts `command`, whose program is, or execs, `mesh-probe`.
    pub fn start(mut command: Command) -> Self {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.expect("start a probe");
        let asks = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        let mut probe = Self { child, asks, answers };
        // Answered once it runs: whatever started it is done then.
        let ready = probe.ask(&Ask::Hold { address: String::new(), count: 0 });
        assert!(matches!(ready, Answer::Held(0)), "{ready:?}");
        probe
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// One question, one answer.
    #[track_caller]
    pub fn ask(&mut self, ask: &Ask) -> Answer {
        let line = serde_json::to_string(ask).expect("plain data");
        let asks = self.asks.as_mut().expect("not dropped");
        writeln!(asks, "{line}").expect("probe reads");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("probe answers");
        serde_json::from_str(&answer)
            .unwrap_or_else(|error| panic!("the probe said {answer:?}: {error}"))
    }

    /// Sends raw parts; panics when the connection itself failed.
    #[track_caller]
    pub fn exchange(&mut self, address: &str, parts: Vec<Part>, idle_ms: u64) -> Exchanged {
        match self.ask(&Ask::Exchange { address: address.to_owned(), parts, idle_ms }) {
            Answer::Exchanged(exchanged) => exchanged,
            other => panic!("{address}: {other:?}"),
        }
    }

    /// Why connecting fails, `None` when it does not.
    pub fn refused(&mut self, address: &str) -> Option<String> {
        match self.ask(&Ask::Exchange { address: address.to_owned(), parts: vec![], idle_ms: 1 }) {
            Answer::Failed(why) => Some(why),
            _ => None,
        }
    }

    /// Whether a new connection is served, and quickly.
    pub fn is_served(&mut self, address: &str) -> bool {
        let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        let parts = vec![request.as_str().into()];
        match self.ask(&Ask::Exchange { address: address.to_owned(), parts, idle_ms: 250 }) {
            Answer::Exchanged(got) => got.text().starts_with("HTTP/1.1 200"),
            _ => false,
        }
    }

    /// Refused, and at once: a name nobody carries must not hang.
    #[track_caller]
    pub fn is_refused_at_once(&mut self, address: &str) {
        let start = Instant::now();
        let why = self.refused(address).unwrap_or_else(|| panic!("{address} is not refused"));
        assert!(why.contains("ConnectionRefused"), "{address}: {why}");
        assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    }

    /// `GET http://host/path` on a connection of its own: the whole answer as text.
    #[track_caller]
    pub fn get(&mut self, host: &str, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let address = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        self.exchange(&address, vec![request.as_str().into()], 10_000).text()
    }

    /// Datagrams from one socket; panics when the socket itself failed.
    #[track_caller]
    pub fn talk(&mut self, talk: &Talk) -> Heard {
        match self.ask(&Ask::Talk(talk.clone())) {
            Answer::Heard(heard) => heard,
            other => panic!("{talk:?}: {other:?}"),
        }
    }

    /// Calls an address over and over.
    #[track_caller]
    pub fn watch(&mut self, plan: &Watch) -> Watched {
        match self.ask(&Ask::Watch(plan.clone())) {
            Answer::Watched(watched) => watched,
            other => panic!("{plan:?}: {other:?}"),
        }
    }

    /// Serves TCP and UDP, every byte back, until it is dropped.
    #[track_caller]
    pub fn serve(&mut self, address: &str) {
        let answer = self.ask(&Ask::Serve(address.to_owned()));
        assert!(matches!(answer, Answer::Serving), "{address}: {answer:?}");
    }

    #[track_caller]
    pub fn load(&mut self, plan: &Plan) -> Report {
        match self.ask(&Ask::Load(plan.clone())) {
            Answer::Loaded(report) => report,
            other => panic!("{other:?}"),
        }
    }

    /// A load that runs while the test does something else.
    pub fn load_meanwhile<T>(&mut self, plan: &Plan, meanwhile: impl FnOnce() -> T) -> (Report, T) {
        std::thread::scope(|scope| {
            let load = scope.spawn(|| self.load(plan));
            let done = meanwhile();
            (load.join().expect("load"), done)
        })
    }

    #[track_caller]
    pub fn resolve(&mut self, name: &str) -> Result<Vec<String>, String> {
        match self.ask(&Ask::Resolve(name.to_owned())) {
            Answer::Resolved(found) => Ok(found),
            Answer::Failed(why) => Err(why),
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        drop(self.asks.take()); // end of input ends it
        let mut ended = false;
        until("the probe to end", Duration::from_secs(5), || {
            ended = self.child.try_wait().is_ok_and(|status| status.is_some());
            ended || self.child.kill().is_err()
        });
    }
}
