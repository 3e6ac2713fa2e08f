//! Servers inside a namespace: one that answers properly, one that does whatever a spec scripts.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::netns::Netns;
use crate::wait::pause;
use crate::wire::{Digest, Field, Head, Wire, WireError, request_framing};

/// Bodies up to this size are kept for comparison; of larger ones only length and digest.
const KEPT: usize = 64 << 10;

/// One request as the backend saw it.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Which of the backend's connections it came on, from 1.
    pub connection: u64,
    pub head: Head,
    pub body: Vec<u8>,
    pub length: u64,
    pub digest: Digest,
    pub trailers: Vec<Field>,
}

/// What an answer is made of, in order.
#[derive(Clone, Debug)]
pub enum Piece {
    Bytes(Vec<u8>),
    Wait(Duration),
    /// FIN after what was written.
    Close,
    /// RST at once.
    Reset,
    /// From here on every byte goes back as it came, until the client ends.
    Echo,
}

type Answer = dyn Fn(&Seen) -> Vec<Piece> + Send + Sync;

#[derive(Default)]
struct Log {
    seen: Vec<Seen>,
    dirt: Vec<String>,
    open: Vec<(u64, TcpStream)>,
}

/// A listening server. Dropped, it refuses connections and ends those it has.
pub struct Backend {
    pub name: String,
    pub address: SocketAddr,
    listener: Arc<TcpListener>,
    log: Arc<Mutex<Log>>,
    accepted: Arc<AtomicU64>,
}

impl Backend {
    /// Answers 200 with `NAME METHOD TARGET LENGTH`, and `/health…` too.
    pub fn http(netns: &Netns, name: &str, port: u16) -> Self {
        let owned = name.to_owned();
        Self::scripted(netns, name, port, move |seen| {
            let head = &seen.head;
            let text = format!("{owned} {} {} {}", head.method(), head.target(), seen.length);
            vec![Piece::Bytes(ok(&text, head.method() == "HEAD"))]
        })
    }

    /// Answers HTTP requests with what `answer` says. A target that begins with `/early` is
    /// answered before its body was read.
    pub fn scripted(
        netns: &Netns,
        name: &str,
        port: u16,
        answer: impl Fn(&Seen) -> Vec<Piece> + Send + Sync + 'static,
    ) -> Self {
        let answer: Arc<Answer> = Arc::new(answer);
        Self::serve(netns, name, port, move |stream, connection, log| {
            converse(&stream, connection, &log, &answer);
        })
    }

    /// A TCP server: `handle` gets each connection on a thread of its own.
    pub fn tcp(
        netns: &Netns,
        name: &str,
        port: u16,
        handle: impl Fn(TcpStream) + Send + Sync + 'static,
    ) -> Self {
        Self::serve(netns, name, port, move |stream, _, _| handle(stream))
    }

    fn serve(
        netns: &Netns,
        name: &str,
        port: u16,
        handle: impl Fn(TcpStream, u64, Arc<Mutex<Log>>) + Send + Sync + 'static,
    ) -> Self {
        // Both families, as most servers listen.
        let listener = netns.inside(move || TcpListener::bind(("::", port)));
        let listener =
            Arc::new(listener.unwrap_or_else(|error| panic!("listen on {port}: {error}")));
        let log = Arc::new(Mutex::new(Log::default()));
        let accepted = Arc::new(AtomicU64::new(0));
        let backend = Self {
            name: name.to_owned(),
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            listener: Arc::clone(&listener),
            log: Arc::clone(&log),
            accepted: Arc::clone(&accepted),
        };
        let handle = Arc::new(handle);
        netns.spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let connection = accepted.fetch_add(1, Ordering::SeqCst) + 1;
                if let Ok(kept) = stream.try_clone() {
                    log.lock().unwrap().open.push((connection, kept));
                }
                let (handle, log) = (Arc::clone(&handle), Arc::clone(&log));
                std::thread::spawn(move || {
                    handle(stream, connection, Arc::clone(&log));
                    log.lock().unwrap().open.retain(|(other, _)| *other != connection);
                });
            }
        });
        backend
    }

    /// Every complete request so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.log.lock().unwrap().seen.clone()
    }

    /// Requests whose target is not a health probe's.
    pub fn served(&self) -> usize {
        let log = self.log.lock().unwrap();
        log.seen.iter().filter(|seen| !seen.head.target().starts_with("/health")).count()
    }

    /// Bytes no server should have been sent.
    pub fn dirt(&self) -> Vec<String> {
        self.log.lock().unwrap().dirt.clone()
    }

    /// Connections accepted since the start.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.log.lock().unwrap().open.len()
    }

    /// Forgets what was seen.
    pub fn forget(&self) {
        let mut log = self.log.lock().unwrap();
        log.seen.clear();
        log.dirt.clear();
    }

    /// Ends open connections; new ones are still taken.
    pub fn hang_up(&self) {
        for (_, stream) in &self.log.lock().unwrap().open {
            // Already closed by the other side is as good.
            stream.shutdown(Shutdown::Both).unwrap_or_default();
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        nix::sys::socket::shutdown(self.listener.as_raw_fd(), nix::sys::socket::Shutdown::Both)
            .unwrap_or_default();
        self.hang_up();
    }
}

/// A 200 with a length.
pub fn ok(body: &str, head_only: bool) -> Vec<u8> {
    let shown = if head_only { "" } else { body };
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{shown}", body.len()).into_bytes()
}

fn converse(stream: &TcpStream, connection: u64, log: &Mutex<Log>, answer: &Arc<Answer>) {
    let mut wire = Wire::new(stream);
    loop {
        match one_request(stream, &mut wire, connection, log, answer) {
            Ok(true) => {}
            Ok(false) | Err(WireError::Cut | WireError::Io(_)) => break,
            Err(WireError::Dirty(what)) => {
                log.lock().unwrap().dirt.push(what);
                break;
            }
        }
    }
    stream.shutdown(Shutdown::Both).unwrap_or_default();
}

/// Reads and answers one request; false when the connection is over.
fn one_request(
    mut stream: &TcpStream,
    wire: &mut Wire<&TcpStream>,
    connection: u64,
    log: &Mutex<Log>,
    answer: &Arc<Answer>,
) -> Result<bool, WireError> {
    let Some(head) = wire.head()? else { return Ok(false) };
    let framing = request_framing(&head)?;
    let mut seen = Seen { connection, head, ..Seen::default() };
    let early = seen.head.target().starts_with("/early");
    if early && !play(stream, &answer(&seen), wire)? {
        return Ok(false);
    }
    if seen.head.one("expect").is_some_and(|value| value.contains("100-continue")) {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let (body, length, digest) = (&mut seen.body, &mut seen.length, &mut seen.digest);
    seen.trailers = wire.body(framing, |piece| {
        let keep = piece.len().min(KEPT.saturating_sub(body.len()));
        body.extend_from_slice(&piece[..keep]);
        *length += piece.len() as u64;
        digest.add(piece);
    })?;
    log.lock().unwrap().seen.push(seen.clone());
    let open = early || play(stream, &answer(&seen), wire)?;
    let last = seen.head.one("connection").is_some_and(|value| value.contains("close"));
    Ok(open && !last)
}

fn play(
    mut stream: &TcpStream,
    pieces: &[Piece],
    wire: &mut Wire<&TcpStream>,
) -> Result<bool, WireError> {
    for piece in pieces {
        match piece {
            Piece::Bytes(bytes) => stream.write_all(bytes)?,
            Piece::Wait(time) => pause(*time),
            Piece::Close => {
                stream.shutdown(Shutdown::Both)?;
                return Ok(false);
            }
            Piece::Reset => {
                reset(stream)?;
                return Ok(false);
            }
            Piece::Echo => {
                stream.write_all(wire.rest())?;
                io::copy(&mut { stream }, &mut stream)?;
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Makes the next close send RST.
pub fn reset(stream: &TcpStream) -> io::Result<()> {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    nix::sys::socket::setsockopt(stream, nix::sys::socket::sockopt::Linger, &linger)?;
    // Closing one clone of the descriptor is not enough; a disconnect resets for all of them.
    // SAFETY: an AF_UNSPEC address is plain zeroed bytes of the size given.
    unsafe {
        let address: libc::sockaddr = std::mem::zeroed();
        let size = libc::socklen_t::try_from(size_of::<libc::sockaddr>()).unwrap_or(16);
        libc::connect(stream.as_raw_fd(), &raw const address, size);
    }
    Ok(())
}

/// Reads a stream to its end: how much, and its digest.
pub fn drain(mut stream: &TcpStream) -> io::Result<(u64, Digest)> {
    let (mut length, mut digest, mut buffer) = (0, Digest::default(), vec![0; 1 << 16]);
    loop {
        let got = stream.read(&mut buffer)?;
        if got == 0 {
            return Ok((length, digest));
        }
        length += got as u64;
        digest.add(&buffer[..got]);
    }
}
