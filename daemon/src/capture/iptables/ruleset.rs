//! The chains' text, as `iptables-restore --noflush` reads it: pure.
//!
//! The order of decisions is that of the nft table. Chains are entered by `-g` wherever a packet
//! is decided in them, so that what nobody captures goes on with the rules of others.

use std::net::IpAddr;

use crate::capture::nft::{NEVER4, NEVER6, SSH, network};
use crate::capture::plan::Targets;
use crate::capture::routes::Family;
use crate::config;
use crate::model::{Place, Transport};

use super::tool::Listing;

/// On every rule of ours.
pub(super) const TAG: &str = "-m comment --comment meshd";

/// Our chains in one table, and the jump into each from a chain of the kernel's.
#[derive(Debug)]
pub(super) struct Chains {
    pub(super) table: &'static str,
    pub(super) names: &'static [&'static str],
    /// Kernel's chain, what of it is looked at, our chain.
    pub(super) jumps: &'static [(&'static str, &'static str, &'static str)],
}

/// What captures: goes with meshd.
pub(super) const CAPTURING: [Chains; 2] = [
    Chains {
        table: "nat",
        names: &["MESHD_OUT", "MESHD_VIPS", "MESHD_MESH", "MESHD_ALL", "MESHD_KEEP"],
        jumps: &[("OUTPUT", "-p tcp", "MESHD_OUT"), ("OUTPUT", "-p udp", "MESHD_KEEP")],
    },
    Chains {
        table: "mangle",
        names: &[
            "MESHD_OUT",
            "MESHD_VIPS",
            "MESHD_MESH",
            "MESHD_ALL",
            "MESHD_TAKE",
            "MESHD_BACK",
            "MESHD_PRE",
            "MESHD_IN",
        ],
        jumps: &[
            ("OUTPUT", "-p udp", "MESHD_OUT"),
            ("OUTPUT", "-m conntrack --ctdir REPLY", "MESHD_BACK"),
            ("PREROUTING", "", "MESHD_PRE"),
        ],
    },
];

/// What refuses virtual addresses nobody captures: stays when meshd is killed.
pub(super) const REFUSING: Chains =
    Chains { table: "filter", names: &["MESHD_VIP"], jumps: &[("OUTPUT", "", "MESHD_VIP")] };

/// Everything of ours in one family.
pub(super) const ALL: [&Chains; 3] = [&CAPTURING[0], &CAPTURING[1], &REFUSING];

/// Who is in scope, in the order of the questions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// "-m cgroup --path x"; empty for everybody.
    pub(super) is: String,
    /// The rule means the cgroup that had the path when it was loaded, not one made anew.
    pub(super) inode: u64,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Never captured.
    Out,
    Mesh,
    Everything,
}

/// Everything the text of one family depends on.
#[derive(Debug)]
pub(super) struct Ruleset<'a> {
    pub(super) config: &'a config::Capture,
    pub(super) family: Family,
    pub(super) members: &'a [Member],
    pub(super) targets: &'a Targets,
}

impl Ruleset<'_> {
    /// Fills the chains that capture anew; what leads into them is not touched.
    pub(super) fn capturing(&self) -> String {
        let [nat, mangle] = &CAPTURING;
        let nat = nat.filled(&self.nat());
        let mangle = mangle.filled(&self.mangle());
        nat + &mangle
    }

    pub(super) fn refusing(&self) -> String {
        let (captured, mask) = (self.config.mark_captured, self.config.mark_mask);
        let vips = self.vips();
        REFUSING.filled(&[
            format!("-A MESHD_VIP -m mark --mark {captured:#x}/{mask:#x} -j RETURN"),
            format!("-A MESHD_VIP -d {vips} -p tcp -j REJECT --reject-with tcp-reset"),
            format!("-A MESHD_VIP -d {vips} -j REJECT"),
        ])
    }

    fn nat(&self) -> Vec<String> {
        let (tcp, dns) = (self.config.tcp_port, self.config.dns_port);
        let to_proxy = format!("-j REDIRECT --to-ports {tcp}");
        let to_dns = format!("-p tcp -m tcp --dport 53 -j REDIRECT --to-ports {dns}");
        let mut rules = self.scopes(Transport::Tcp);
        rules.extend(self.mesh(Transport::Tcp, &to_proxy, &to_dns));
        rules.push(format!("-A MESHD_ALL -p tcp {to_proxy}"));
        // Marked datagrams keep their destination: Docker changes that of questions to 127.0.0.11.
        let (captured, mask) = (self.config.mark_captured, self.config.mark_mask);
        rules.push(format!("-A MESHD_KEEP -m mark --mark {captured:#x}/{mask:#x} -j ACCEPT"));
        rules
    }

    fn mangle(&self) -> Vec<String> {
        let (captured, mask) = (self.config.mark_captured, self.config.mark_mask);
        // There is no broadcast in IPv6, and no word for it.
        let kinds = match self.family {
            Family::V4 => "BROADCAST,MULTICAST,ANYCAST",
            Family::V6 => "MULTICAST,ANYCAST",
        };
        let mut rules = vec![
            "-A MESHD_OUT -m conntrack --ctdir REPLY -j RETURN".to_owned(),
            format!("-A MESHD_OUT -m addrtype --dst-type {kinds} -j RETURN"),
        ];
        rules.extend(self.scopes(Transport::Udp));
        let take = "-g MESHD_TAKE";
        rules.extend(self.mesh(Transport::Udp, take, "-p udp -m udp --dport 53 -g MESHD_TAKE"));
        rules.push(format!("-A MESHD_ALL -p udp {take}"));
        rules.push(format!("-A MESHD_TAKE -j MARK --set-xmark {captured:#x}/{mask:#x}"));
        // Answers to a client meshd stands for.
        let back = format!("-A MESHD_BACK -m connmark --mark {captured:#x}/{mask:#x}");
        rules.push(format!("{back} -j MARK --set-xmark {captured:#x}/{mask:#x}"));
        rules.extend(self.arriving());
        rules
    }

    fn scopes(&self, transport: Transport) -> Vec<String> {
        let (own, mask) = (self.config.mark_own, self.config.mark_mask);
        let mut rules = vec![format!("-A MESHD_OUT -m mark --mark {own:#x}/{mask:#x} -j RETURN")];
        for Member { is, kind, .. } in self.members {
            let verdict = match kind {
                Kind::Out => "-j RETURN",
                Kind::Mesh => "-g MESHD_MESH",
                Kind::Everything => "-g MESHD_ALL",
            };
            rules.push(format!("-A MESHD_OUT -p {transport} {is} {verdict}"));
        }
        rules
    }

    /// From the virtual addresses to the known endpoints, and the same before the rest of those
    /// whose everything is taken.
    fn mesh(&self, transport: Transport, take: &str, question: &str) -> Vec<String> {
        let vips = self.vips();
        let of_it =
            |place: &&Place| place.transport == transport && self.is_ours(place.address.ip());
        let places = || self.targets.destinations.iter().filter(of_it);
        let to = |chain: &str, place: &Place| {
            let (ip, port) = (place.address.ip(), place.address.port());
            format!("-A {chain} -d {ip} -p {transport} -m {transport} --dport {port} {take}")
        };
        let (virtual_, real): (Vec<_>, Vec<_>) =
            places().partition(|place| self.config.is_virtual(place.address.ip()));
        let mut rules: Vec<_> = virtual_.into_iter().map(|place| to("MESHD_VIPS", place)).collect();
        rules.push(format!("-A MESHD_VIPS {question}"));
        for chain in ["MESHD_MESH", "MESHD_ALL"] {
            rules.push(format!("-A {chain} -d {vips} -g MESHD_VIPS"));
            if self.config.dns {
                rules.push(format!("-A {chain} {question}"));
            }
            rules.extend(
                self.excluded(transport).iter().map(|x| format!("-A {chain} {x} -j RETURN")),
            );
            rules.extend(real.iter().map(|place| to(chain, place)));
        }
        let never: &[&str] = if self.family == Family::V4 { &NEVER4 } else { &NEVER6 };
        rules.extend(never.iter().map(|net| format!("-A MESHD_ALL -d {net} -j RETURN")));
        rules
    }

    fn excluded(&self, transport: Transport) -> Vec<String> {
        let exclude = &self.config.exclude;
        let ssh = (transport == Transport::Tcp).then_some((SSH, SSH));
        let of_it = exclude.ports.iter().filter(|range| range.transport == transport);
        let ports = ssh.into_iter().chain(of_it.map(|range| (range.first, range.last)));
        let ports = ports
            .map(|(first, last)| format!("-p {transport} -m {transport} --dport {first}:{last}"));
        let nets = exclude.cidrs.iter().filter(|(ip, _)| self.is_ours(*ip));
        let nets = nets.map(|(ip, length)| format!("-d {}", network(*ip, *length)));
        let interfaces = exclude.interfaces.iter().map(|name| format!("-o {}", quoted(name)));
        let uids = exclude.uids.iter().map(|uid| format!("-m owner --uid-owner {uid}"));
        ports.chain(nets).chain(interfaces).chain(uids).collect()
    }

    /// What arrives over loopback because we marked it, and from outside at a service's port.
    fn arriving(&self) -> Vec<String> {
        let config = self.config;
        let (own, captured, mask) = (config.mark_own, config.mark_captured, config.mark_mask);
        let (dns, udp) = (config.dns_port, config.udp_port);
        let taken = format!("-A MESHD_PRE -i lo -p udp -m mark --mark {captured:#x}/{mask:#x}");
        let keep = format!("--tproxy-mark {captured:#x}/{mask:#x}");
        let own = format!("-A MESHD_IN -m mark --mark {own:#x}/{mask:#x}");
        let mut rules = vec![
            format!("{taken} -m conntrack --ctdir REPLY -j RETURN"),
            format!("{taken} -m udp --dport 53 -j TPROXY --on-port {dns} {keep}"),
            format!("{taken} -j TPROXY --on-port {udp} {keep}"),
            // Meshd in the name of a client.
            format!(
                "{own} -m addrtype ! --src-type LOCAL -j CONNMARK --set-xmark {captured:#x}/{mask:#x}"
            ),
            format!("{own} -j RETURN"),
            "-A MESHD_IN -m conntrack --ctdir REPLY -j RETURN".to_owned(),
            "-A MESHD_IN -m addrtype ! --dst-type LOCAL -j RETURN".to_owned(),
            // Who is connected with the application itself already goes on like that.
            "-A MESHD_IN -p tcp -m tcp ! --syn -m socket -j RETURN".to_owned(),
        ];
        for (transport, port) in &self.targets.inbound {
            let at = format!("-p {transport} -m {transport} --dport {port}");
            rules.push(format!("-A MESHD_PRE {at} -g MESHD_IN"));
        }
        for (transport, port) in
            [(Transport::Tcp, config.inbound_tcp_port), (Transport::Udp, config.inbound_udp_port)]
        {
            let keep = "--tproxy-mark 0x0/0x0";
            rules.push(format!("-A MESHD_IN -p {transport} -j TPROXY --on-port {port} {keep}"));
        }
        rules
    }

    fn vips(&self) -> String {
        let (vip4, vip6) = (self.config.vip4, self.config.vip6);
        match self.family {
            Family::V4 => format!("{}/{}", vip4.base, vip4.prefix),
            Family::V6 => format!("{}/{}", vip6.base, vip6.prefix),
        }
    }

    fn is_ours(&self, ip: IpAddr) -> bool {
        ip.is_ipv4() == (self.family == Family::V4)
    }
}

impl Chains {
    /// One transaction: the chains are emptied or made, then filled.
    fn filled(&self, rules: &[String]) -> String {
        let mut text = format!("*{}\n", self.table);
        for name in self.names {
            text.push_str(&format!(":{name} - [0:0]\n"));
        }
        for rule in rules {
            text.push_str(&tagged(rule));
        }
        text + "COMMIT\n"
    }

    /// What a listing shows once `text` is loaded and the jumps lead into it.
    pub(super) fn as_in(&self, text: &str) -> Listing {
        let table = format!("*{}", self.table);
        let lines = text.lines().skip_while(|line| *line != table);
        let rules =
            lines.take_while(|line| *line != "COMMIT").filter(|line| line.starts_with("-A"));
        Listing { jumps: vec![1; self.jumps.len()], rules: Some(rules.count()) }
    }

    /// Puts the jumps first; `there` says how many of each there are already.
    pub(super) fn armed(&self, there: &[usize]) -> String {
        let mut text = format!("*{}\n{}", self.table, self.without_jumps(there));
        for (chain, what, ours) in self.jumps {
            text.push_str(&format!("-I {chain} 1 {what} {TAG} -j {ours}\n"));
        }
        text + "COMMIT\n"
    }

    /// Takes out the jumps and the chains.
    pub(super) fn removed(&self, there: &[usize]) -> String {
        let mut text = format!("*{}\n", self.table);
        for name in self.names {
            text.push_str(&format!(":{name} - [0:0]\n"));
        }
        text.push_str(&self.without_jumps(there));
        for name in self.names {
            text.push_str(&format!("-X {name}\n"));
        }
        text + "COMMIT\n"
    }

    fn without_jumps(&self, there: &[usize]) -> String {
        let mut text = String::new();
        for ((chain, what, ours), count) in self.jumps.iter().zip(there) {
            text.push_str(&format!("-D {chain} {what} {TAG} -j {ours}\n").repeat(*count));
        }
        text
    }
}

/// The comment goes before the verdict, where listings print it.
fn tagged(rule: &str) -> String {
    let verdict = [" -j ", " -g "].iter().filter_map(|target| rule.rfind(target)).max();
    let (matches, verdict) = rule.split_at(verdict.unwrap_or(rule.len()));
    format!("{matches} {TAG}{verdict}\n")
}

/// As one word for `iptables-restore`.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_stands_before_the_verdict() {
        assert_eq!(
            tagged("-A MESHD_TAKE -j MARK --set-xmark 0x1/0x1"),
            "-A MESHD_TAKE -m comment --comment meshd -j MARK --set-xmark 0x1/0x1\n"
        );
        let entered = tagged("-A MESHD_OUT -m cgroup --path \"a -j b\" -g MESHD_MESH");
        assert!(entered.ends_with("-m comment --comment meshd -g MESHD_MESH\n"), "{entered}");
    }

    #[test]
    fn jumps_that_are_there_are_moved_not_doubled() {
        let text = REFUSING.armed(&[2]);
        assert_eq!(text.matches("-D OUTPUT").count(), 2);
        assert_eq!(text.matches("-I OUTPUT 1").count(), 1);
    }
}
