//! What a name below `mesh.` stands for.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::op::Query;
use hickory_proto::rr::rdata::{A, AAAA, SRV};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::TTL;
use crate::model::{Declared, ServiceName, Transport};
use crate::state::{Instance, Port, Service, Snapshot};

pub(super) enum Found<'a> {
    Name(Named<'a>),
    /// `_http._tcp` before a name.
    Ports(Named<'a>, Wanted<'a>),
    /// No service, but names below it exist: the zone itself, or a namespace.
    Inside,
    Nothing,
}

/// A service, or one endpoint of it: `web.mesh`, `0.web.mesh`.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    pub(super) service: &'a Service,
    instance: Option<&'a Instance>,
}

/// Which of its ports an SRV question means.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// "http", "80", or the service's own name.
    label: &'a str,
    transport: Transport,
}

pub(super) fn find<'a>(labels: &'a [String], snapshot: &'a Snapshot) -> Found<'a> {
    if let [label, transport, rest @ ..] = labels
        && let Some(label) = label.strip_prefix('_')
    {
        let transport = match transport.as_str() {
            "_tcp" => Transport::Tcp,
            "_udp" => Transport::Udp,
            _ => return Found::Nothing,
        };
        let wanted = Wanted { label, transport };
        return match named(rest, snapshot) {
            Some(named) if named.ports(Some(wanted)).next().is_some() => {
                Found::Ports(named, wanted)
            }
            Some(_) | None => Found::Nothing,
        };
    }
    let is_namespace =
        |label: &String| snapshot.services.iter().any(|service| service.name.namespace == *label);
    match (labels, named(labels, snapshot)) {
        ([], _) => Found::Inside,
        (_, Some(named)) => Found::Name(named),
        ([label], None) if is_namespace(label) => Found::Inside,
        (_, None) => Found::Nothing,
    }
}

fn named<'a>(labels: &[String], snapshot: &'a Snapshot) -> Option<Named<'a>> {
    const DEFAULT: &str = ServiceName::DEFAULT_NAMESPACE;
    let service = |namespace: &str, name: &str| {
        let index = *snapshot.by_name.get(&ServiceName::new(namespace, name))?;
        Some((index, Named { service: snapshot.services.get(index)?, instance: None }))
    };
    let instance = |number: &str, namespace: &str, name: &str| {
        let (index, named) = service(namespace, name)?;
        let instance = snapshot.instances.get(&(index, number.parse().ok()?))?;
        Some(Named { instance: Some(instance), ..named })
    };
    match labels {
        [name] => service(DEFAULT, name).map(|(_, named)| named),
        [first, second] => service(second, first)
            .map(|(_, named)| named)
            .or_else(|| instance(first, DEFAULT, second)),
        [number, name, namespace] => instance(number, namespace, name),
        _ => None,
    }
}

impl<'a> Named<'a> {
    fn addresses(self) -> (Ipv4Addr, Ipv6Addr) {
        match self.instance {
            Some(instance) => (instance.vip4, instance.vip6),
            None => (self.service.vip4, self.service.vip6),
        }
    }

    fn ports(self, wanted: Option<Wanted<'a>>) -> impl Iterator<Item = &'a Port> {
        let name = self.service.name.name.as_str();
        self.service.ports.iter().filter(move |port| {
            wanted.is_none_or(|Wanted { label, transport }| {
                let protocol = match port.protocol {
                    Declared::Http => label == "http",
                    Declared::Grpc => label == "grpc",
                    Declared::Detect | Declared::Tcp | Declared::Udp => false,
                };
                port.protocol.transport() == transport
                    && (protocol || label == name || label.parse() == Ok(port.port))
            })
        })
    }
}

/// Answers, and what whoever asked will ask next.
#[derive(Default)]
pub(super) struct Records {
    pub(super) answers: Vec<Record>,
    pub(super) additional: Vec<Record>,
}

pub(super) fn records(question: &Query, found: &Found<'_>) -> Records {
    let (name, kind) = (question.name(), question.query_type());
    match found {
        Found::Name(named) if kind == RecordType::SRV => services(name, name, *named, None),
        Found::Name(named) => {
            let answers = addresses(name, *named);
            let answers = answers.into_iter().filter(|record| record.record_type() == kind);
            Records { answers: answers.collect(), additional: Vec::new() }
        }
        Found::Ports(named, wanted) if kind == RecordType::SRV => {
            // What is left without its first two labels.
            let target = name.trim_to(usize::from(name.num_labels()).saturating_sub(2));
            services(name, &target, *named, Some(*wanted))
        }
        Found::Ports(..) | Found::Inside | Found::Nothing => Records::default(),
    }
}

fn services(name: &Name, target: &Name, named: Named<'_>, wanted: Option<Wanted<'_>>) -> Records {
    let record = |port: &Port| {
        let data = SRV::new(0, 1, port.port, target.clone());
        Record::from_rdata(name.clone(), TTL, RData::SRV(data))
    };
    let answers: Vec<_> = named.ports(wanted).map(record).collect();
    let additional = if answers.is_empty() { Vec::new() } else { addresses(target, named) };
    Records { answers, additional }
}

fn addresses(name: &Name, named: Named<'_>) -> Vec<Record> {
    let (v4, v6) = named.addresses();
    [RData::A(A(v4)), RData::AAAA(AAAA(v6))]
        .map(|data| Record::from_rdata(name.clone(), TTL, data))
        .into()
}
