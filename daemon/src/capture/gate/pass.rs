//! Hands the sockets of a gate from the process that made them to meshd (`SCM_RIGHTS`).
//!
//! One connection, whole messages: meshd says what it wants ([`Blueprint`]), the other side sends
//! descriptors with their tags, then the name of its run; meshd answers `ok`, or why not.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, getsockopt, recvmsg, sendmsg,
    sockopt::PeerCredentials,
};
use socket2::{Domain, SockAddr, Socket, Type};

use super::{Blueprint, Role, Sockets, Tag};

/// The kernel takes at most 253 descriptors with one message.
const AT_ONCE: usize = 200;
const LARGEST: usize = 4096;
const OK: &[u8] = b"ok";
/// Both sides do nothing but this; whoever takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// One connection, on either side. Its calls block, for a bounded time.
#[derive(Debug)]
pub(crate) struct Passage(UnixStream);

/// What came through.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// Whose sockets they are.
    pub(crate) run: String,
    pub(crate) sockets: Sockets,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum PassageError {
    #[error("the sockets could not be handed to meshd")]
    Broken(#[from] io::Error),
    #[error("{0}")]
    Refused(String),
}

/// A listener for [`Passage::accepted`], at `path`, for its owner only.
pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(128)?;
    socket.set_nonblocking(true)?;
    Ok(UnixListener::from(OwnedFd::from(socket)))
}

impl Passage {
    pub(crate) fn connect(path: &Path) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
        socket.connect(&SockAddr::unix(path)?)?;
        Self::over(UnixStream::from(OwnedFd::from(socket)))
    }

    /// meshd's side; for processes of its own user and root only.
    pub(crate) fn accepted(stream: UnixStream) -> io::Result<Self> {
        let peer = getsockopt(&stream, PeerCredentials)?.uid();
        if peer != 0 && peer != nix::unistd::geteuid().as_raw() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        stream.set_nonblocking(false)?;
        Self::over(stream)
    }

    fn over(stream: UnixStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(stream))
    }

    /// meshd asks for what `blueprint` says and takes what comes.
    pub(crate) fn request(&self, blueprint: &Blueprint) -> io::Result<Delivery> {
        self.say(&serde_json::to_vec(blueprint)?, &[])?;
        let mut tagged = Vec::new();
        loop {
            let (message, descriptors) = self.hear()?;
            if descriptors.is_empty() {
                let run = String::from_utf8(message).map_err(io::Error::other)?;
                return Ok(Delivery { run, sockets: Sockets::sort(tagged)? });
            }
            let tags = message.chunks_exact(2).map(|pair| match *pair {
                [role, worker] => Role::of(role).map(|role| Tag { role, worker }),
                _ => None,
            });
            // What this daemon has no use for is closed here.
            tagged.extend(tags.zip(descriptors).filter_map(|(tag, socket)| Some((tag?, socket))));
        }
    }

    /// meshd says how it went.
    pub(crate) fn answer(&self, outcome: Result<(), &str>) -> io::Result<()> {
        self.say(outcome.map_or_else(str::as_bytes, |()| OK), &[])
    }

    /// What meshd wants.
    pub(crate) fn blueprint(&self) -> io::Result<Blueprint> {
        let (message, _none) = self.hear()?;
        Ok(serde_json::from_slice(&message)?)
    }

    /// Sends the sockets of `run`; returns once traffic to them is carried.
    pub(crate) fn deliver(
        &self,
        run: &str,
        sockets: &[(Tag, OwnedFd)],
    ) -> Result<(), PassageError> {
        for chunk in sockets.chunks(AT_ONCE) {
            let tags: Vec<u8> =
                chunk.iter().flat_map(|(tag, _)| [tag.role as u8, tag.worker]).collect();
            let descriptors: Vec<RawFd> = chunk.iter().map(|(_, fd)| fd.as_raw_fd()).collect();
            self.say(&tags, &descriptors)?;
        }
        self.say(run.as_bytes(), &[])?;
        let (answer, _none) = self.hear()?;
        if answer == OK {
            return Ok(());
        }
        Err(PassageError::Refused(String::from_utf8_lossy(&answer).into_owned()))
    }

    fn say(&self, message: &[u8], descriptors: &[RawFd]) -> io::Result<()> {
        let rights = [ControlMessage::ScmRights(descriptors)];
        let control = if descriptors.is_empty() { &[][..] } else { &rights[..] };
        let parts = [IoSlice::new(message)];
        sendmsg::<()>(self.0.as_raw_fd(), &parts, control, MsgFlags::MSG_NOSIGNAL, None)?;
        Ok(())
    }

    fn hear(&self) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
        let mut message = vec![0; LARGEST];
        let mut control = nix::cmsg_space!([RawFd; AT_ONCE]);
        let mut parts = [IoSliceMut::new(&mut message)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let received = recvmsg::<()>(self.0.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
        let mut descriptors = Vec::new();
        for part in received.cmsgs()? {
            if let ControlMessageOwned::ScmRights(raw) = part {
                // SAFETY: the kernel made these for us just now; nobody else owns them.
                descriptors.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
            }
        }
        let length = received.bytes;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        message.truncate(length);
        Ok((message, descriptors))
    }
}
