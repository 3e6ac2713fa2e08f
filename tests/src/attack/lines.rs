//! Lines, fields, targets and Host: H1-47 to H1-78.

use super::{Case, Request};

pub(super) fn cases(r: Request<'_>) -> Vec<Case> {
    let mut all = fields(r);
    all.extend(start_lines(r));
    all.extend(sizes(r));
    all.extend(hosts(r));
    all
}

fn fields(r: Request<'_>) -> Vec<Case> {
    let second = r.line("GET /t2 HTTP/1.1", "");
    let folded = "X: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 5\r\n";
    let mut opaque = r.get("X: a?b\r\n").into_bytes();
    if let Some(mark) = opaque.iter_mut().find(|byte| **byte == b'?') {
        *mark = 0xff;
    }
    vec![
        Case::refused(47, "bare LF everywhere", r.get("X: y\r\n").replace("\r\n", "\n")),
        Case::refused(48, "LF LF hides a request", r.get(&format!("X:\n\n{second}"))),
        Case::refused(49, "bare CR in a value", r.get("X: a\rY: b\r\n")),
        Case::refused(50, "NUL in a value", r.get("X: a\0b\r\n")),
        Case::refused(51, "folded field", r.post(folded, "hello")),
        Case::refused(52, "empty field name", r.get(": x\r\nY: z\r\n")),
        Case::refused(53, "field without colon", r.get("nonsense\r\n")),
        Case::refused(54, "space in a name", r.get("Foo Bar: x\r\n")),
        Case::refused(55, "parenthesis in a name", r.get("X(y: z\r\n")),
        Case::refused(56, "control byte in a value", r.get("X: a\x01b\r\n")),
        Case::new(57, "0xff is opaque", opaque, &[200]).seen(1).check(|o| {
            let kept = o.seen.iter().all(|seen| seen.head.all("x") == [b"a\xffb"]);
            (!kept).then(|| "the value changed".to_owned())
        }),
    ]
}

fn start_lines(r: Request<'_>) -> Vec<Case> {
    let plain = r.get("");
    let version = |text: &str| plain.replacen("HTTP/1.1", text, 1);
    vec![
        Case::new(58, "empty line first", format!("\r\n{plain}"), &[200]).seen(1),
        Case::refused(59, "two spaces", plain.replacen("GET ", "GET  ", 1)),
        Case::refused(60, "space after the version", version("HTTP/1.1 ")),
        Case::refused(61, "illegal method", plain.replacen("GET", "GE(T", 1)).or(501),
        Case::new(62, "unknown method passes", plain.replacen("GET", "BREW", 1), &[200]).seen(1),
        Case::refused(63, "HTTP/1.10", version("HTTP/1.10")).or(505),
        Case::refused(64, "HTTP/3.0", version("HTTP/3.0")).or(505),
        Case::refused(65, "HTTP/0.9", "GET /t\r\n\r\n"),
        Case::refused(66, "control byte in the target", r.line("GET /t\x01 HTTP/1.1", "")),
        Case::refused(67, "fragment in the target", r.line("GET /t#x HTTP/1.1", "")),
    ]
}

fn sizes(r: Request<'_>) -> Vec<Case> {
    let target = "a".repeat(65_536);
    let field = "a".repeat(131_072);
    let many: String = (0..5_000).map(|number| format!("X-{number}: y\r\n")).collect();
    vec![
        Case::refused(68, "64 KiB target", r.line(&format!("GET /{target} HTTP/1.1"), ""))
            .or(414)
            .or(431),
        Case::refused(69, "128 KiB field", r.get(&format!("X: {field}\r\n"))).or(431),
        Case::refused(70, "5,000 fields", r.get(&many)).or(431),
    ]
}

fn hosts(r: Request<'_>) -> Vec<Case> {
    let host = r.host;
    let with = |value: &str| format!("GET /t HTTP/1.1\r\nHost: {value}\r\n\r\n");
    let absolute = format!("GET http://{host}/t HTTP/1.1\r\nHost: evil\r\n\r\n");
    let tunnel = "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n";
    vec![
        Case::refused(71, "no Host", "GET /t HTTP/1.1\r\n\r\n"),
        Case::refused(72, "two Hosts", r.get("Host: evil\r\n")),
        Case::refused(73, "Host with userinfo", with("a@evil")),
        Case::refused(74, "Host with a comma", with(&format!("{host}, evil"))),
        Case::new(75, "absolute form beats Host", absolute, &[200, 400]).check(|o| {
            let evil = o.seen.iter().any(|seen| seen.head.all("host") == [b"evil"]);
            evil.then(|| "Host evil was forwarded".to_owned())
        }),
        Case::refused(
            76,
            "absolute form with userinfo",
            r.line(&format!("GET http://{host}@evil/t HTTP/1.1"), ""),
        ),
        Case::refused(77, "authority form", r.line(&format!("GET {host}:80 HTTP/1.1"), "")),
        Case::new(
            78,
            "CONNECT to a local port",
            format!("{tunnel}{}", r.line("GET /smuggled HTTP/1.1", "")),
            &[400, 403, 405],
        )
        .seen(0),
    ]
}
