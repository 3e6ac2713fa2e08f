//! Containers, as their runtimes name them: by the id in their cgroup's name, else by asking the
//! runtime's socket.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A runtime answers from memory; longer than this it is stuck.
const PATIENCE: Duration = Duration::from_secs(2);
/// An answer about one container is a few KiB.
const LARGEST_ANSWER: u64 = 1 << 20;
/// Fewer digits could as well be a name.
const SHORTEST_PREFIX: usize = 4;
const ID_LENGTH: usize = 64;

/// A running container, as its runtime knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) id: String,
    pub(super) pid: u32,
}

/// The id of the container whose cgroup directory is called `directory`, with every runtime's own
/// dress taken off: `docker-ID.scope`, `libpod-ID.scope`, `crio-ID.scope`, or just the id.
pub(super) fn id_in(directory: &str) -> Option<&str> {
    let name = directory.strip_suffix(".scope").unwrap_or(directory);
    let dressed = ["docker-", "libpod-", "cri-containerd-", "crio-", "nerdctl-"];
    let name = dressed.iter().find_map(|dress| name.strip_prefix(dress)).unwrap_or(name);
    (name.len() == ID_LENGTH && is_hex(name)).then_some(name)
}

/// `written` may be the beginning of an id.
pub(super) fn is_prefix(written: &str) -> bool {
    (SHORTEST_PREFIX..=ID_LENGTH).contains(&written.len()) && is_hex(written)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Asks the runtimes of this host for a container by name or id; `Ok(None)`: none has it running.
///
/// # Errors
/// No runtime answers.
pub(super) fn ask(name: &str) -> io::Result<Option<Running>> {
    let mut outcome = Err(io::Error::new(
        io::ErrorKind::NotFound,
        "no container runtime listens on /var/run/docker.sock or /run/podman/podman.sock",
    ));
    for socket in sockets() {
        match inspect(&socket, name) {
            Ok(Some(running)) => return Ok(Some(running)),
            Ok(None) => outcome = Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => outcome = outcome.or(Err(error)),
        }
    }
    outcome
}

/// Docker's own variable goes first; podman speaks the same protocol.
fn sockets() -> Vec<PathBuf> {
    let told = std::env::var("DOCKER_HOST").ok();
    let told = told.as_deref().and_then(|host| host.strip_prefix("unix://")).map(PathBuf::from);
    let usual = ["/var/run/docker.sock", "/run/podman/podman.sock"].map(PathBuf::from);
    told.into_iter().chain(usual).collect()
}

fn inspect(socket: &Path, name: &str) -> io::Result<Option<Running>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // HTTP/1.0: the answer ends with the connection and is never chunked.
    let request = format!("GET /containers/{name}/json HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(LARGEST_ANSWER).read_to_string(&mut answer)?;
    read(&answer)
}

fn read(answer: &str) -> io::Result<Option<Running>> {
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    match head.split(' ').nth(1) {
        Some("200") => {}
        Some("404") => return Ok(None),
        status => {
            let status = status.unwrap_or("nothing");
            return Err(io::Error::other(format!("the container runtime answered {status}")));
        }
    }
    let body: serde_json::Value = serde_json::from_str(body)?;
    let id = body.get("Id").and_then(serde_json::Value::as_str).unwrap_or_default();
    let pid = body.pointer("/State/Pid").and_then(serde_json::Value::as_u64).unwrap_or_default();
    let pid = u32::try_from(pid).unwrap_or_default();
    // A stopped container has pid 0.
    Ok((pid != 0 && !id.is_empty()).then(|| Running { id: id.to_owned(), pid }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f2a9c0000000000000000000000000000000000000000000000000000000001";

    #[test]
    fn the_id_is_found_in_every_runtimes_cgroup_names() {
        for name in [ID.to_owned(), format!("docker-{ID}.scope"), format!("libpod-{ID}.scope")] {
            assert_eq!(id_in(&name), Some(ID), "{name}");
        }
        assert_eq!(
            id_in(&format!("libpod-conmon-{ID}.scope")),
            None,
            "the monitor is no container"
        );
        assert_eq!(id_in("docker.service"), None);
    }

    #[test]
    fn a_stopped_or_unknown_container_is_not_running() {
        let answer = |status: &str, body: &str| format!("HTTP/1.0 {status}\r\nA: b\r\n\r\n{body}");
        let running = format!(r#"{{"Id":"{ID}","State":{{"Pid":812}}}}"#);
        let found = read(&answer("200 OK", &running)).unwrap();
        assert_eq!(found, Some(Running { id: ID.to_owned(), pid: 812 }));
        let stopped = format!(r#"{{"Id":"{ID}","State":{{"Pid":0}}}}"#);
        assert_eq!(read(&answer("200 OK", &stopped)).unwrap(), None);
        assert_eq!(read(&answer("404 Not Found", "{}")).unwrap(), None);
        assert!(read(&answer("500 Oops", "{}")).is_err());
    }
}
