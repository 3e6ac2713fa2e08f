//! The chunked coding (RFC 9112 §7.1), read strictly and passed on clean.
//!
//! Works in place on whatever bytes have come, in any cut. Framing is forwarded as it came, less
//! the chunk extensions and the trailers that would change framing, routing or identity.

use super::field;

/// A size of 2^60 or more has no honest sender, and more digits would overflow.
const MAX_DIGITS: u8 = 15;
const MAX_TRAILER_LINE: usize = 8 * 1024;
const MAX_TRAILERS: usize = 32 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// Chunks stay chunks.
    Framed,
    /// Only the data, for an HTTP/1.0 client.
    Data,
}

/// Spaces after a chunk size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spaces {
    Refused,
    /// Dropped: many servers pad their sizes.
    Dropped,
}

/// How far the message has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunked {
    state: State,
    output: Output,
    spaces: Spaces,
    trailers: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size { size: u64, digits: u8 },
    Padding(u64),
    Extension(u64),
    SizeEnd(u64),
    Data(u64),
    DataCr,
    DataLf,
    Trailer,
    Done,
}

/// What [`Chunked::pass`] did with the bytes it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Passed {
    /// Bytes that belonged to the body. Those after them belong to what follows or, while the
    /// body is not done, must be given again with more behind them.
    pub(super) consumed: usize,
    /// Of the buffer, the bytes at the front to be forwarded.
    pub(super) kept: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct BadChunk(pub(super) &'static str);

impl Chunked {
    pub(super) const fn new(output: Output, spaces: Spaces) -> Self {
        let state = State::Size { size: 0, digits: 0 };
        Self { state, output, spaces, trailers: 0 }
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes what belongs to the body from the front of `bytes` and moves what is to be forwarded
    /// to the front.
    pub(super) fn pass(&mut self, bytes: &mut [u8]) -> Result<Passed, BadChunk> {
        let (mut at, mut kept) = (0, 0);
        while at < bytes.len() && self.state != State::Done {
            let (taken, keep) = match self.state {
                State::Data(left) => {
                    let here = (bytes.len() - at).min(usize::try_from(left).unwrap_or(usize::MAX));
                    let left = left - here as u64;
                    self.state = if left == 0 { State::DataCr } else { State::Data(left) };
                    (here, true)
                }
                State::Trailer => match self.trailer(bytes.get(at..).unwrap_or_default())? {
                    None => break,
                    Some((line, keep)) => (line, keep && self.output == Output::Framed),
                },
                State::Size { .. }
                | State::Padding(_)
                | State::Extension(_)
                | State::SizeEnd(_)
                | State::DataCr
                | State::DataLf
                | State::Done => (1, self.framing(bytes.get(at).copied().unwrap_or_default())?),
            };
            if keep {
                if kept != at {
                    bytes.copy_within(at..at + taken, kept);
                }
                kept += taken;
            }
            at += taken;
        }
        Ok(Passed { consumed: at, kept })
    }

    /// One byte that is neither data nor trailer; says whether it is forwarded.
    fn framing(&mut self, byte: u8) -> Result<bool, BadChunk> {
        let (next, keep) = match (self.state, byte) {
            (State::Size { size, digits }, byte) if byte.is_ascii_hexdigit() => {
                if digits == MAX_DIGITS {
                    return Err(BadChunk("chunk size too large"));
                }
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                (State::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }, true)
            }
            (State::Size { size, digits: 1.. }, b'\r') | (State::Padding(size), b'\r') => {
                (State::SizeEnd(size), true)
            }
            (State::Size { size, digits: 1.. } | State::Padding(size), b';') => {
                (State::Extension(size), false)
            }
            (State::Size { size, digits: 1.. } | State::Padding(size), b' ' | b'\t')
                if self.spaces == Spaces::Dropped =>
            {
                (State::Padding(size), false)
            }
            (State::Extension(size), b'\r') => (State::SizeEnd(size), true),
            (State::Extension(size), byte) if byte == b'\t' || byte >= b' ' && byte != 0x7f => {
                (State::Extension(size), false)
            }
            (State::SizeEnd(0), b'\n') => (State::Trailer, true),
            (State::SizeEnd(size), b'\n') => (State::Data(size), true),
            (State::DataCr, b'\r') => (State::DataLf, true),
            (State::DataLf, b'\n') => (State::Size { size: 0, digits: 0 }, true),
            (State::DataCr | State::DataLf, _) => {
                return Err(BadChunk("chunk data not ended by CRLF"));
            }
            (State::SizeEnd(_), _) => return Err(BadChunk("chunk line not ended by CRLF")),
            (State::Extension(_), _) => return Err(BadChunk("invalid chunk extension")),
            _ => return Err(BadChunk("invalid chunk size")),
        };
        self.state = next;
        Ok(keep && self.output == Output::Framed)
    }

    /// Length of the trailer line at the front and whether it is forwarded; `None` while its end
    /// has not come.
    fn trailer(&mut self, rest: &[u8]) -> Result<Option<(usize, bool)>, BadChunk> {
        let Some(newline) = memchr::memchr(b'\n', rest) else {
            let too_long = rest.len() > MAX_TRAILER_LINE;
            return if too_long { Err(BadChunk("trailer too long")) } else { Ok(None) };
        };
        let line = rest.get(..newline).unwrap_or_default();
        let line = line.strip_suffix(b"\r").ok_or(BadChunk("trailer line not ended by CRLF"))?;
        if line.is_empty() {
            self.state = State::Done;
            return Ok(Some((newline + 1, true)));
        }
        self.trailers += newline;
        if self.trailers > MAX_TRAILERS {
            return Err(BadChunk("trailers too long"));
        }
        let colon = memchr::memchr(b':', line).ok_or(BadChunk("trailer without colon"))?;
        let (name, value) = line.split_at_checked(colon).unwrap_or_default();
        if !field::is_token(name) || !field::is_value(value) {
            return Err(BadChunk("invalid trailer"));
        }
        Ok(Some((newline + 1, field::may_trail(name))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_gives_the_same_bytes() {
        let sent = b"5;a=b;c=\"d\"\r\nhello\r\n00a\r\n0123456789\r\n0000\r\nX-Sum: 7\r\nHost: evil\r\n\r\nGET /next";
        let wanted = "5\r\nhello\r\n00a\r\n0123456789\r\n0000\r\nX-Sum: 7\r\n\r\n|GET /next";
        for first in 0..sent.len() {
            for second in first..sent.len() {
                let cuts = [&sent[..first], &sent[first..second], &sent[second..]];
                assert_eq!(carried(Chunked::new(Output::Framed, Spaces::Refused), &cuts), wanted);
            }
        }
    }

    #[test]
    fn an_http_1_0_client_gets_the_data_alone() {
        let sent: &[u8] = b"5  \r\nhello\r\n1 ;x\r\n!\r\n0\r\nX: y\r\n\r\n";
        let chunked = Chunked::new(Output::Data, Spaces::Dropped);
        assert_eq!(carried(chunked, &[sent]), "hello!|");
    }

    #[test]
    fn what_two_readers_may_take_differently_is_refused_at_every_cut() {
        for sent in [
            "10000000000000005\r\nhello\r\n0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "5_0\r\nhello\r\n0\r\n\r\n",
            "5 \r\nhello\r\n0\r\n\r\n",
            "5;a\nhello\r\n0\r\n\r\n",
            "5\r;a\r\nhello\r\n0\r\n\r\n",
            "5\nhello\r\n0\r\n\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhello!!\r\n0\r\n\r\n",
            "5\r\nhello\r\n\r\n\r\n0\r\n\r\n",
            "5\r\nhello\r\n0\r\nnonsense\r\n\r\n",
            "5\r\nhello\r\n0\r\nX: a\nb\r\n\r\n",
            "5\r\nhello\r\n0\r\nX : a\r\n\r\n",
            "\r\nhello\r\n0\r\n\r\n",
            ";a\r\nhello\r\n0\r\n\r\n",
        ] {
            for cut in 0..sent.len() {
                let (first, second) = sent.as_bytes().split_at(cut);
                let chunked = Chunked::new(Output::Framed, Spaces::Refused);
                let end = carried(chunked, &[first, second]);
                assert!(end.starts_with("refused"), "{sent:?} cut at {cut}: {end}");
            }
        }
    }

    /// What is forwarded of `pieces`, then `|` and what is left behind the body.
    fn carried(mut chunked: Chunked, pieces: &[&[u8]]) -> String {
        let (mut out, mut left) = (Vec::new(), Vec::new());
        for piece in pieces {
            left.extend_from_slice(piece);
            if chunked.is_done() {
                continue;
            }
            match chunked.pass(&mut left) {
                Err(BadChunk(why)) => return format!("refused: {why}"),
                Ok(Passed { consumed, kept }) => {
                    // Behind the kept bytes the buffer is scrap up to `consumed`.
                    out.extend_from_slice(&left[..kept]);
                    left.drain(..consumed);
                }
            }
        }
        assert!(chunked.is_done());
        out.push(b'|');
        out.extend_from_slice(&left);
        String::from_utf8(out).unwrap()
    }
}
