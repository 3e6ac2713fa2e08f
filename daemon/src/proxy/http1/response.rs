//! An answer's head: checked, repaired where that is harmless, and written for the client.
//!
//! What two clients could read differently becomes 502; sloppy line ends, folds and equal
//! repeated lengths are written anew and never passed on as they came.

use std::time::Duration;

use httparse::{Error, ParserConfig, Status};

use super::body::Body;
use super::chunk::{Chunked, Output, Spaces};
use super::field::{self, Field};
use super::head::{BadLine, Fields, Lines, MAX_HEAD, Named, slots};

/// What the client asked for and how its connection goes on.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts of one request")]
pub(super) struct Asked<'a> {
    pub(super) head_only: bool,
    pub(super) old_client: bool,
    pub(super) upgrade: bool,
    /// More requests may come on its connection.
    pub(super) keep_alive: bool,
    /// Echoed unless the endpoint answers with one itself.
    pub(super) request_id: &'a [u8],
}

/// What is known of an answer once its head is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) body: Body,
    pub(super) head_len: usize,
    /// Its end is the endpoint's close, and the client gets it in chunks.
    pub(super) reframe: bool,
    /// The client's connection ends with this answer.
    pub(super) close: bool,
    /// The endpoint's connection can serve again once the body has passed,
    pub(super) reusable: bool,
    /// idle for so long at most, when the endpoint said so.
    pub(super) idle_limit: Option<Duration>,
}

impl Response {
    /// 1xx: another answer follows.
    pub(super) fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }
}

/// Reads the head at the front of `bytes` and appends the one for the client to `out`; `None`
/// while its end has not come. An error says what is wrong with it.
pub(super) fn parse(
    bytes: &[u8],
    asked: &Asked<'_>,
    out: &mut Vec<u8>,
) -> Result<Option<Response>, &'static str> {
    let mut headers = slots();
    let mut parsed = httparse::Response::new(&mut []);
    let mut config = ParserConfig::default();
    config.allow_obsolete_multiline_headers_in_responses(true);
    let end = match config.parse_response_with_uninit_headers(&mut parsed, bytes, &mut headers) {
        Ok(Status::Complete(end)) if end <= MAX_HEAD => end,
        Ok(Status::Partial) if bytes.len() <= MAX_HEAD => return Ok(None),
        Ok(_) => return Err("the answer's head exceeds 60 KiB"),
        Err(error) => return Err(malformed(error)),
    };
    let old = parsed.version == Some(0);
    let status = parsed.code.filter(|&code| code >= 100).ok_or("invalid status")?;
    let first = memchr::memchr(b'\n', bytes).ok_or("no status line")? + 1;
    let mut fields = Fields::checked(bytes, parsed.headers, (first, end), Lines::Repaired)
        .map_err(|BadLine| "invalid line end")?;
    let clean_start = bytes.get(..first).is_some_and(|line| line.ends_with(b"\r\n"));
    fields.require_clean(clean_start);
    let seen = Seen::of(&mut fields, asked, status)?;
    let start = out.len();
    let response = Response { head_len: end, ..seen.judge(status, old, asked) };
    fields.copy_to(out, true);
    if let Some(minor) = out.get_mut(start + "HTTP/1.".len()) {
        *minor = b'1';
    }
    seen.complete(out, &response, asked);
    Ok(Some(response))
}

#[derive(Default)]
struct Seen<'b> {
    named: Named<'b>,
    length: Option<u64>,
    chunked: bool,
    idle_limit: Option<Duration>,
    request_id: bool,
}

impl<'b> Seen<'b> {
    fn of(
        fields: &mut Fields<'_, 'b>,
        asked: &Asked<'_>,
        status: u16,
    ) -> Result<Self, &'static str> {
        let mut seen = Self::default();
        let bare = has_no_body(status, asked) || asked.old_client;
        for (at, field, value) in fields.iter() {
            let ends_here = match field {
                Field::ContentLength => seen.content_length(value)? || status == 204,
                Field::TransferEncoding => {
                    if seen.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                        return Err("Transfer-Encoding is not just chunked");
                    }
                    seen.chunked = true;
                    bare
                }
                Field::Connection => {
                    seen.named.add(value)?;
                    true
                }
                Field::KeepAlive => {
                    seen.idle_limit = idle_limit(value);
                    true
                }
                Field::Upgrade => !matches!(status, 101 | 426),
                Field::RequestId => {
                    seen.request_id = true;
                    false
                }
                Field::HopByHop | Field::Identity => true,
                Field::Host
                | Field::Te
                | Field::Expect
                | Field::Traceparent
                | Field::Tracestate
                | Field::Lookalike
                | Field::Other => false,
            };
            if ends_here {
                fields.end_here(at);
            }
        }
        if seen.chunked && seen.length.is_some() {
            return Err("Content-Length and Transfer-Encoding together");
        }
        if !seen.named.is_empty() {
            fields.drop_named(&seen.named);
        }
        Ok(seen)
    }

    /// Says whether the field ends here: of equal lengths one is kept.
    fn content_length(&mut self, value: &[u8]) -> Result<bool, &'static str> {
        let length = field::length(value).ok_or("invalid Content-Length")?;
        match self.length.replace(length) {
            None => Ok(false),
            Some(before) if before == length => Ok(true),
            Some(_) => Err("different Content-Lengths"),
        }
    }

    fn judge(&self, status: u16, old: bool, asked: &Asked<'_>) -> Response {
        let output = if asked.old_client { Output::Data } else { Output::Framed };
        let body = match self.length {
            _ if has_no_body(status, asked) => Body::Done,
            _ if self.chunked => Body::Chunked(Chunked::new(output, Spaces::Dropped)),
            Some(length) => Body::of_length(length),
            None => Body::UntilClose,
        };
        let ends_by_close = matches!(body, Body::UntilClose);
        let data_only = asked.old_client && matches!(body, Body::Chunked(_));
        let persists = if old { self.named.keep_alive && !self.chunked } else { !self.named.close };
        Response {
            status,
            body,
            head_len: 0,
            reframe: ends_by_close && !asked.old_client,
            close: !asked.keep_alive || data_only || (ends_by_close && asked.old_client),
            reusable: persists && !ends_by_close && status != 101,
            idle_limit: self.idle_limit,
        }
    }

    /// Appends what is ours to say, and the empty line.
    fn complete(&self, out: &mut Vec<u8>, response: &Response, asked: &Asked<'_>) {
        if response.is_interim() {
            out.extend_from_slice(b"\r\n");
            return;
        }
        if response.reframe {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        match response.status {
            101 | 426 => out.extend_from_slice(b"Connection: Upgrade\r\n"),
            _ if response.close => out.extend_from_slice(b"Connection: close\r\n"),
            _ if asked.old_client => out.extend_from_slice(b"Connection: keep-alive\r\n"),
            _ => {}
        }
        if !self.request_id && !asked.request_id.is_empty() {
            out.extend_from_slice(b"x-request-id: ");
            out.extend_from_slice(asked.request_id);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// RFC 9112 §6.3: whatever the fields say.
fn has_no_body(status: u16, asked: &Asked<'_>) -> bool {
    asked.head_only || status < 200 || matches!(status, 204 | 304)
}

/// `Keep-Alive: timeout=N`, less a second for the way.
fn idle_limit(value: &[u8]) -> Option<Duration> {
    let seconds = field::members(value).find_map(|member| {
        let (key, value) = member.split_at_checked("timeout=".len())?;
        key.eq_ignore_ascii_case(b"timeout=").then(|| field::length(value)).flatten()
    });
    seconds.map(|seconds| Duration::from_secs(seconds.saturating_sub(1)))
}

fn malformed(error: Error) -> &'static str {
    match error {
        Error::HeaderName => "invalid field name",
        Error::HeaderValue => "invalid field value",
        Error::TooManyHeaders => "the answer has more than 256 fields",
        Error::NewLine => "invalid line end",
        Error::Status | Error::Token | Error::Version => "invalid status line",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: Asked<'_> = Asked {
        head_only: false,
        old_client: false,
        upgrade: false,
        keep_alive: true,
        request_id: b"r1",
    };

    #[test]
    fn fields_for_one_hop_end_here() {
        let sent = "HTTP/1.1 200 OK\r\nConnection: x-inner, keep-alive\r\nX-Inner: 1\r\n\
                    Keep-Alive: timeout=5\r\nContent-Length: 3\r\nX: y\r\n\r\n";
        let (response, head) = parsed(sent, &GET).unwrap();
        assert_eq!(
            head,
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX: y\r\nx-request-id: r1\r\n\r\n"
        );
        assert!(response.reusable);
        assert_eq!(response.idle_limit, Some(Duration::from_secs(4)));
    }

    #[test]
    fn sloppy_heads_are_written_anew() {
        let sent = "HTTP/1.0 200 Fine\nX: a\r\n  b\r\nContent-Length: 3\nContent-Length: 3\r\n\r\n";
        let (response, head) = parsed(sent, &GET).unwrap();
        let wanted =
            "HTTP/1.1 200 Fine\r\nX: a    b\r\nContent-Length: 3\r\nx-request-id: r1\r\n\r\n";
        assert_eq!(head, wanted);
        assert!(!response.reusable, "HTTP/1.0 closes");
    }

    #[test]
    fn ambiguous_answers_are_errors() {
        for fields in [
            "Content-Length: 3\r\nTransfer-Encoding: chunked",
            "Content-Length: 5\r\nContent-Length: 6",
            "Content-Length: +5",
            "Transfer-Encoding: gzip, chunked",
            "X: a\0b",
            "X: a\rb",
            "X(: a",
        ] {
            let sent = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
            assert!(parsed(&sent, &GET).is_err(), "{fields}");
        }
        assert!(parsed("HTTP/1.1 abc OK\r\n\r\n", &GET).is_err());
    }

    #[test]
    fn an_answer_until_close_is_framed_for_who_understands_it() {
        let sent = "HTTP/1.0 200 OK\r\n\r\n";
        let (response, head) = parsed(sent, &GET).unwrap();
        assert!(response.reframe && !response.close);
        assert!(head.contains("Transfer-Encoding: chunked\r\n"));
        let old = Asked { old_client: true, ..GET };
        let (response, head) = parsed(sent, &old).unwrap();
        assert!(!response.reframe && response.close);
        assert!(head.contains("Connection: close\r\n"));
    }

    #[test]
    fn an_http_1_0_client_gets_no_chunks() {
        let old = Asked { old_client: true, ..GET };
        let sent = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let (response, head) = parsed(sent, &old).unwrap();
        assert!(!head.contains("Transfer-Encoding") && response.close);
    }

    #[test]
    fn head_204_and_304_have_no_body() {
        let head = Asked { head_only: true, ..GET };
        for (status, asked) in [("200", &head), ("204", &GET), ("304", &GET)] {
            let sent = format!("HTTP/1.1 {status} X\r\nContent-Length: 5\r\n\r\n");
            assert!(parsed(&sent, asked).unwrap().0.body.is_done());
        }
    }

    fn parsed(sent: &str, asked: &Asked<'_>) -> Result<(Response, String), &'static str> {
        for cut in 0..sent.len() {
            match parse(&sent.as_bytes()[..cut], asked, &mut Vec::new()) {
                Ok(None) => {}
                Ok(Some(_)) => return Err("complete before its end"),
                Err(why) => return Err(why),
            }
        }
        let mut out = Vec::new();
        let response = parse(sent.as_bytes(), asked, &mut out)?.ok_or("incomplete")?;
        Ok((response, String::from_utf8(out).map_err(|_utf8| "not UTF-8")?))
    }
}
