//! A decision record with names in place of numbers.

use std::time::{Duration, UNIX_EPOCH};

use mesh_proto::v1;

use super::steps::steps;
use crate::config::Identity;
use crate::record::{Entry, Kind, Pick, Reason, Source, unpadded};
use crate::state::{HttpRule, Interner, Matches, PathMatch, Snapshot, StrMatch};

/// What names are looked up in. Decisions were made with the snapshot of their time; what has
/// gone since is shown without its details.
pub(super) struct Show<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) names: &'a Interner,
    pub(super) identity: &'a Identity,
    pub(super) cgroup: &'a str,
}

impl Show<'_> {
    pub(super) fn record(&self, entry: &Entry) -> v1::Record {
        let record = &entry.record;
        let is_dns = record.kind == Kind::Dns;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let route = self.route(entry);
        let endpoint = record.pick.map(|pick| self.endpoint(&pick));
        let details = self.details(entry, &route, endpoint.as_ref());
        v1::Record {
            kind: kind(record.kind).into(),
            id: format!("{:x}-{:x}", record.start, record.span),
            trace_id: entry.trace_id().unwrap_or_default(),
            span_id: if record.span == 0 { String::new() } else { format!("{:016x}", record.span) },
            start: Some((UNIX_EPOCH + Duration::from_nanos(record.start)).into()),
            node: self.identity.node.clone(),
            source: Some(self.source(&record.source)),
            destination: record.destination.to_string(),
            service: self.name(record.service),
            protocol: entry.protocol().to_owned(),
            method: entry.method().into_owned(),
            host: text(&entry.host),
            path: if is_dns { String::new() } else { text(entry.path()) },
            status: record.status.into(),
            flag: record.flag.code().to_owned(),
            flag_reason: record.flag.reason().to_owned(),
            route: Some(route),
            endpoint,
            tries: record.tries.into(),
            bytes_sent: record.sent,
            bytes_received: record.received,
            steps: steps(entry, details),
            duration_us: record.steps.total() / 1000,
            generation: record.generation,
            request_id: entry.request_id().unwrap_or_default(),
            answer: if is_dns { text(&entry.path) } else { String::new() },
        }
    }

    fn source(&self, source: &Source) -> v1::Source {
        let service = self.name(source.service);
        let (namespace, name) = service.split_once('/').unwrap_or(("default", &service));
        let identity = match name {
            "" => String::new(),
            name => format!("spiffe://{}/ns/{namespace}/svc/{name}", self.identity.trust_domain),
        };
        let run = unpadded(&source.run);
        v1::Source {
            identity,
            pid: i32::try_from(source.pid).unwrap_or_default(),
            process: unpadded(&source.process),
            uid: source.uid,
            cgroup: match run.as_str() {
                "" => String::new(),
                run => format!("{}/{run}.scope", self.cgroup),
            },
            run,
            address: source.address.to_string(),
            service,
        }
    }

    fn route(&self, entry: &Entry) -> v1::RouteDecision {
        let record = &entry.record;
        let taken = |rule: &&HttpRule| {
            record.rule != 0 && rule.route == record.route && rule.number == record.rule
        };
        let services = self.snapshot.services.iter();
        let service = services.clone().find(|service| service.id == record.service);
        let rules = service.into_iter().flat_map(|service| &service.ports);
        let rules = rules.flat_map(|port| &port.http.rules).filter(taken);
        let mut matches: Vec<String> = rules.map(|rule| conditions(&rule.matches)).collect();
        matches.dedup();
        v1::RouteDecision {
            route: self.name(record.route),
            rule: record.rule.into(),
            rules: record.rules.into(),
            r#match: matches.join(" or "),
        }
    }

    fn endpoint(&self, pick: &Pick) -> v1::EndpointDecision {
        let mut endpoints = self.snapshot.endpoints.iter();
        let known = endpoints.find(|endpoint| endpoint.id == pick.endpoint);
        let (ready, of) = (pick.ready, pick.of);
        let reason = match pick.reason {
            Reason::RoundRobin => format!("wrr {ready} of {of} ready"),
            Reason::OwnAddress => "own address".to_owned(),
            Reason::Panic => format!("none of {of} ready, all tried"),
            Reason::Retry => format!("retry, {ready} of {of} ready"),
        };
        v1::EndpointDecision {
            service: self.name(pick.service),
            subset: self.name(pick.subset),
            node: known.map_or_else(|| self.identity.node.clone(), |known| known.node.clone()),
            address: pick.address.to_string(),
            reason,
            ready: ready.into(),
            reused: pick.reused,
        }
    }

    /// What there is to say about each step, in the steps' order.
    fn details(
        &self,
        entry: &Entry,
        route: &v1::RouteDecision,
        endpoint: Option<&v1::EndpointDecision>,
    ) -> [String; 7] {
        let record = &entry.record;
        if record.kind == Kind::Dns {
            return Default::default();
        }
        let capture = match (record.source.pid, record.steps.capture) {
            (0, _) | (_, 0) => String::new(),
            (pid, _) => self.caller(pid, &record.source),
        };
        let connect = match (endpoint, record.tries) {
            (None, _) => String::new(),
            (Some(chosen), _) if chosen.reused => "reused connection".to_owned(),
            (Some(_), 0 | 1) => "new connection".to_owned(),
            (Some(_), tries) => format!("new connection, try {tries}"),
        };
        let app = match record.status {
            0 => String::new(),
            status => status.to_string(),
        };
        let response = match record.flag.code() {
            "" => format!("{} bytes", record.sent),
            code => format!("{code}: {}", record.flag.reason()),
        };
        let route = rule(route);
        let balance = endpoint.map(choice).unwrap_or_default();
        [capture, String::new(), route, balance, connect, app, response]
    }

    fn caller(&self, pid: u32, source: &Source) -> String {
        let (process, run) = (unpadded(&source.process), unpadded(&source.run));
        let mut text = format!("pid {pid} {process}, uid {}", source.uid);
        for (before, value) in [(", as ", self.name(source.service)), (", ", run)] {
            if !value.is_empty() {
                text.push_str(before);
                text.push_str(&value);
            }
        }
        text
    }

    /// Empty for "none".
    fn name(&self, id: u32) -> String {
        if id == Interner::NONE { String::new() } else { self.names.name(id).to_string() }
    }
}

const fn kind(kind: Kind) -> v1::record::Kind {
    match kind {
        Kind::Http => v1::record::Kind::Http,
        Kind::Tcp => v1::record::Kind::Tcp,
        Kind::Dns => v1::record::Kind::Dns,
        Kind::Udp => v1::record::Kind::Udp,
    }
}

/// "route/web rule 1/2: PathPrefix /v2"
fn rule(decision: &v1::RouteDecision) -> String {
    let v1::RouteDecision { route, rule, rules, r#match } = decision;
    match (rule, r#match.as_str()) {
        (0, _) => "default route".to_owned(),
        (rule, "") => format!("{route} rule {rule}/{rules}"),
        (rule, matched) => format!("{route} rule {rule}/{rules}: {matched}"),
    }
}

/// "web, v1 -> n1/127.0.0.1:8080 (wrr 2 of 3 ready)"
fn choice(decision: &v1::EndpointDecision) -> String {
    let v1::EndpointDecision { service, subset, node, address, reason, .. } = decision;
    let subset = if subset.is_empty() { "any subset" } else { subset };
    format!("{service}, {subset} -> {node}/{address} ({reason})")
}

/// "PathPrefix /v2, GET, header x-canary=1"; empty when everything matches.
fn conditions(matches: &Matches) -> String {
    let path = matches.path.iter().map(|path| match path {
        PathMatch::Exact(path) => format!("Exact {path}"),
        PathMatch::Prefix(prefix) if prefix.is_empty() => "PathPrefix /".to_owned(),
        PathMatch::Prefix(prefix) => format!("PathPrefix {prefix}"),
        PathMatch::Regex(pattern) => format!("RegularExpression {pattern}"),
    });
    let method = matches.method.iter().cloned();
    let named = |what: &'static str| {
        move |(name, value): &(String, StrMatch)| match value {
            StrMatch::Exact(value) => format!("{what} {name}={value}"),
            StrMatch::Regex(pattern) => format!("{what} {name}~{pattern}"),
        }
    };
    let headers = matches.headers.iter().map(named("header"));
    let query = matches.query.iter().map(named("query"));
    path.chain(method).chain(headers).chain(query).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Flag, Record, padded};
    use crate::telemetry::testing;

    #[test]
    fn numbers_become_names_and_a_failure_has_its_code_and_reason() {
        let names = Interner::new();
        let snapshot = testing::snapshot(&names);
        let identity = Identity {
            node: "n1".to_owned(),
            mesh: "home".to_owned(),
            trust_domain: "home.mesh".to_owned(),
        };
        let plain = testing::answered(504, 48_600_000);
        let id = |name| names.id(name);
        let pick = plain.pick.map(|pick| Pick { service: id("web"), subset: id("v1"), ..pick });
        let source = Source { service: id("cli"), run: padded(b"run-7f3a"), ..plain.source };
        let service = id("web");
        let record = Record { service, pick, source, flag: Flag::UpstreamTimeout, ..plain };
        let entry = Entry { record, host: b"web.mesh".to_vec(), path: b"/v2/x".to_vec() };
        let show = Show { snapshot: &snapshot, names: &names, identity: &identity, cgroup: "m" };
        let shown = show.record(&entry);
        let source = shown.source.unwrap();
        assert_eq!(source.identity, "spiffe://home.mesh/ns/default/svc/cli");
        assert_eq!((source.cgroup.as_str(), source.process.as_str()), ("m/run-7f3a.scope", "curl"));
        assert_eq!((shown.flag.as_str(), shown.duration_us), ("UT", 48_600));
        let balance = shown.steps.iter().find(|step| step.name == "balance").unwrap();
        assert_eq!(balance.detail, "web, v1 -> n1/127.0.0.1:8080 (wrr 1 of 2 ready)");
    }
}
