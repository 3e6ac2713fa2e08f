//! A record as read back, with its text, for whoever shows it.

use std::borrow::Cow;

use super::{Kind, Method, Protocol, Record};

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) record: Record,
    /// As the client sent it; the question's name for DNS; empty when the text was overwritten.
    pub(crate) host: Vec<u8>,
    /// As the client sent it (after "METHOD " for [`Method::Other`]); the answer for DNS.
    pub(crate) path: Vec<u8>,
}

impl Entry {
    /// As the client sent it; empty for what is not HTTP.
    pub(crate) fn method(&self) -> Cow<'_, str> {
        match self.record.method {
            Method::Get => "GET".into(),
            Method::Head => "HEAD".into(),
            Method::Post => "POST".into(),
            Method::Put => "PUT".into(),
            Method::Patch => "PATCH".into(),
            Method::Delete => "DELETE".into(),
            Method::Options => "OPTIONS".into(),
            Method::Connect => "CONNECT".into(),
            Method::Trace => "TRACE".into(),
            Method::Other => String::from_utf8_lossy(self.words().0),
            Method::None => "".into(),
        }
    }

    /// As the client sent it; for DNS, the answer.
    pub(crate) fn path(&self) -> &[u8] {
        match self.record.method {
            Method::Other => self.words().1,
            Method::Get
            | Method::Head
            | Method::Post
            | Method::Put
            | Method::Patch
            | Method::Delete
            | Method::Options
            | Method::Connect
            | Method::Trace
            | Method::None => &self.path,
        }
    }

    pub(crate) const fn protocol(&self) -> &'static str {
        match (self.record.kind, self.record.protocol) {
            (Kind::Dns, _) => "DNS",
            (_, Protocol::Http10) => "HTTP/1.0",
            (_, Protocol::Http11) => "HTTP/1.1",
            (_, Protocol::Http2) => "HTTP/2",
            (_, Protocol::Tls) => "TLS",
            (_, Protocol::Tcp) => "TCP",
            (_, Protocol::Udp) => "UDP",
        }
    }

    /// 32 hex digits; `None` where nothing is traced.
    pub(crate) fn trace_id(&self) -> Option<String> {
        (self.record.trace != 0).then(|| format!("{:032x}", self.record.trace))
    }

    /// The `x-request-id` we made, as it was sent.
    pub(crate) fn request_id(&self) -> Option<String> {
        let id = self.record.request_id;
        let hex = format!("{id:032x}");
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        (id != 0)
            .then(|| [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-"))
    }

    /// Did not end well: a 5xx, or a response flag.
    pub(crate) fn failed(&self) -> bool {
        self.record.status >= 500 || self.record.flag.error_type().is_some()
    }

    fn words(&self) -> (&[u8], &[u8]) {
        let space = self.path.iter().position(|&byte| byte == b' ').unwrap_or(0);
        let (method, rest) = self.path.split_at(space);
        (method, rest.get(1..).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use crate::record::{Entry, Method, Record};
    use crate::telemetry::testing;

    #[test]
    fn a_method_of_any_name_comes_before_the_path() {
        let record = Record { method: Method::Other, ..testing::answered(200, 1) };
        let entry = Entry { record, host: Vec::new(), path: b"PURGE /a b".to_vec() };
        assert_eq!((entry.method().as_ref(), entry.path()), ("PURGE", b"/a b".as_slice()));
    }

    #[test]
    fn a_request_id_is_shown_as_it_was_sent() {
        let record = Record { request_id: 0xabc << 64 | 1, ..testing::answered(200, 1) };
        let entry = Entry { record, host: Vec::new(), path: Vec::new() };
        let id = "00000000-0000-0abc-0000-000000000001";
        assert_eq!(entry.request_id().as_deref(), Some(id));
    }
}
