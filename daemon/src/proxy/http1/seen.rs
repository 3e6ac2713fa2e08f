//! What a request's fields say about framing, host and hop, judged one by one.

use super::body::Body;
use super::chunk::{Chunked, Output, Spaces};
use super::field::{self, Field};
use super::head::Named;
use super::ids;
use super::reply::Refusal;
use crate::model::Compat;

/// What the fields said, in the order they came.
#[derive(Default)]
pub(super) struct Seen<'b> {
    pub(super) named: Named<'b>,
    pub(super) host: Option<&'b [u8]>,
    pub(super) length: Option<u64>,
    pub(super) codings: u8,
    /// Both framings were there and `Transfer-Encoding` won (lenient only).
    pub(super) length_overruled: bool,
    pub(super) upgrade: &'b [u8],
    pub(super) request_id: Option<&'b [u8]>,
    pub(super) traceparent: Option<&'b [u8]>,
    pub(super) traceparents: u8,
}

impl<'b> Seen<'b> {
    /// Takes note of one field; says whether it ends here.
    pub(super) fn note(
        &mut self,
        field: Field,
        value: &'b [u8],
        old: bool,
        compat: Compat,
    ) -> Result<bool, Refusal> {
        match field {
            Field::Other | Field::Tracestate => return Ok(false),
            Field::Host if self.host.is_some() => {
                return Err(Refusal::malformed("more than one Host"));
            }
            Field::Host => self.host = Some(value),
            Field::ContentLength => return self.content_length(value, compat),
            Field::TransferEncoding => {
                if self.codings > 0 || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Refusal::malformed("Transfer-Encoding is not just chunked"));
                }
                self.codings = 1;
            }
            Field::Connection => {
                self.named.add(value).map_err(Refusal::malformed)?;
                return Ok(true);
            }
            Field::Te => return Ok(!value.eq_ignore_ascii_case(b"trailers")),
            Field::Upgrade => {
                self.upgrade = value;
                return Ok(true);
            }
            Field::Expect if old => return Ok(true),
            Field::Expect if !value.eq_ignore_ascii_case(b"100-continue") => {
                return Err(Refusal::unmet_expectation());
            }
            Field::Expect => {}
            Field::RequestId => {
                let good = self.request_id.is_none() && ids::is_request_id(value);
                self.request_id = if good { Some(value) } else { self.request_id };
                return Ok(!good);
            }
            Field::Traceparent => {
                self.traceparents = self.traceparents.saturating_add(1);
                self.traceparent = (self.traceparents == 1).then_some(value);
                return Ok(true);
            }
            Field::HopByHop | Field::KeepAlive | Field::Identity | Field::Lookalike => {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn content_length(&mut self, value: &[u8], compat: Compat) -> Result<bool, Refusal> {
        let length = field::length(value).ok_or(Refusal::malformed("invalid Content-Length"))?;
        match self.length.replace(length) {
            None => Ok(false),
            Some(before) if before == length && compat == Compat::Lenient => Ok(true),
            Some(_) => Err(Refusal::malformed("more than one Content-Length")),
        }
    }

    /// Whom the request is for; a target's authority goes before `Host`.
    pub(super) fn valid_host(
        &self,
        authority: Option<&'b [u8]>,
        old: bool,
    ) -> Result<&'b [u8], Refusal> {
        if self.host.is_none() && !old {
            return Err(Refusal::malformed("no Host"));
        }
        if [authority, self.host].into_iter().flatten().any(|host| !field::is_host(host)) {
            return Err(Refusal::malformed("invalid Host"));
        }
        Ok(authority.or(self.host).unwrap_or_default())
    }

    pub(super) fn body(&mut self, old: bool, compat: Compat) -> Result<Body, Refusal> {
        let spaces = match compat {
            Compat::Strict => Spaces::Refused,
            Compat::Lenient => Spaces::Dropped,
        };
        match (self.codings, self.length) {
            (0, length) => Ok(Body::of_length(length.unwrap_or(0))),
            (_, Some(_)) if compat == Compat::Strict => {
                Err(Refusal::malformed("Content-Length and Transfer-Encoding together"))
            }
            (_, None) if old && compat == Compat::Strict => {
                Err(Refusal::malformed("Transfer-Encoding in HTTP/1.0"))
            }
            (_, length) => {
                self.length_overruled = length.is_some();
                Ok(Body::Chunked(Chunked::new(Output::Framed, spaces)))
            }
        }
    }
}
