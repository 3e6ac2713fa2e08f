//! The meshd of an installation: whether it runs, and as which process.

use std::fs;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::Duration;

use mesh_proto::v1::{GetStatusRequest, GetStatusResponse};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::places::Places;
use super::process;
use crate::client::Client;
use crate::context::block_on;

const ASK_PATIENCE: Duration = Duration::from_secs(2);
/// The name every meshd claims in its network namespace.
const CLAIM: &str = "meshd/capture";

/// The process that serves the socket or holds the state folder. Where both are gone, the one
/// that holds this network namespace, if it runs the installed program.
pub(crate) fn running(places: &Places) -> Option<u32> {
    let serving = UnixStream::connect(&places.socket).ok().and_then(|stream| peer(&stream));
    let noted = || {
        let text = fs::read_to_string(places.state.join("meshd.pid")).ok()?;
        text.trim().parse::<u32>().ok()
    };
    let claiming = || {
        let name = SocketAddr::from_abstract_name(CLAIM).ok()?;
        let pid = UnixStream::connect_addr(&name).ok().and_then(|stream| peer(&stream))?;
        (process::executable(pid)? == places.program()).then_some(pid)
    };
    let is_meshd = |pid: &u32| process::is_running(*pid) && process::name(*pid) == "meshd";
    serving.filter(is_meshd).or_else(|| noted().filter(is_meshd)).or_else(claiming)
}

fn peer(stream: &UnixStream) -> Option<u32> {
    u32::try_from(getsockopt(stream, PeerCredentials).ok()?.pid()).ok()
}

/// What it says about itself, when it answers.
pub(crate) fn status(places: &Places) -> Option<GetStatusResponse> {
    let asked = block_on(async {
        let client = Client::connect(&places.socket, Some(ASK_PATIENCE)).await?;
        client.call(client.status().get_status(GetStatusRequest {})).await
    });
    asked.ok()
}
