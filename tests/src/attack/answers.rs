//! The backend lies: H1-101 to H1-119, H1-122.

use std::time::Duration;

use super::{CHUNKED, Case, OK, Outcome, Request, TE, pause_then, text};
use crate::backend::Piece;
use crate::probe::Part;

pub(super) fn cases(r: Request<'_>) -> Vec<Case> {
    let mut all = framings(r);
    all.extend(cut(r));
    all.extend(unasked(r));
    all.extend(heads(r));
    all.extend(rewritten(r));
    all
}

fn bytes(text: &str) -> Piece {
    Piece::Bytes(text.as_bytes().to_vec())
}

fn says(answer: &str) -> Vec<Piece> {
    vec![bytes(answer)]
}

fn reply(r: Request<'_>) -> String {
    r.line("GET /reply HTTP/1.1", "")
}

fn not_whole(o: &Outcome) -> Option<String> {
    let whole = o.replies.first().is_some_and(|reply| reply.head.status() == 200 && reply.whole);
    whole.then(|| "a cut answer was shown as whole".to_owned())
}

fn framings(r: Request<'_>) -> Vec<Case> {
    let both = format!("{OK}Content-Length: 3\r\n{TE}\r\n{CHUNKED}");
    let two = format!("{OK}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!");
    vec![
        Case::new(101, "CL and TE", reply(r), &[502]).answered(says(&both)),
        Case::new(102, "two CLs", reply(r), &[502]).answered(says(&two)),
    ]
}

fn cut(r: Request<'_>) -> Vec<Case> {
    let short = format!("{OK}Content-Length: 50\r\n\r\nhello");
    let chunk = format!("{OK}{TE}\r\n5\r\nhel");
    let size = format!("{OK}{TE}\r\nzz\r\nhello\r\n0\r\n\r\n");
    let cut = |id, name, answer: &str| {
        Case::new(id, name, reply(r), &[200, 502])
            .closing()
            .answered(vec![bytes(answer), Piece::Wait(Duration::from_millis(50)), Piece::Close])
            .check(not_whole)
    };
    vec![
        cut(103, "shorter than CL", &short),
        cut(104, "cut inside a chunk", &chunk),
        cut(115, "invalid chunk size", &size),
    ]
}

fn unasked(r: Request<'_>) -> Vec<Case> {
    let hello = format!("{OK}Content-Length: 5\r\n\r\nhello");
    let smuggled = format!("{OK}Content-Length: 8\r\n\r\nsmuggled");
    let interim = format!(
        "{}{OK}Content-Length: 0\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(10_000)
    );
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
    let next = r.line("GET /t2 HTTP/1.1", "");
    let hidden = r.line("GET /smuggled HTTP/1.1", "");
    let length = format!("Content-Length: {}\r\n", 20 + hidden.len());
    vec![
        Case::new(105, "second answer after the body", reply(r) + &next, &[200])
            .answered(says(&format!("{hello}{smuggled}")))
            .check(|o| {
                let poisoned = o.replies.iter().any(|reply| text(reply).contains("smuggled"));
                poisoned.then(|| "poisoned answer".to_owned())
            }),
        Case::new(106, "unasked answer on an idle connection", reply(r), &[200])
            .answered(pause_then([bytes(&hello), bytes(&smuggled)], 100)),
        Case::new(107, "10,000 interim answers", reply(r), &[502])
            .answered(says(&interim))
            .check(|o| (o.interim > 64).then(|| format!("{} passed on", o.interim))),
        Case::new(108, "101 nobody asked for", reply(r), &[502]).answered(says(switch)),
        Case::new(119, "answer before the body", r.line("POST /early HTTP/1.1", &length), &[200])
            .then(Part::Wait(200))
            .then(format!("{}{hidden}", "x".repeat(20)).as_str().into())
            .answered(says(&format!("{OK}Content-Length: 5\r\n\r\nearly")))
            .check(|o| (o.replies.len() != 1).then(|| format!("{} answers", o.replies.len()))),
    ]
}

fn heads(r: Request<'_>) -> Vec<Case> {
    let huge = format!("{OK}X: {}\r\nContent-Length: 0\r\n\r\n", "a".repeat(1 << 20));
    let field = |line: &str| format!("{OK}{line}\r\nContent-Length: 0\r\n\r\n");
    vec![
        Case::new(111, "garbage status line", reply(r), &[502])
            .answered(says("HTTP/1.1 abc OK\r\n\r\n")),
        Case::new(112, "NUL in a field", reply(r), &[502]).answered(says(&field("X: a\0b"))),
        Case::new(113, "bare CR in a field", reply(r), &[502])
            .answered(says(&field("X: a\rSet-Cookie: b"))),
        Case::new(114, "space before colon", reply(r), &[502, 200])
            .answered(says(&field("X-A : b"))),
        Case::new(116, "1 MiB head", reply(r), &[502]).answered(says(&huge)),
    ]
}

fn rewritten(r: Request<'_>) -> Vec<Case> {
    let hello = format!("{OK}Content-Length: 5\r\n\r\nhello");
    let head = r.line("HEAD /reply HTTP/1.1", "") + &r.line("GET /t2 HTTP/1.1", "");
    let inner = format!("{OK}Connection: x-inner\r\nX-Inner: 1\r\nContent-Length: 0\r\n\r\n");
    let old = r.line("GET /reply HTTP/1.0", "");
    vec![
        Case::new(109, "HEAD answered with a body", head, &[200]).heads(1).answered(says(&hello)),
        Case::new(110, "204 with a body", reply(r), &[204, 502])
            .answered(says("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello")),
        Case::new(117, "answer until close", reply(r), &[200])
            .answered(vec![bytes("HTTP/1.0 200 OK\r\n\r\nhello"), Piece::Close])
            .check(|o| {
                let whole = o.replies.first().is_some_and(|r| text(r) == "hello" && r.whole);
                (!whole).then(|| "the body was lost".to_owned())
            }),
        Case::new(118, "answer's Connection names a field", reply(r), &[200])
            .answered(says(&inner))
            .check(|o| {
                let passed = o.replies.iter().any(|reply| !reply.head.all("x-inner").is_empty());
                passed.then(|| "x-inner was passed on".to_owned())
            }),
        Case::new(122, "HTTP/1.0, chunked answer", old, &[200])
            .closing()
            .answered(says(&format!("{OK}{TE}\r\n{CHUNKED}")))
            .check(|o| {
                let first = o.replies.first()?;
                let plain =
                    text(first) == "hello" && first.head.all("transfer-encoding").is_empty();
                (!plain).then(|| "chunks were sent to HTTP/1.0".to_owned())
            }),
    ]
}
