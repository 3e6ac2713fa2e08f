//! HTTP/1.1 read as strictly as the RFC allows, so that anything ambiguous a proxy lets through shows.
//!
//! Deliberately shares no code with the proxy: a fault in its parser must not be repeated here.

use std::fmt;
use std::io::{self, Read};

const LIMIT: usize = 1 << 20;

/// Why a message could not be read.
#[derive(Debug)]
pub enum WireError {
    /// Two receivers may read these bytes differently.
    Dirty(String),
    /// The stream ended inside the message.
    Cut,
    Io(io::Error),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dirty(what) => write!(f, "dirty: {what}"),
            Self::Cut => f.write_str("cut inside a message"),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

pub type Field = (String, Vec<u8>);

/// A start line and its fields. Names keep their case.
#[derive(Clone, Debug, Default)]
pub struct Head {
    pub start: String,
    pub fields: Vec<Field>,
}

impl Head {
    /// Every value of a field.
    pub fn all(&self, name: &str) -> Vec<&[u8]> {
        let wanted = |field: &&Field| field.0.eq_ignore_ascii_case(name);
        self.fields.iter().filter(wanted).map(|field| field.1.as_slice()).collect()
    }

    /// The first value of a field as text.
    pub fn one(&self, name: &str) -> Option<String> {
        self.all(name).first().map(|value| String::from_utf8_lossy(value).into_owned())
    }

    pub fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or_default()
    }

    pub fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// The status of a response's head, 0 when the line is not one.
    pub fn status(&self) -> u16 {
        let code = self.start.split(' ').nth(1);
        code.and_then(|code| code.parse().ok()).unwrap_or(0)
    }
}

/// How long a body is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// A stream being read.
pub struct Wire<S> {
    stream: S,
    buffer: Vec<u8>,
    at: usize,
}

impl<S: Read> Wire<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::new(), at: 0 }
    }

    /// What was received and not read yet.
    pub fn rest(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    /// Reads more; false at the end of the stream.
    fn fill(&mut self) -> Result<bool, WireError> {
        if self.at > 1 << 16 {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        let mut chunk = [0; 1 << 16];
        let got = self.stream.read(&mut chunk)?;
        self.buffer.extend_from_slice(&chunk[..got]);
        Ok(got > 0)
    }

    /// One line without its CRLF; `None` when the stream ends before its first byte.
    fn line(&mut self) -> Result<Option<Vec<u8>>, WireError> {
        let mut searched = 0;
        loop {
            if let Some(found) = self.rest()[searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.rest()[..searched + found].to_vec();
                self.at += searched + found + 1;
                let Some(text) = line.strip_suffix(b"\r") else {
                    return Err(dirty("bare LF after", &line));
                };
                if text.contains(&b'\r') || text.contains(&0) {
                    return Err(dirty("CR or NUL inside", &line));
                }
                return Ok(Some(text.to_vec()));
            }
            searched = self.rest().len();
            if searched > LIMIT {
                return Err(dirty("endless line", &self.rest()[..40]));
            }
            if !self.fill()? {
                return if searched == 0 { Ok(None) } else { Err(WireError::Cut) };
            }
        }
    }

    fn fields(&mut self) -> Result<Vec<Field>, WireError> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?.ok_or(WireError::Cut)?;
            if line.is_empty() {
                return Ok(fields);
            }
            fields.push(field(&line)?);
        }
    }

    /// The next head; `None` when the stream ended before it.
    pub fn head(&mut self) -> Result<Option<Head>, WireError> {
        let Some(start) = self.line()? else { return Ok(None) };
        let start = start.iter().map(|byte| char::from(*byte)).collect();
        Ok(Some(Head { start, fields: self.fields()? }))
    }

    /// The body, piece by piece, then its trailers.
    pub fn body(
        &mut self,
        framing: Framing,
        mut take: impl FnMut(&[u8]),
    ) -> Result<Vec<Field>, WireError> {
        match framing {
            Framing::Length(length) => self.exact(length, &mut take).map(|()| Vec::new()),
            Framing::UntilClose => loop {
                let rest = self.rest().len();
                take(self.rest());
                self.at += rest;
                if !self.fill()? {
                    return Ok(Vec::new());
                }
            },
            Framing::Chunked => self.chunks(&mut take),
        }
    }

    fn exact(&mut self, mut left: u64, take: &mut impl FnMut(&[u8])) -> Result<(), WireError> {
        while left > 0 {
            let here = self.rest().len().min(usize::try_from(left).unwrap_or(usize::MAX));
            take(&self.rest()[..here]);
            self.at += here;
            left -= here as u64;
            if left > 0 && !self.fill()? {
                return Err(WireError::Cut);
            }
        }
        Ok(())
    }

    fn chunks(&mut self, take: &mut impl FnMut(&[u8])) -> Result<Vec<Field>, WireError> {
        loop {
            let line = self.line()?.ok_or(WireError::Cut)?;
            let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
            let text = String::from_utf8_lossy(digits).into_owned();
            let hex = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            let size = u64::from_str_radix(&text, 16).ok().filter(|_| hex && text.len() < 16);
            let size = size.ok_or_else(|| dirty("chunk size", &line))?;
            if size == 0 {
                return self.fields();
            }
            self.exact(size, take)?;
            if !self.line()?.ok_or(WireError::Cut)?.is_empty() {
                return Err(dirty("chunk data not ended by CRLF", b""));
            }
        }
    }
}

fn dirty(what: &str, bytes: &[u8]) -> WireError {
    WireError::Dirty(format!("{what} {:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(60)])))
}

fn field(line: &[u8]) -> Result<Field, WireError> {
    let colon = line.iter().position(|byte| *byte == b':');
    let (name, value) = line.split_at(colon.ok_or_else(|| dirty("no colon in", line))?);
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    if name.is_empty() || !name.iter().all(token) {
        return Err(dirty("field name", line));
    }
    Ok((String::from_utf8_lossy(name).into_owned(), value[1..].trim_ascii().to_vec()))
}

/// How long a request's body is; `Err` where receivers could disagree.
pub fn request_framing(head: &Head) -> Result<Framing, WireError> {
    let words: Vec<&str> = head.start.split(' ').collect();
    let visible = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic());
    let [method, target, version] = words[..] else {
        return Err(dirty("request line", head.start.as_bytes()));
    };
    if !visible(method) || !visible(target) || !["HTTP/1.1", "HTTP/1.0"].contains(&version) {
        return Err(dirty("request line", head.start.as_bytes()));
    }
    if head.all("host").len() != 1 && version == "HTTP/1.1" {
        return Err(dirty("not one Host", head.start.as_bytes()));
    }
    Ok(declared(head)?.unwrap_or(Framing::Length(0)))
}

/// How long a response's body is, given the method it answers.
pub fn response_framing(head: &Head, method: &str) -> Result<Framing, WireError> {
    let framing = declared(head)?;
    let status = head.status();
    if method == "HEAD" || status < 200 || status == 204 || status == 304 {
        return Ok(Framing::Length(0));
    }
    Ok(framing.unwrap_or(Framing::UntilClose))
}

fn declared(head: &Head) -> Result<Option<Framing>, WireError> {
    let (codings, lengths) = (head.all("transfer-encoding"), head.all("content-length"));
    match (&codings[..], &lengths[..]) {
        ([], []) => Ok(None),
        ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Some(Framing::Chunked)),
        ([], [length]) if length.iter().all(u8::is_ascii_digit) => {
            let text = String::from_utf8_lossy(length);
            let length = text.parse().map_err(|_| dirty("length", length))?;
            Ok(Some(Framing::Length(length)))
        }
        _ => Err(dirty("ambiguous length", format!("{codings:?} {lengths:?}").as_bytes())),
    }
}

/// A digest to compare what was sent with what arrived (FNV-1a, 64 bit).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Digest(pub u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    pub fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
