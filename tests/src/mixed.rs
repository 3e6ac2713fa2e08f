//! Requests and answers both ends can derive from a number, so that any change on the way shows.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::backend::{Piece, Seen};
use crate::probe::Noise;
use crate::wire::{Digest, Head, Wire, WireError, response_framing};

/// What a proxy may add on the way to the backend; everything else must arrive as sent.
const ADDED: [&str; 8] = [
    "traceparent",
    "tracestate",
    "x-request-id",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "transfer-encoding",
    "connection",
];

const METHODS: [&str; 9] =
    ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "BREW", "PROPFIND"];
const PATHS: [&str; 8] = [
    "/",
    "/a/./b/../c//d",
    "/%7Euser;v=1/x%2Fy",
    "/search?q=a+b&r[]=%20%00&s=..",
    "/caf%C3%A9?|{}^<>",
    "/x?",
    "/?a=b?c=d/../e",
    "/.well-known/~a,b:c@d!$&'()*=",
];

/// One request, derived from its number.
struct Request {
    method: &'static str,
    head: String,
    body: Vec<u8>,
    chunked: bool,
}

fn request(host: &str, number: u64) -> Request {
    let mut dice = Noise(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for _ in 0..4 {
        dice.number();
    }
    let mut pick = |options: usize| usize::try_from(dice.number() >> 24).unwrap_or(0) % options;
    let method = METHODS[pick(METHODS.len())];
    let mut head = format!("{method} {} HTTP/1.1\r\nHost: {host}\r\n", PATHS[pick(PATHS.len())]);
    head += &format!("X-Number: {number}\r\n");
    for field in 0..pick(6) {
        let value = ["plain", "a, b ,c", "tab\tinside", "\"quoted; x=1\"", "é—ü", ""][pick(6)];
        head += &format!("X-Field-{}: {value}\r\n", field % 3);
    }
    if pick(3) == 0 {
        head +=
            "Cookie: a=1; b=2\r\nAuthorization: Basic eDp5\r\nContent-Type: application/json\r\n";
    }
    let sizes = [0, 0, 1, 100, 3_000, 65_536, 70_001];
    let with_body = !["GET", "HEAD", "OPTIONS"].contains(&method);
    let mut body = vec![0; if with_body { sizes[pick(sizes.len())] } else { 0 }];
    let chunked = with_body && pick(2) == 0;
    Noise(number + 1).fill(&mut body);
    if chunked {
        head += "Transfer-Encoding: chunked\r\n";
    } else if with_body {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    head += "\r\n";
    Request { method, head, body, chunked }
}

/// Digest of what must not change: start line, end-to-end fields in order per name, body.
fn digest_of(start: &str, fields: &[(String, Vec<u8>)], body: Digest) -> u64 {
    let mut digest = body;
    digest.add(start.as_bytes());
    let mut kept: Vec<_> = fields
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .filter(|(name, _)| !ADDED.contains(&name.as_str()) && name != "content-length")
        .collect();
    kept.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, value) in kept {
        digest.add(name.as_bytes());
        digest.add(value);
        digest.add(b"\n");
    }
    digest.0
}

/// The answer that belongs to a digest: status, body, chunked or not.
fn answer(digest: u64) -> (u16, Vec<u8>, bool) {
    let mut dice = Noise(digest | 1);
    let mut pick = |options: usize| usize::try_from(dice.number() >> 24).unwrap_or(0) % options;
    let status = [200, 200, 201, 404, 500, 204, 304, 299][pick(8)];
    let mut body = vec![0; [0, 5, 900, 4_096, 66_000][pick(5)]];
    let chunked = pick(2) == 0;
    if [204, 304].contains(&status) {
        body.clear();
    }
    Noise(digest | 3).fill(&mut body);
    (status, body, chunked)
}

/// The backend's half: answers what the digest of the request demands.
pub fn mirror(seen: &Seen) -> Vec<Piece> {
    if seen.head.target().starts_with("/health") {
        return vec![Piece::Bytes(crate::backend::ok("", false))];
    }
    let digest = digest_of(&seen.head.start, &seen.head.fields, seen.digest);
    let (status, body, chunked) = answer(digest);
    let mut out = format!("HTTP/1.1 {status} Mixed\r\nX-Digest: {digest:016x}\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n").into_bytes();
    let bare = [204, 304].contains(&status);
    let head_only = seen.head.method() == "HEAD";
    if chunked && !bare {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n");
        if !head_only {
            for piece in body.chunks(1_500) {
                out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                out.extend_from_slice(piece);
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(b"0\r\nX-Sum: 1\r\n\r\n");
        }
    } else {
        if !bare {
            out.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        if !head_only {
            out.extend_from_slice(&body);
        }
    }
    vec![Piece::Bytes(out)]
}

/// The client's half: sends the requests `from..to` over one kept-alive connection and returns
/// what differed.
pub fn check(address: &str, host: &str, from: u64, to: u64) -> io::Result<Vec<String>> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_nodelay(true)?;
    let mut wire = Wire::new(&stream);
    let mut wrong = Vec::new();
    for number in from..to {
        let request = request(host, number);
        send(&stream, &request)?;
        match compare(&mut wire, &request) {
            Ok(None) => {}
            Ok(Some(difference)) => wrong.push(format!("request {number}: {difference}")),
            Err(error) => {
                wrong.push(format!("request {number} {:?}: {error}", request.head));
                break;
            }
        }
    }
    Ok(wrong)
}

fn send(mut stream: &TcpStream, request: &Request) -> io::Result<()> {
    let mut out = request.head.clone().into_bytes();
    if request.chunked {
        for piece in request.body.chunks(4_000) {
            out.extend_from_slice(format!("{:X}\r\n", piece.len()).as_bytes());
            out.extend_from_slice(piece);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"0\r\n\r\n");
    } else {
        out.extend_from_slice(&request.body);
    }
    stream.write_all(&out)
}

fn compare(wire: &mut Wire<&TcpStream>, request: &Request) -> Result<Option<String>, WireError> {
    let mut sent = Wire::new(request.head.as_bytes());
    let head = sent.head()?.unwrap_or_default();
    let mut body = Digest::default();
    body.add(&request.body);
    let digest = digest_of(&head.start, &head.fields, body);
    let (status, expected, _) = answer(digest);
    let got: Head = wire.head()?.ok_or(WireError::Cut)?;
    let mut arrived = Vec::new();
    let framing = response_framing(&got, request.method)?;
    wire.body(framing, |piece| arrived.extend_from_slice(piece))?;
    if got.one("x-digest") != Some(format!("{digest:016x}")) {
        return Ok(Some(format!("the backend saw something else: {:?} -> {got:?}", request.head)));
    }
    if got.status() != status || !got.start.ends_with(" Mixed") {
        return Ok(Some(format!("{} instead of {status}", got.start)));
    }
    if got.all("set-cookie") != [b"a=1", b"b=2"] {
        return Ok(Some(format!("cookies {:?}", got.all("set-cookie"))));
    }
    let expected = if request.method == "HEAD" { Vec::new() } else { expected };
    Ok((arrived != expected).then(|| format!("{} body bytes differ", arrived.len())))
}
