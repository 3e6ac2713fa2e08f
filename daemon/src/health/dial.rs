//! One probe on the wire: a TCP connect, or a GET whose status line is what counts.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::model::{HealthCheck, Probe};
use crate::transport::bind_own;

/// A head longer than this is no answer to a health check.
const MAX_HEAD: usize = 16 << 10;

/// How much of a body is read so that the server can finish writing it.
const MAX_BODY: u64 = 64 << 10;

/// Opens probe connections with the daemon's own mark, so they are never captured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialer {
    mark: u32,
    intercepted: bool,
}

/// What one probe met.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) passed: bool,
    pub(super) text: String,
    /// The connection whose body is still to be read ([`finish`]).
    pub(super) rest: Option<TcpStream>,
}

impl Dialer {
    pub(crate) fn new(mark: u32) -> Self {
        Self { mark, intercepted: false }
    }

    /// For an endpoint whose port is taken to meshd, or is not.
    pub(super) fn to(self, intercepted: bool) -> Self {
        Self { intercepted, ..self }
    }

    pub(super) async fn probe(self, address: SocketAddr, check: &HealthCheck) -> Outcome {
        let started = Instant::now();
        let answer = match &check.probe {
            Probe::Tcp => timeout(check.timeout, self.connect(address))
                .await
                .map(|connected| connected.map(|_| (true, "connected".to_owned(), None))),
            Probe::Http { path, expect } => {
                timeout(check.timeout, self.get(address, path)).await.map(|answered| {
                    let (status, stream) = answered?;
                    let passed = match expect.is_empty() {
                        true => (200..400).contains(&status),
                        false => expect.contains(&status),
                    };
                    Ok((passed, status.to_string(), Some(stream)))
                })
            }
        };
        match answer {
            Ok(Ok((passed, what, rest))) => {
                Outcome { passed, text: format!("{what} in {}", millis(started.elapsed())), rest }
            }
            Ok(Err(error)) => Outcome { passed: false, text: reason(&error), rest: None },
            Err(_elapsed) => {
                let text = format!("no answer in {:?}", check.timeout);
                Outcome { passed: false, text, rest: None }
            }
        }
    }

    async fn connect(self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        match SockRef::from(&socket).set_mark(self.mark) {
            // Without the capability to mark nothing is captured by marks either.
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
            Ok(()) | Err(_) => {}
        }
        if self.intercepted {
            bind_own(&SockRef::from(&socket), address)?;
        }
        socket.connect(address).await
    }

    async fn get(self, address: SocketAddr, path: &str) -> io::Result<(u16, TcpStream)> {
        let mut stream = self.connect(address).await?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nuser-agent: meshd-health\r\n\
             accept: */*\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::with_capacity(1024);
        loop {
            if stream.read_buf(&mut head).await? == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "closed without an answer",
                ));
            }
            if let Some(status) = status_of(&head)? {
                return Ok((status, stream));
            }
        }
    }
}

/// Reads what is left of the answer, so that the server does not meet a reset while writing it.
pub(super) async fn finish(rest: TcpStream, limit: Duration) {
    let mut sink = tokio::io::sink();
    let mut body = rest.take(MAX_BODY);
    // Whatever ends it, the probe has been judged by its status line.
    timeout(limit, tokio::io::copy(&mut body, &mut sink)).await.ok();
}

/// The final status in `head`, `None` while it is not complete. Interim answers are skipped.
fn status_of(mut head: &[u8]) -> io::Result<Option<u16>> {
    let malformed = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    if head.len() > MAX_HEAD {
        return Err(malformed("the head is too long"));
    }
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 128];
        let mut response = httparse::Response::new(&mut headers);
        let parsed =
            response.parse(head).map_err(|error| malformed(&format!("not HTTP/1: {error}")))?;
        let (httparse::Status::Complete(length), Some(status)) = (parsed, response.code) else {
            return Ok(None);
        };
        if !(100..200).contains(&status) {
            return Ok(Some(status));
        }
        head = head.get(length..).unwrap_or_default();
    }
}

fn reason(error: &io::Error) -> String {
    let kind = error.kind();
    if matches!(kind, io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) {
        return error.to_string();
    }
    kind.to_string()
}

fn millis(elapsed: Duration) -> String {
    let millis = elapsed.as_secs_f64() * 1e3;
    if millis < 1.0 { format!("{millis:.1}ms") } else { format!("{millis:.0}ms") }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    // covers: HEALTH-02, HEALTH-05
    #[tokio::test]
    async fn an_http_probe_asks_for_the_path_and_believes_the_status() {
        assert_eq!(
            http("HTTP/1.1 200 OK\r\n\r\n").await,
            (true, "GET /healthz HTTP/1.1".to_owned())
        );
        assert!(!http("HTTP/1.1 500 No\r\n\r\n").await.0);
        assert!(!http("HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 503 No\r\n\r\n").await.0);
        assert!(!http("SSH-2.0-x\r\n").await.0);
    }

    // covers: HEALTH-07
    #[tokio::test]
    async fn an_answer_after_the_timeout_is_a_failure() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let check = HealthCheck { timeout: Duration::from_millis(20), ..checking() };
        let probe = Dialer::new(0).probe(listener.local_addr().unwrap(), &check).await;
        assert_eq!((probe.passed, probe.text.as_str()), (false, "no answer in 20ms"));
    }

    // covers: HEALTH-01
    #[tokio::test]
    async fn a_tcp_probe_of_a_closed_port_says_so() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let dialer = Dialer::new(0);
        assert!(dialer.probe(address, &HealthCheck::default()).await.passed);
        drop(listener);
        let probe = dialer.probe(address, &HealthCheck::default()).await;
        assert_eq!((probe.passed, probe.text.as_str()), (false, "connection refused"));
    }

    /// Whether the probe passes a server that answers `answer`, and the request line it got.
    async fn http(answer: &'static str) -> (bool, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            let text = String::from_utf8_lossy(&request[..length]).into_owned();
            text.lines().next().unwrap().to_owned()
        };
        let check = checking();
        let (probe, line) = tokio::join!(Dialer::new(0).probe(address, &check), server);
        (probe.passed, line)
    }

    fn checking() -> HealthCheck {
        let probe = Probe::Http { path: "/healthz".to_owned(), expect: Vec::new() };
        HealthCheck { probe, ..HealthCheck::default() }
    }
}
