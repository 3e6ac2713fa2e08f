//! `x-request-id` and W3C `traceparent`: continued when the client sent good ones, else made, and
//! written as hex straight into the head.

const HEX: &[u8; 16] = b"0123456789abcdef";

/// A client's own `x-request-id` is kept, echoed and logged up to this length.
const MAX_REQUEST_ID: usize = 128;

/// Which trace a request belongs to, and our span in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trace {
    pub(super) id: u128,
    pub(super) span: u64,
    flags: u8,
}

impl Trace {
    /// `sent` continued with a new span, or a new trace when `sent` is not valid.
    ///
    /// The flag says whether the trace is new (then `tracestate` does not belong to it).
    pub(super) fn continued(sent: Option<&[u8]>, dice: [u64; 3]) -> (Self, bool) {
        let [high, low, span] = dice;
        let span = span | 1;
        match sent.and_then(parse) {
            Some((id, flags)) => (Self { id, span, flags }, false),
            None => {
                let id = u128::from(high) << 64 | u128::from(low | 1);
                (Self { id, span, flags: 1 }, true)
            }
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut line = *b"traceparent: 00-00000000000000000000000000000000-0000000000000000-00\r\n";
        fill(&mut line, 16, 32, self.id);
        fill(&mut line, 49, 16, u128::from(self.span));
        fill(&mut line, 66, 2, u128::from(self.flags));
        out.extend_from_slice(&line);
    }
}

/// Trace id and flags of a `traceparent` of version 00, or of a later one that starts like it.
fn parse(value: &[u8]) -> Option<(u128, u8)> {
    let (head, rest) = value.split_at_checked(55)?;
    let [v1, v2, b'-', id @ .., b'-', f1, f2] = head else { return None };
    let (id, span) = id.split_at_checked(32)?;
    let version = number(&[*v1, *v2])?;
    // A later version may go on behind what we know, after a dash.
    let shaped = match version {
        0 => rest.is_empty(),
        0xff => false,
        _ => matches!(rest.first(), None | Some(b'-')),
    };
    let id = number(id)?;
    let span = number(span.strip_prefix(b"-")?)?;
    let flags = u8::try_from(number(&[*f1, *f2])?).ok()?;
    (shaped && id != 0 && span != 0).then_some((id, flags & 1))
}

/// Lower-case hex only, as the specification wants it.
fn number(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0_u128, |sum, &digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(sum << 4 | u128::from(value))
    })
}

/// A new request id: a random UUID (version 4).
pub(super) fn new_request_id(dice: [u64; 2]) -> u128 {
    let [high, low] = dice;
    let random = u128::from(high) << 64 | u128::from(low);
    random & !(0xf << 76) & !(0x3 << 62) | 4 << 76 | 0x2 << 62
}

/// `id` as 36 characters.
pub(super) fn request_id_text(id: u128) -> [u8; 36] {
    let mut text = *b"00000000-0000-0000-0000-000000000000";
    let mut rest = id;
    for place in text.iter_mut().rev().filter(|place| **place != b'-') {
        *place = digit(rest);
        rest >>= 4;
    }
    text
}

/// May be kept, echoed and logged as it came.
pub(super) fn is_request_id(value: &[u8]) -> bool {
    (1..=MAX_REQUEST_ID).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic)
}

fn fill(line: &mut [u8], from: usize, digits: usize, value: u128) {
    let mut rest = value;
    for place in line.iter_mut().skip(from).take(digits).rev() {
        *place = digit(rest);
        rest >>= 4;
    }
}

fn digit(value: u128) -> u8 {
    HEX.get((value & 15) as usize).copied().unwrap_or(b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    // covers: TRACE-01
    #[test]
    fn a_valid_traceparent_keeps_its_trace_and_gets_our_span() {
        let (trace, is_new) = Trace::continued(Some(SENT), [1, 2, 0xabc]);
        let mut out = Vec::new();
        trace.write(&mut out);
        assert!(!is_new);
        let wanted = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-0000000000000abd-01\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
    }

    #[test]
    fn anything_else_starts_a_trace() {
        for sent in [
            &SENT[..54],
            b"00-00000000000000000000000000000000-b7ad6b7169203331-01",
            b"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            b"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        ] {
            assert!(Trace::continued(Some(sent), [1, 2, 3]).1);
        }
        assert!(
            !Trace::continued(
                Some(b"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x"),
                [1, 2, 3]
            )
            .1
        );
    }

    #[test]
    fn a_new_request_id_is_a_version_4_uuid() {
        let text = String::from_utf8(request_id_text(new_request_id([u64::MAX; 2])).to_vec());
        assert_eq!(text.unwrap(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
