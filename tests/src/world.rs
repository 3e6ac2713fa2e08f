//! Another host beside a node: what a program reaches that is not in the mesh.

use std::io::ErrorKind;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::netns::Netns;
use crate::node::Node;
use crate::wait::until;

/// A network namespace behind a cable. The default route at the near end leads to it.
///
/// Made before the daemon starts, it is the network the daemon finds.
pub struct World {
    pub netns: Netns,
}

impl World {
    /// The near end's own addresses on the cable.
    pub const NODE: [&str; 2] = ["10.77.0.1", "fd77::1"];
    /// Addresses of the world, each in both families: `10.88.0.10` and `fd88::10`, and so on.
    pub const HOSTS: [[&str; 2]; 3] =
        [["10.88.0.10", "fd88::10"], ["10.88.0.11", "fd88::11"], ["10.88.0.12", "fd88::12"]];

    pub fn beside(node: &Node) -> Self {
        Self::behind(&node.netns)
    }

    pub fn behind(near: &Netns) -> Self {
        let netns = Netns::new("w1");
        let far = &netns;
        for side in [near, far] {
            // Else every address of a new cable is tentative for a second.
            let words = [
                "sysctl",
                "-qw",
                "net.ipv6.conf.all.accept_dad=0",
                "net.ipv6.conf.default.accept_dad=0",
            ];
            let done = side.command(words[0]).args(&words[1..]).status();
            assert!(done.is_ok_and(|status| status.success()), "sysctl");
        }
        near.ip(&["link", "add", "w0", "type", "veth", "peer", "name", "h0", "netns", far.name()]);
        for (side, device, ends) in
            [(near, "w0", Self::NODE), (far, "h0", ["10.77.0.2", "fd77::2"])]
        {
            side.ip(&["addr", "add", &format!("{}/24", ends[0]), "dev", device]);
            side.ip(&["addr", "add", &format!("{}/64", ends[1]), "dev", device, "nodad"]);
            side.ip(&["link", "set", device, "up"]);
        }
        for address in Self::HOSTS.iter().flatten() {
            far.add_address(address);
        }
        near.ip(&["route", "replace", "default", "via", "10.77.0.2"]);
        near.ip(&["-6", "route", "replace", "default", "via", "fd77::2"]);
        // Nobody listens there: a refusal is an answer, so the way there and back is open.
        until("the cable works", Duration::from_secs(5), || {
            near.inside(|| TcpStream::connect("[fd88::10]:1"))
                .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
        });
        Self { netns }
    }

    /// What a stranger there hears from an echo server at `address`; empty when it is refused.
    pub fn call(&self, address: &str) -> String {
        self.say(address, b"hello")
    }

    pub fn say(&self, address: &str, word: &[u8]) -> String {
        let (address, word) = (address.to_owned(), word.to_owned());
        self.netns.inside(move || {
            let mut said = String::new();
            let Ok(mut stream) = TcpStream::connect(&address) else { return said };
            stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
            stream.write_all(&word).unwrap_or_default();
            stream.shutdown(Shutdown::Write).unwrap_or_default();
            stream.read_to_string(&mut said).unwrap_or_default();
            said
        })
    }
}
