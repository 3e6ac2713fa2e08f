//! Routes and rules that make virtual and fake addresses lead to loopback.
//!
//! Everything carries protocol 77, so what a crash leaves is found again without any record. Left
//! behind, it is inert: nobody sends to these addresses or sets the mark.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt as _;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{RouteMessage, RouteProtocol, RouteScope, RouteType};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::{Handle, IpVersion, RouteMessageBuilder};
use tokio::task::JoinHandle;

use crate::config;

const OURS: RouteProtocol = RouteProtocol::Other(77);
/// Number of the table, and preference of the rule, that take marked packets to loopback.
const MARKED_TABLE: u32 = 15002;

/// Something to add to the routing tables; [`fmt::Display`] says it as `ip` would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// Over loopback with this source, for a rule there to refuse.
    Loopback { to: Prefix, source: IpAddr },
    /// Refused by the route itself, where no rule can.
    Unreachable { to: Prefix },
    /// Every address of it is this host's.
    Local { to: Prefix },
    /// Every address is this host's, for packets with this mark only: a table and its rule.
    Marked { family: Family, mark: u32, mask: u32 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) base: IpAddr,
    pub(super) length: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.length)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loopback { to, source } => write!(f, "route {to} dev lo src {source} proto 77"),
            Self::Unreachable { to } => write!(f, "route unreachable {to} proto 77"),
            Self::Local { to } => write!(f, "route local {to} dev lo proto 77"),
            Self::Marked { family, mark, mask } => {
                let option = if *family == Family::V4 { "-4" } else { "-6" };
                write!(f, "rule {option} fwmark {mark:#x}/{mask:#x} lookup {MARKED_TABLE}")
            }
        }
    }
}

impl Entry {
    /// One goes where the other is.
    fn is_in_place_of(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Loopback { to, .. } | Self::Unreachable { to },
                Self::Loopback { to: others, .. } | Self::Unreachable { to: others },
            ) => to == others,
            _ => self == other,
        }
    }

    pub(super) fn is_marked(&self) -> bool {
        matches!(self, Self::Marked { .. })
    }

    pub(super) fn is_ipv6(&self) -> bool {
        match self {
            Self::Loopback { to, .. } | Self::Unreachable { to } | Self::Local { to } => {
                to.base.is_ipv6()
            }
            Self::Marked { family, .. } => *family == Family::V6,
        }
    }
}

/// Routes for the virtual addresses, which would else leave by the default route. Without a
/// source of their own they would show 0.0.0.0 where loopback is the only interface.
pub(super) fn virtual_addresses(
    config: &config::Capture,
    guarded: bool,
    (source4, source6): (Ipv4Addr, Ipv6Addr),
) -> Vec<Entry> {
    let source4 = if source4.is_unspecified() { Ipv4Addr::LOCALHOST } else { source4 };
    let source6 = if source6.is_unspecified() { Ipv6Addr::LOCALHOST } else { source6 };
    let v4 = Prefix { base: config.vip4.base.into(), length: config.vip4.prefix };
    let v6 = Prefix { base: config.vip6.base.into(), length: config.vip6.prefix };
    let entry = |to, source| {
        if guarded { Entry::Loopback { to, source } } else { Entry::Unreachable { to } }
    };
    vec![entry(v4, source4.into()), entry(v6, source6.into())]
}

/// A connection to the kernel's routing tables in this network namespace.
#[derive(Debug)]
pub(super) struct Tables {
    handle: Handle,
    connection: JoinHandle<()>,
}

impl Drop for Tables {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Tables {
    pub(super) fn open() -> io::Result<Self> {
        let (connection, handle, _news) = rtnetlink::new_connection()?;
        Ok(Self { handle, connection: tokio::spawn(connection) })
    }

    /// A route of somebody else in the same place is an error, not replaced.
    pub(super) async fn add(&self, entry: &Entry) -> io::Result<()> {
        let route = self.handle.route().add(route(entry)?).execute().await;
        route.map_err(io_error)?;
        if let Entry::Marked { family, mark, mask } = *entry {
            let mut rule = self.handle.rule().add();
            *rule.message_mut() = marked_rule(family, mark, mask);
            rule.execute().await.map_err(io_error)?;
        }
        Ok(())
    }

    /// Adds `entries`, in the place of others of ours.
    pub(super) async fn put(&self, entries: &[Entry]) -> io::Result<()> {
        for entry in entries {
            let route = self.handle.route().add(route(entry)?).replace().execute().await;
            route.map_err(io_error)?;
            if let Entry::Marked { family, mark, mask } = *entry {
                let mut rule = self.handle.rule().add();
                *rule.message_mut() = marked_rule(family, mark, mask);
                is_new(rule.execute().await)?;
            }
        }
        Ok(())
    }

    /// From `old` entries to `new` ones; names what could not be changed.
    pub(super) async fn exchange(&self, old: &[Entry], new: &[Entry]) -> Vec<String> {
        let mut problems = Vec::new();
        if let Err(error) = self.put(new).await {
            problems.push(format!("routes: {error}"));
        }
        for entry in old.iter().filter(|entry| !new.iter().any(|other| other.is_in_place_of(entry)))
        {
            if let Err(error) = self.delete(entry).await {
                problems.push(format!("{entry}: {error}"));
            }
        }
        problems
    }

    async fn delete(&self, entry: &Entry) -> io::Result<()> {
        if let Entry::Marked { family, mark, mask } = *entry {
            let rule = self.handle.rule().del(marked_rule(family, mark, mask));
            rule.execute().await.map_err(io_error)?;
        }
        self.handle.route().del(route(entry)?).execute().await.map_err(io_error)
    }

    /// Adds those of `entries` that are gone; says whether there were any.
    pub(super) async fn restore(&self, entries: &[Entry]) -> io::Result<bool> {
        let mut any = false;
        for entry in entries {
            any |= is_new(self.handle.route().add(route(entry)?).execute().await)?;
            if let Entry::Marked { family, mark, mask } = *entry {
                let mut rule = self.handle.rule().add();
                *rule.message_mut() = marked_rule(family, mark, mask);
                any |= is_new(rule.execute().await)?;
            }
        }
        Ok(any)
    }

    /// Removes everything of ours; names what was there and what could not be removed.
    pub(super) async fn remove_all(&self) -> (Vec<String>, Vec<String>) {
        let (mut removed, mut problems) = (Vec::new(), Vec::new());
        for version in [IpVersion::V4, IpVersion::V6] {
            for rule in self.our_rules(version.clone()).await {
                match self.handle.rule().del(rule).execute().await {
                    Ok(()) => removed.push(format!("rule to table {MARKED_TABLE}")),
                    Err(error) => {
                        problems.push(format!("rule {MARKED_TABLE}: {}", io_error(error)))
                    }
                }
            }
            for route in self.our_routes(&version).await {
                let name = destination(&route);
                match self.handle.route().del(route).execute().await {
                    Ok(()) => removed.push(name),
                    Err(error) => problems.push(format!("{name}: {}", io_error(error))),
                }
            }
        }
        (removed, problems)
    }

    // A family that is switched off has nothing of ours: errors of the dumps mean that.
    async fn our_rules(&self, version: IpVersion) -> Vec<RuleMessage> {
        let rules: Vec<_> =
            self.handle.rule().get(version).execute().try_collect().await.unwrap_or_default();
        let ours = |rule: &RuleMessage| {
            rule.attributes.contains(&RuleAttribute::Protocol(OURS))
                && rule.attributes.contains(&RuleAttribute::Table(MARKED_TABLE))
        };
        rules.into_iter().filter(ours).collect()
    }

    async fn our_routes(&self, version: &IpVersion) -> Vec<RouteMessage> {
        let mut every = RouteMessage::default();
        every.header.address_family = match version {
            IpVersion::V4 => AddressFamily::Inet,
            IpVersion::V6 => AddressFamily::Inet6,
        };
        let routes: Vec<_> =
            self.handle.route().get(every).execute().try_collect().await.unwrap_or_default();
        routes.into_iter().filter(|route| route.header.protocol == OURS).collect()
    }
}

fn route(entry: &Entry) -> io::Result<RouteMessage> {
    let to = |to: &Prefix| {
        let builder = RouteMessageBuilder::<IpAddr>::new().protocol(OURS);
        builder.destination_prefix(to.base, to.length).map_err(io::Error::other)
    };
    let local =
        |prefix: &Prefix| Ok::<_, io::Error>(over_loopback(to(prefix)?).kind(RouteType::Local));
    let builder = match entry {
        Entry::Loopback { to: prefix, source } => {
            over_loopback(to(prefix)?).pref_source(*source).map_err(io::Error::other)?
        }
        Entry::Unreachable { to: prefix } => to(prefix)?.kind(RouteType::Unreachable),
        Entry::Local { to: prefix } => local(prefix)?.scope(RouteScope::Host),
        Entry::Marked { family, .. } => {
            let base = match family {
                Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
                Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
            };
            local(&Prefix { base, length: 0 })?.scope(RouteScope::Host).table_id(MARKED_TABLE)
        }
    };
    Ok(builder.build())
}

fn over_loopback(builder: RouteMessageBuilder<IpAddr>) -> RouteMessageBuilder<IpAddr> {
    /// Index of `lo` in every network namespace.
    const LOOPBACK: u32 = 1;
    builder.output_interface(LOOPBACK)
}

fn marked_rule(family: Family, mark: u32, mask: u32) -> RuleMessage {
    let mut rule = RuleMessage::default();
    rule.header.family = match family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    };
    rule.header.action = RuleAction::ToTable;
    rule.attributes = vec![
        RuleAttribute::FwMark(mark),
        RuleAttribute::FwMask(mask),
        RuleAttribute::Priority(MARKED_TABLE),
        RuleAttribute::Table(MARKED_TABLE),
        RuleAttribute::Protocol(OURS),
    ];
    rule
}

fn destination(route: &RouteMessage) -> String {
    use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute};
    let address = route.attributes.iter().find_map(|attribute| {
        if let RouteAttribute::Destination(RouteAddress::Inet(ip)) = attribute {
            Some(ip.to_string())
        } else if let RouteAttribute::Destination(RouteAddress::Inet6(ip)) = attribute {
            Some(ip.to_string())
        } else {
            None
        }
    });
    let address = address.unwrap_or_else(|| "default".to_owned());
    format!("route {address}/{}", route.header.destination_prefix_length)
}

pub(super) fn io_error(error: rtnetlink::Error) -> io::Error {
    if let rtnetlink::Error::NetlinkError(error) = error {
        return error.to_io();
    }
    io::Error::other(error.to_string())
}

/// `false`: it was there already.
fn is_new(added: Result<(), rtnetlink::Error>) -> io::Result<bool> {
    match added.map_err(io_error) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}
