//! What belongs to one hop, and waiting for a body: H1-79 to H1-88, H1-100, H1-120, H1-121.
//!
//! H1-85 and H1-89 to H1-99 are about slipping past a rule that denies a path: they come with
//! the rules.

use super::{Case, Request, body_is_hello, statuses, without};
use crate::probe::Part;

pub(super) fn cases(r: Request<'_>) -> Vec<Case> {
    let mut all = hop_by_hop(r);
    all.extend(expectations(r));
    all.extend(old_clients(r));
    all
}

fn hop_by_hop(r: Request<'_>) -> Vec<Case> {
    let offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    let hop = "Keep-Alive: 5\r\nTE: gzip\r\nProxy-Connection: keep-alive\r\n";
    let forged = "Connection: x-forwarded-for\r\nX-Forwarded-For: 6.6.6.6\r\n";
    vec![
        Case::new(
            79,
            "Connection names a field",
            r.get("Connection: x-secret\r\nX-Secret: 1\r\n"),
            &[200],
        )
        .seen(1)
        .check(|o| without(o, &["x-secret"])),
        Case::new(80, "Connection: host", r.get("Connection: host\r\n"), &[200, 400]).check(|o| {
            let lost = o.seen.iter().any(|seen| seen.head.all("host").is_empty());
            lost.then(|| "Host was lost".to_owned())
        }),
        Case::new(
            81,
            "Connection: content-length",
            r.post("Connection: content-length\r\nContent-Length: 5\r\n", "hello"),
            &[200, 400],
        )
        .check(|o| if o.seen.is_empty() { None } else { body_is_hello(o) }),
        Case::new(82, "Connection: x-forwarded-for", r.get(forged), &[200, 400]).check(|o| {
            let ours = |seen: &crate::Seen| {
                seen.head.one("x-forwarded-for").is_some_and(|value| value.contains("127."))
            };
            let lost = o.seen.iter().any(|seen| !ours(seen));
            lost.then(|| "our X-Forwarded-For was lost".to_owned())
        }),
        Case::new(83, "Keep-Alive, TE, Proxy-Connection", r.get(hop), &[200])
            .seen(1)
            .check(|o| without(o, &["keep-alive", "te", "proxy-connection"])),
        Case::new(84, "Upgrade: h2c is no tunnel", r.get(offer), &[200])
            .seen(1)
            .check(|o| without(o, &["upgrade", "http2-settings"])),
    ]
}

fn expectations(r: Request<'_>) -> Vec<Case> {
    vec![
        Case::new(
            86,
            "Expect: 100-continue, body later",
            r.post("Expect: 100-continue\r\nContent-Length: 5\r\n", ""),
            &[200],
        )
        .then(Part::Wait(200))
        .then("hello".into())
        .seen(1)
        .check(|o| (o.interim != 1).then(|| format!("{} interim answers", o.interim))),
        Case::new(87, "Expect without a body", r.get("Expect: 100-continue\r\n"), &[200, 417]),
        Case::new(88, "Expect: nonsense", r.get("Expect: y 100-continue\r\n"), &[417, 400]).seen(0),
    ]
}

fn old_clients(r: Request<'_>) -> Vec<Case> {
    let old = |fields: &str| r.line("GET /t HTTP/1.0", fields);
    vec![
        Case::new(
            100,
            "double encoding stays one path",
            r.line("GET /%2561dmin HTTP/1.1", ""),
            &[200],
        )
        .check(|o| {
            let same = o.seen.iter().all(|seen| seen.head.target() == "/%2561dmin");
            (!same).then(|| "the path changed".to_owned())
        })
        .seen(1),
        Case::new(120, "HTTP/1.0 without Host", "GET /t HTTP/1.0\r\n\r\n", &[200])
            .closing()
            .seen(1),
        Case::new(
            121,
            "HTTP/1.0 keep-alive, twice",
            old("Connection: keep-alive\r\n").repeat(2),
            &[200],
        )
        .seen(2)
        .check(|o| {
            let said = o.replies.first().and_then(|reply| reply.head.one("connection"));
            let kept = said.is_some_and(|value| value.eq_ignore_ascii_case("keep-alive"));
            statuses(o, &[200, 200]).or((!kept).then(|| "keep-alive was not said".to_owned()))
        }),
    ]
}
