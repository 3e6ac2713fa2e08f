//! How long is the request? H1-01 to H1-46.

use super::{CHUNKED, Case, Request, TE, body_is_hello, statuses, without};
use crate::probe::Part;

pub(super) fn cases(r: Request<'_>) -> Vec<Case> {
    let mut all = codings(r);
    all.extend(lengths(r));
    all.extend(chunks(r));
    all.extend(ends(r));
    all
}

fn codings(r: Request<'_>) -> Vec<Case> {
    let smuggled = r.line("GET /smuggled HTTP/1.1", "");
    let long = smuggled.len();
    let in_chunk = format!("{long:x}\r\n{smuggled}\r\n0\r\n\r\n");
    let behind = format!("Transfer-Encoding : chunked\r\nContent-Length: {}\r\n", 15 + long);
    let first = r.post("Content-Length: 5\r\n", "hello").replacen("\r\n", &format!("\r\n {TE}"), 1);
    let te = |value: &str| r.post(&format!("Transfer-Encoding: {value}\r\n"), CHUNKED);
    let te_and_length = |value: &str| {
        r.post(&format!("Transfer-Encoding:{value}\r\nContent-Length: 5\r\n"), "hello")
    };
    vec![
        Case::refused(1, "CL.TE", r.post(&format!("Content-Length: 6\r\n{TE}"), "0\r\n\r\nX")),
        Case::refused(2, "TE.CL", r.post(&format!("{TE}Content-Length: 4\r\n"), &in_chunk)),
        Case::refused(3, "unknown coding", te_and_length(" xchunked")).or(501),
        Case::refused(4, "space before colon", r.post(&behind, &format!("{CHUNKED}{smuggled}"))),
        Case::refused(
            5,
            "TE twice, second odd",
            r.post(&format!("{TE}Transfer-Encoding: x\r\n"), CHUNKED),
        )
        .or(501),
        Case::refused(6, "TE value after VT", te_and_length("\x0bchunked")).or(501),
        Case::refused(7, "space before the first field", first),
        Case::refused(
            8,
            "TE after a bare LF",
            r.post("X: y\nTransfer-Encoding: chunked\r\n", CHUNKED),
        ),
        Case::refused(9, "chunked not last", te("chunked, identity")).or(501),
        Case::refused(10, "identity with CL", te_and_length(" identity")).or(501),
        Case::refused(11, "chunked twice", te("chunked, chunked")),
        Case::refused(12, "empty list member", te(",chunked")),
        Case::new(13, "TE in capitals", te("CHUNKED"), &[200]).check(body_is_hello),
        Case::new(
            14,
            "TE look-alike with _",
            r.post("Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", "hello"),
            &[400, 200],
        )
        .check(|o| without(o, &["transfer_encoding"])),
        Case::refused(15, "TE in HTTP/1.0", te("chunked").replace("HTTP/1.1", "HTTP/1.0")),
    ]
}

fn lengths(r: Request<'_>) -> Vec<Case> {
    let cl = |value: &str, body: &str| r.post(&format!("Content-Length: {value}\r\n"), body);
    let mut odd = r.post("Content-Length?: 5\r\n", "").into_bytes();
    if let Some(mark) = odd.iter_mut().find(|byte| **byte == b'?') {
        *mark = 0x85;
    }
    vec![
        Case::refused(16, "CL twice, equal", cl("5\r\nContent-Length: 5", "hello")),
        Case::refused(17, "CL twice, different", cl("5\r\nContent-Length: 6", "hello!")),
        Case::refused(18, "CL list, equal", cl("5, 5", "hello")),
        Case::refused(19, "CL list, different", cl("5, 6", "hello!")),
        Case::refused(20, "CL plus sign", cl("+5", "hello")),
        Case::refused(21, "CL minus sign", cl("-5", "hello")),
        Case::refused(22, "CL inner space", cl("5 0", "hello")),
        Case::refused(23, "CL hexadecimal", cl("0x5", "hello")),
        Case::refused(24, "CL 2^64+5", cl("18446744073709551621", "hello")).or(413),
        Case::refused(25, "CL empty", cl("", "")),
        Case::refused(26, "CL name ends in 0x85", odd),
    ]
}

fn chunks(r: Request<'_>) -> Vec<Case> {
    let trailers = "5\r\nhello\r\n0\r\nContent-Length: 99\r\nHost: evil\r\nAuthorization: x\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n";
    vec![
        Case::refused(27, "size 2^64+5", r.chunked("10000000000000005\r\nhello\r\n0\r\n\r\n")),
        Case::refused(28, "size 0x5", r.chunked("0x5\r\nhello\r\n0\r\n\r\n")),
        Case::refused(29, "size +5", r.chunked("+5\r\nhello\r\n0\r\n\r\n")),
        Case::refused(30, "size 5_0", r.chunked("5_0\r\nhello\r\n0\r\n\r\n")),
        Case::refused(31, "size then space", r.chunked("5 \r\nhello\r\n0\r\n\r\n")),
        Case::new(32, "extension", r.chunked("5;a=b;c=\"d\"\r\nhello\r\n0\r\n\r\n"), &[200])
            .check(body_is_hello),
        Case::refused(33, "bare LF in an extension", r.chunked("5;a\nhello\r\n0\r\n\r\n")),
        Case::refused(34, "bare CR in an extension", r.chunked("5\r;a\r\nhello\r\n0\r\n\r\n")),
        Case::refused(35, "chunk line ends in LF", r.chunked("5\nhello\r\n0\r\n\r\n")),
        Case::refused(36, "no CRLF after data", r.chunked("5\r\nhello0\r\n\r\n")),
        Case::refused(37, "data longer than size", r.chunked("5\r\nhello!!\r\n0\r\n\r\n")),
        Case::refused(38, "empty lines between", r.chunked("5\r\nhello\r\n\r\n\r\n0\r\n\r\n")),
        Case::new(39, "last chunk 0000", r.chunked("5\r\nhello\r\n0000\r\n\r\n"), &[200])
            .check(body_is_hello),
        Case::new(40, "trailers change framing and identity", r.chunked(trailers), &[200, 400])
            .check(|o| {
                let hosts = o.seen.iter().any(|seen| seen.head.all("host").len() > 1);
                let own = hosts.then(|| "a second Host".to_owned());
                let names = ["content-length", "authorization", "x-forwarded-for"];
                own.or_else(|| {
                    o.seen.first().filter(|s| !s.trailers.is_empty()).and_then(|s| {
                        let bad =
                            |name: &&str| s.trailers.iter().any(|f| f.0.eq_ignore_ascii_case(name));
                        names.iter().find(|name| bad(name)).map(|name| format!("trailer {name}"))
                    })
                })
            }),
        Case::refused(
            41,
            "trailer without colon",
            r.chunked("5\r\nhello\r\n0\r\nnonsense\r\n\r\n"),
        ),
    ]
}

fn ends(r: Request<'_>) -> Vec<Case> {
    let next = r.line("GET /t2 HTTP/1.1", "");
    let hello = r.post("Content-Length: 5\r\n", "hello");
    vec![
        Case::refused(42, "half-close inside a chunk", r.chunked("5\r\nhel"))
            .or(0)
            .then(Part::HalfClose),
        Case::refused(43, "half-close inside a body", r.post("Content-Length: 50\r\n", "hello"))
            .or(0)
            .then(Part::HalfClose),
        Case::new(44, "garbage after a body", format!("{hello}BAD STUFF HERE\r\n\r\n"), &[200])
            .closing()
            .seen(1)
            .check(|o| statuses(o, &[200, 400])),
        Case::new(45, "two requests in a packet", format!("{hello}{next}"), &[200])
            .seen(2)
            .check(|o| statuses(o, &[200, 200])),
        Case::new(
            46,
            "GET with a body, then another",
            format!("{}hello{next}", r.get("Content-Length: 5\r\n")),
            &[200],
        )
        .seen(2)
        .check(|o| statuses(o, &[200, 200])),
    ]
}
