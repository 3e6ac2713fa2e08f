//! How much of a message's body has passed.

use super::chunk::{BadChunk, Chunked, Passed};

/// Framing and progress of one body.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Body {
    /// Complete, or none to begin with.
    #[default]
    Done,
    /// Bytes still to come.
    Length(u64),
    Chunked(Chunked),
    /// Everything up to the sender's close (answers only).
    UntilClose,
}

impl Body {
    pub(super) const fn of_length(length: u64) -> Self {
        if length == 0 { Self::Done } else { Self::Length(length) }
    }

    pub(super) const fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// Bytes still to come when they are known to be many and passed on as they are.
    pub(super) const fn plain_remaining(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::UntilClose | Self::Done | Self::Chunked(_) => None,
        }
    }

    /// Takes what belongs to the body from the front of `bytes`; see [`Chunked::pass`].
    pub(super) fn pass(&mut self, bytes: &mut [u8]) -> Result<Passed, BadChunk> {
        match self {
            Self::Done => Ok(Passed { consumed: 0, kept: 0 }),
            Self::Length(left) => {
                let here = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                self.advance(here as u64);
                Ok(Passed { consumed: here, kept: here })
            }
            Self::Chunked(chunked) => {
                let passed = chunked.pass(bytes)?;
                if chunked.is_done() {
                    *self = Self::Done;
                }
                Ok(passed)
            }
            Self::UntilClose => Ok(Passed { consumed: bytes.len(), kept: bytes.len() }),
        }
    }

    /// `count` bytes of a body of known length went by unseen (spliced).
    pub(super) const fn advance(&mut self, count: u64) {
        if let Self::Length(left) = self {
            *self = Self::of_length(left.saturating_sub(count));
        }
    }
}
