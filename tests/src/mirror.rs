//! Who came: the client itself, or somebody in its place.

use std::io::{Read as _, Write as _};

use crate::{Backend, Netns, Probe};

/// A server that says from which port it was called.
pub fn mirror(netns: &Netns, port: u16) -> Backend {
    Backend::tcp(netns, "mirror", port, |mut stream| {
        let peer = stream.peer_addr().map(|peer| peer.port().to_string()).unwrap_or_default();
        let mut request = [0; 4096];
        if stream.read(&mut request).is_ok_and(|length| length > 0) {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n", peer.len());
            let answer = format!("{head}Connection: close\r\n\r\n{peer}");
            stream.write_all(answer.as_bytes()).unwrap_or_default();
        }
    })
}

/// Whether the client's own socket is what arrived at a [`mirror`].
#[track_caller]
pub fn goes_direct(client: &mut Probe, address: &str) -> bool {
    let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let got = client.exchange(address, vec![request.as_str().into()], 3_000);
    let text = got.text();
    let (_, seen) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{address}: {text:?}"));
    assert!(text.starts_with("HTTP/1.1 200"), "{address}: {text}");
    got.local.rsplit(':').next() == Some(seen)
}
