//! What request and response heads share: the check of every line, the fields that end here, and
//! the copy of the others as runs of the original bytes.

use std::mem::MaybeUninit;

use httparse::Header;

use super::field::{self, Field};

/// Head bytes we read at most; it fits the worker's scratch buffer.
pub(super) const MAX_HEAD: usize = 60 * 1024;
pub(super) const MAX_FIELDS: usize = 256;
/// Fields one message may name in `Connection`.
const MAX_NAMED: usize = 16;

/// Room for the parsed fields, on the stack and never zeroed.
pub(super) type Slots<'b> = [MaybeUninit<Header<'b>>; MAX_FIELDS];

pub(super) const fn slots<'b>() -> Slots<'b> {
    [const { MaybeUninit::uninit() }; MAX_FIELDS]
}

/// Line ends and folds that are not CRLF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lines {
    /// Refused.
    Strict,
    /// Written anew as CRLF and space.
    Repaired,
}

/// A line that is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadLine;

/// The fields of one head, and which of them end here.
pub(super) struct Fields<'h, 'b> {
    bytes: &'b [u8],
    all: &'h [Header<'b>],
    /// Offset of the first field line; before it stands the start line.
    first: usize,
    /// Offset behind the empty line.
    end: usize,
    dropped: [u64; MAX_FIELDS / 64],
    /// Every line ends in CRLF and no field is folded: runs can be copied.
    clean: bool,
}

impl<'h, 'b> Fields<'h, 'b> {
    /// Checks the lines of a head `bytes[..end]` whose field lines start at `first`.
    pub(super) fn checked(
        bytes: &'b [u8],
        all: &'h [Header<'b>],
        (first, end): (usize, usize),
        lines: Lines,
    ) -> Result<Self, BadLine> {
        let mut fields =
            Self { bytes, all, first, end, dropped: [0; MAX_FIELDS / 64], clean: true };
        let mut line = first;
        for field in all {
            // A field that does not start where the line before ended hides bytes in between.
            if fields.offset(field.name.as_bytes()) != line {
                return Err(BadLine);
            }
            let value = fields.offset(field.value) + field.value.len();
            let (next, is_crlf) = line_end(bytes, value).ok_or(BadLine)?;
            let is_folded = lines == Lines::Repaired && field.value.contains(&b'\n');
            fields.clean &= is_crlf && !is_folded;
            line = next;
        }
        let (next, is_crlf) = line_end(bytes, line).ok_or(BadLine)?;
        fields.clean &= is_crlf;
        let refused = lines == Lines::Strict && !fields.clean;
        if refused || next != end { Err(BadLine) } else { Ok(fields) }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, Field, &'b [u8])> + use<'h, 'b> {
        let all = self.all;
        all.iter().enumerate().map(|(at, header)| (at, field::classify(header.name), header.value))
    }

    pub(super) fn all(&self) -> &'h [Header<'b>] {
        self.all
    }

    /// The field does not leave with the message.
    pub(super) fn end_here(&mut self, at: usize) {
        if let Some(word) = self.dropped.get_mut(at / 64) {
            *word |= 1 << (at % 64);
        }
    }

    /// No field of this kind leaves with the message.
    pub(super) fn end_all(&mut self, kind: Field) {
        for (at, field, _) in self.iter() {
            if field == kind {
                self.end_here(at);
            }
        }
    }

    fn ends_here(&self, at: usize) -> bool {
        self.dropped.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    /// Unless `is_clean`, the start line needs repair too.
    pub(super) fn require_clean(&mut self, is_clean: bool) {
        self.clean &= is_clean;
    }

    /// Drops every field that `Connection` names.
    pub(super) fn drop_named(&mut self, named: &Named<'_>) {
        for (at, header) in self.all.iter().enumerate() {
            if named.contains(header.name.as_bytes()) {
                self.end_here(at);
            }
        }
    }

    /// Appends the start line when `with_start`, and the fields that stay, without the empty line.
    pub(super) fn copy_to(&self, out: &mut Vec<u8>, with_start: bool) {
        if !self.clean {
            return self.write_anew(out, with_start);
        }
        let mut run = if with_start { 0 } else { self.first };
        if self.dropped != [0; MAX_FIELDS / 64] {
            for (at, header) in self.all.iter().enumerate() {
                if self.ends_here(at) {
                    let line = self.offset(header.name.as_bytes());
                    out.extend_from_slice(self.bytes.get(run..line).unwrap_or_default());
                    run = match self.all.get(at + 1) {
                        Some(next) => self.offset(next.name.as_bytes()),
                        None => self.end - 2,
                    };
                }
            }
        }
        out.extend_from_slice(self.bytes.get(run..self.end - 2).unwrap_or_default());
    }

    fn write_anew(&self, out: &mut Vec<u8>, with_start: bool) {
        if with_start {
            let start = self.bytes.get(..self.first).unwrap_or_default();
            out.extend_from_slice(start.trim_ascii_end());
            out.extend_from_slice(b"\r\n");
        }
        for (at, header) in self.all.iter().enumerate() {
            if !self.ends_here(at) {
                out.extend_from_slice(header.name.as_bytes());
                out.extend_from_slice(b": ");
                let unfolded = |&b: &u8| if b == b'\r' || b == b'\n' { b' ' } else { b };
                out.extend(header.value.iter().map(unfolded));
                out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Where a part of the head starts in it.
    fn offset(&self, part: &[u8]) -> usize {
        (part.as_ptr() as usize).wrapping_sub(self.bytes.as_ptr() as usize)
    }
}

/// Behind the end of the line at `from`, which holds nothing but blanks, and whether it is CRLF.
fn line_end(bytes: &[u8], from: usize) -> Option<(usize, bool)> {
    let rest = bytes.get(from..)?;
    if let [b'\r', b'\n', ..] = rest {
        return Some((from + 2, true));
    }
    let blanks = rest.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    match rest.get(blanks..)? {
        [b'\r', b'\n', ..] => Some((from + blanks + 2, true)),
        [b'\n', ..] => Some((from + blanks + 1, false)),
        _ => None,
    }
}

/// What `Connection` says: the options we know, and the fields it names.
#[derive(Debug, Default)]
pub(super) struct Named<'b> {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    fields: [&'b [u8]; MAX_NAMED],
    count: usize,
}

impl<'b> Named<'b> {
    /// Adds one `Connection` field; `Err` when it names a field that may not be taken away.
    pub(super) fn add(&mut self, value: &'b [u8]) -> Result<(), &'static str> {
        for member in field::members(value) {
            let is = |option: &str| member.eq_ignore_ascii_case(option.as_bytes());
            if is("close") {
                self.close = true;
            } else if is("keep-alive") {
                self.keep_alive = true;
            } else if is("upgrade") {
                self.upgrade = true;
            } else if field::must_stay(member) {
                return Err("Connection names a field that must stay");
            } else {
                let place = self.fields.get_mut(self.count);
                *place.ok_or("Connection names too many fields")? = member;
                self.count += 1;
            }
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn contains(&self, name: &[u8]) -> bool {
        self.fields.iter().take(self.count).any(|named| named.eq_ignore_ascii_case(name))
    }
}
