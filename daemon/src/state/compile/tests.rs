use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Value, json};

use super::*;
use crate::model::{Bound, Compat, Declared, Health, HealthCheck, Place, Transport};
use crate::state::{Backend, PathMatch, Service, Split, Target};

#[test]
fn a_service_is_the_union_of_manifest_and_claims() {
    let mut mesh = Mesh::default();
    mesh.service(
        "web",
        json!({"ports": [{"port": 80, "protocol": "http"}], "endpoints": [
            {"node": "n1", "address": "127.0.0.1", "port": 8080, "subset": "v1"},
            {"node": "n2", "address": "10.0.0.12", "port": 8080, "subset": "v1"},
        ]}),
    );
    mesh.claim("web", 80, "127.0.0.1:8080", "claimed-too");
    mesh.claim("web", 80, "127.0.0.1:8081", "v2");
    let snapshot = mesh.compile();
    let web = &snapshot.services[0];
    assert_eq!(web.ports.len(), 1);
    assert_eq!(web.ports[0].protocol, Declared::Http);
    assert_eq!(
        subsets(&snapshot, web),
        "- 127.0.0.1:8080 127.0.0.1:8081 10.0.0.12:8080; \
        v1 127.0.0.1:8080 10.0.0.12:8080; v2 127.0.0.1:8081"
    );
}

// covers: X-036, ROUTE-15
#[test]
fn labels_choose_subsets_and_losing_the_label_leaves_them() {
    let mut mesh = Mesh::default();
    let spec = |labels: Value| {
        json!({"subsets": [{"name": "canary", "labels": {"track": "canary"}}], "endpoints": [
            {"address": "10.0.0.1", "port": 80, "subset": "v1"},
            {"address": "10.0.0.2", "port": 80, "subset": "v2", "labels": labels},
        ]})
    };
    mesh.service("web", spec(json!({"track": "canary"})));
    let snapshot = mesh.compile();
    let tagged = "- 10.0.0.1:80 10.0.0.2:80; canary 10.0.0.2:80; v1 10.0.0.1:80; v2 10.0.0.2:80";
    assert_eq!(subsets(&snapshot, &snapshot.services[0]), tagged);
    mesh.objects.clear();
    mesh.service("web", spec(json!({})));
    let snapshot = mesh.compile();
    let untagged = "- 10.0.0.1:80 10.0.0.2:80; canary; v1 10.0.0.1:80; v2 10.0.0.2:80";
    assert_eq!(subsets(&snapshot, &snapshot.services[0]), untagged);
}

#[test]
fn captured_addresses_are_vips_and_real_addresses() {
    let mut mesh = Mesh::default();
    mesh.claim("web", 80, "127.0.0.1:8080", "");
    mesh.claim("db", 5432, "127.0.0.1:8081", "");
    mesh.service(
        "far",
        json!({"endpoints": [
            {"node": "n2", "address": "127.0.0.1", "port": 9000},
            {"node": "n2", "address": "10.0.0.2", "port": 9000},
            {"node": "n1", "address": "10.0.0.1", "port": 8081},
        ]}),
    );
    let snapshot = mesh.compile();
    let web = &snapshot.services[snapshot.by_name[&ServiceName::new("", "web")]];
    let name = |address: &str| {
        let destination = snapshot.destinations.get(&Place::tcp(address.parse().unwrap()));
        destination.map(|to| (snapshot.services[to.service].name.name.as_str(), to.target))
    };
    assert_eq!(name(&format!("{}:80", web.vip4)), Some(("web", Target::Vip)));
    assert_eq!(name(&format!("[{}]:80", web.vip6)), Some(("web", Target::Vip)));
    assert_eq!(name(&format!("{}:81", web.vip4)), None);
    assert_eq!(name("127.0.0.1:8080").unwrap().0, "web");
    assert_eq!(name("10.0.0.1:8080").unwrap().0, "web");
    assert_eq!(name("[fd00::1]:8080").unwrap().0, "web");
    assert_eq!(name("[::1]:8080").unwrap().0, "web", "localhost is this one first");
    assert_eq!(name("10.0.0.1:8081").unwrap().0, "far", "exact beats derived");
    assert_eq!(name("10.0.0.2:9000").unwrap().0, "far");
    assert_eq!(name("127.0.0.1:9000"), None, "another node's loopback is not ours");
}

// covers: L4-08
#[test]
fn one_address_may_serve_datagrams_of_one_service_and_connections_of_another() {
    let mut mesh = Mesh::default();
    mesh.claim("dns-tcp", 53, "127.0.0.1:5353", "");
    let endpoints = json!([{"address": "127.0.0.1", "port": 5353}]);
    mesh.service(
        "dns",
        json!({"ports": [{"port": 53, "protocol": "udp"}], "endpoints": endpoints}),
    );
    let snapshot = mesh.compile();
    let dns = &snapshot.services[snapshot.by_name[&ServiceName::new("", "dns")]];
    let name = |place: Place| {
        let destination = snapshot.destinations.get(&place);
        destination.map(|to| snapshot.services[to.service].name.name.as_str())
    };
    let [vip, own] = [format!("{}:53", dns.vip4), "127.0.0.1:5353".to_owned()];
    let [vip, own] = [vip, own].map(|address| address.parse().unwrap());
    assert_eq!((name(Place::udp(vip)), name(Place::tcp(vip))), (Some("dns"), None));
    assert_eq!((name(Place::udp(own)), name(Place::tcp(own))), (Some("dns"), Some("dns-tcp")));
    let [one, other] = [&snapshot.endpoints[0], &snapshot.endpoints[1]];
    assert_ne!(one.id, other.id, "pools and metrics would mix them up");
}

#[test]
fn an_unreachable_endpoint_is_shown_and_never_picked() {
    let mut mesh = Mesh::default();
    mesh.service("far", json!({"endpoints": [{"node": "n2", "address": "::1", "port": 9000}]}));
    let snapshot = mesh.compile();
    assert_eq!(snapshot.endpoints[0].live.health(), Health::Unhealthy);
    assert_eq!(subsets(&snapshot, &snapshot.services[0]), "-");
}

// covers: ROUTE-03
#[test]
fn without_a_route_everything_goes_to_the_service_and_with_one_only_what_matches() {
    let mut mesh = Mesh::default();
    mesh.claim("web", 80, "127.0.0.1:8080", "");
    let snapshot = mesh.compile();
    assert_eq!(rules(&snapshot, "web"), ["#0 *"]);
    assert_eq!(snapshot.services[0].ports[0].http.rules[0].split.backends[0].weight, 1);
    mesh.route("web", json!({"rules": [{"matches": [{"path": {"value": "/a"}}], "backendRefs": [{"name": "web"}]}]}));
    assert_eq!(rules(&mesh.compile(), "web"), ["#1 /a"]);
}

// covers: ROUTE-04, ROUTE-08
#[test]
fn rules_are_tried_in_the_order_of_the_gateway_api() {
    let mut mesh = Mesh::default();
    mesh.claim("web", 80, "127.0.0.1:8080", "");
    let rule = |matches: Value| json!({"matches": matches, "backendRefs": [{"name": "web"}]});
    let rules_json = json!({"rules": [
        rule(json!([])),
        rule(json!([{"path": {"type": "RegularExpression", "value": "/.*"}}])),
        rule(json!([{"path": {"value": "/api/"}}])),
        rule(json!([{"path": {"value": "/api/users"}}])),
        rule(json!([{"path": {"value": "/api/users"}, "headers": [{"name": "A", "value": "1"}]}])),
        rule(json!([{"path": {"value": "/api/users"}, "method": "GET"}])),
        rule(json!([{"path": {"type": "Exact", "value": "/api"}}, {"method": "PUT"}])),
        rule(json!([{"path": {"value": "/api/users"}, "queryParams": [{"name": "q", "value": "1"}]}])),
    ]});
    mesh.route("web", rules_json);
    let expected = [
        "#7 =/api",
        "#6 /api/users",
        "#5 /api/users",
        "#8 /api/users",
        "#4 /api/users",
        "#3 /api",
        "#2 ~/.*",
        "#7 *",
        "#1 *",
    ];
    assert_eq!(rules(&mesh.compile(), "web"), expected);

    let host = |hosts: Value| json!({"hostnames": hosts, "rules": [rule(json!([]))]});
    mesh.route("b", host(json!(["*.a.test", "x.a.test"])));
    mesh.route("c", host(json!(["*.x.a.test"])));
    let with_hosts = rules(&mesh.compile(), "web");
    assert_eq!(with_hosts[..3], ["#1 x.a.test *", "#1 *.x.a.test *", "#1 *.a.test *"]);
}

// covers: X-045
#[test]
fn tcp_takes_the_tcp_route_else_the_rule_without_conditions() {
    let mut mesh = Mesh::default();
    mesh.claim("db", 5432, "127.0.0.1:1", "v1");
    mesh.claim("db", 5432, "127.0.0.1:2", "v2");
    let split = |a: u32, b: u32| {
        json!({"rules": [{"backendRefs": [
            {"name": "db", "subset": "v1", "weight": a}, {"name": "db", "subset": "v2", "weight": b},
        ]}]})
    };
    assert_eq!(weights(&mesh.compile().services[0].ports[0].tcp), [(0, 1)]);
    mesh.route("db", split(90, 10));
    assert_eq!(weights(&mesh.compile().services[0].ports[0].tcp), [(1, 90), (2, 10)]);
    mesh.object("TCPRoute", "db", attached("db", split(80, 20)));
    assert_eq!(weights(&mesh.compile().services[0].ports[0].tcp), [(1, 80), (2, 20)]);
}

#[test]
fn backends_that_nobody_declared_keep_their_share_and_have_no_endpoint() {
    let mut mesh = Mesh::default();
    mesh.claim("web", 80, "127.0.0.1:8080", "");
    mesh.route(
        "web",
        json!({"rules": [{"backendRefs": [
            {"name": "web", "subset": "v9"}, {"name": "nobody"}, {"name": "web", "port": 99},
        ]}]}),
    );
    let snapshot = mesh.compile();
    let split = &snapshot.services[1].ports[0].http.rules[0].split;
    let takes = |to: &Backend| {
        let endpoints = &snapshot.services[to.service].subsets[to.subset].endpoints;
        endpoints.iter().filter(|&&at| snapshot.endpoints[at].port == to.port).count()
    };
    assert_eq!(split.backends.iter().map(takes).collect::<Vec<_>>(), [0, 0, 0]);
    assert_eq!(snapshot.by_name.len(), 1);
    assert_eq!(snapshot.services[0].vip4, Ipv4Addr::UNSPECIFIED);
    assert!(snapshot.services[0].ports.is_empty());
}

#[test]
fn a_route_on_a_gateway_or_on_another_port_has_no_effect() {
    let mut mesh = Mesh::default();
    mesh.claim("web", 80, "127.0.0.1:8080", "");
    let rules_json = json!([{"backendRefs": [{"name": "web"}]}]);
    let elsewhere = json!([{"backendRefs": [{"name": "nobody"}]}]);
    mesh.object("HTTPRoute", "a", json!({"parentRefs": [{"name": "web"}], "rules": elsewhere}));
    let parent = json!([{"kind": "Service", "name": "web", "port": 81}]);
    mesh.object("HTTPRoute", "b", json!({"parentRefs": parent, "rules": rules_json}));
    let snapshot = mesh.compile();
    assert_eq!(rules(&snapshot, "web"), ["#0 *"]);
    assert_eq!(snapshot.services.len(), 1);
}

#[test]
fn what_stays_keeps_ids_slots_address_and_live_state() {
    let mut mesh = Mesh::default();
    for (service, address, subset) in
        [("m", "127.0.0.1:1", "v1"), ("m", "127.0.0.1:2", "v2"), ("z", "127.0.0.1:3", "")]
    {
        mesh.claim(service, 80, address, subset);
    }
    mesh.route("m", json!({"rules": [{"backendRefs": [{"name": "m", "subset": "v2"}]}]}));
    let before = mesh.compile();
    mesh.claim("a", 80, "127.0.0.1:4", "");
    mesh.claim("m", 80, "127.0.0.1:0", "v0");
    mesh.claims.retain(|claim| claim.address.port() != 3);
    let after = mesh.compile_after(&before);
    let (old, new) = (&before.services[0], &after.services[1]);
    assert_eq!((old.id, old.vip4, old.vip6), (new.id, new.vip4, new.vip6));
    let slot = |service: &Service, name: &str| {
        service.subsets.iter().find(|subset| subset.name == name).unwrap().slot
    };
    for name in ["", "v1", "v2"] {
        assert_eq!(slot(old, name), slot(new, name), "{name}");
    }
    let split = |service: &Service| {
        let port = &service.ports[0];
        (port.http.rules[0].split.slot, port.tcp.slot)
    };
    assert_eq!(split(old), split(new));
    assert!(slot(new, "v0") >= before.slots);
    let find = |snapshot: &Snapshot, port: u16| {
        let found = snapshot.endpoints.iter().find(|e| e.address.port() == port).unwrap();
        (found.id, Arc::clone(&found.live))
    };
    assert_eq!(find(&before, 2).0, find(&after, 2).0);
    assert!(Arc::ptr_eq(&find(&before, 2).1, &find(&after, 2).1));
    settle(&before, &after);
    assert!(find(&before, 3).1.gone.load(Relaxed));
    assert!(!find(&before, 2).1.gone.load(Relaxed));
}

// covers: HEALTH-13
#[test]
fn health_starts_as_declared_and_starts_over_when_a_check_comes_or_goes() {
    let mut mesh = Mesh::default();
    let endpoints = json!([{"address": "10.0.0.1", "port": 80}]);
    let mut health = |check: Value, previous: &Snapshot| {
        mesh.objects.clear();
        mesh.service("web", json!({"health": check, "endpoints": endpoints}));
        let next = mesh.compile_after(previous);
        settle(previous, &next);
        (next.endpoints[0].live.health(), next)
    };
    let (unchecked, none) = health(Value::Null, &Snapshot::default());
    let (unknown, checked) = health(json!({"http": "/h"}), &none);
    checked.endpoints[0].live.set_health(Health::Unhealthy);
    let (still, same) = health(json!({"tcp": true}), &checked);
    let (again, _) = health(Value::Null, &same);
    let (healthy, _) = health(json!({"tcp": true, "initial": "healthy"}), &Snapshot::default());
    assert_eq!(
        [unchecked, unknown, still, again, healthy],
        [Health::Unchecked, Health::Unknown, Health::Unhealthy, Health::Unchecked, Health::Healthy]
    );
}

/// What is declared, and the snapshot it gives.
// covers: X-073
#[test]
fn an_endpoint_keeps_its_number_and_a_new_one_gets_the_lowest_free() {
    let mut mesh = Mesh::default();
    mesh.claim("web", 80, "127.0.0.1:8080", "");
    mesh.claim("web", 80, "127.0.0.1:8081", "");
    let first = mesh.compile();
    assert_eq!(instances(&first), "0=127.0.0.1:8080 1=127.0.0.1:8081");
    mesh.claims.remove(0);
    let second = mesh.compile_after(&first);
    assert_eq!(instances(&second), "1=127.0.0.1:8081");
    mesh.claim("web", 80, "127.0.0.1:9000", "");
    let third = mesh.compile_after(&second);
    assert_eq!(instances(&third), "0=127.0.0.1:9000 1=127.0.0.1:8081");
    let kept = |snapshot: &Snapshot| snapshot.instances[&(0, 1)].vip4;
    assert_eq!(kept(&third), kept(&first));
    let own = Place::tcp((kept(&third), 80).into());
    let endpoint = third.instances[&(0, 1)].endpoint;
    assert_eq!(third.destinations[&own].target, Target::Endpoint(endpoint));
}

#[test]
fn only_bound_endpoints_take_what_comes_in() {
    let mut mesh = Mesh::default();
    mesh.claim("web", 80, "127.0.0.1:8080", "");
    assert!(mesh.compile().inbound.is_empty());
    mesh.claims[0].bound = Some(Bound::Run("run-1".to_owned()));
    assert_eq!(mesh.compile().inbound[&(Transport::Tcp, 8080)].endpoint, 0);
}

/// "number=address …" of the first service.
fn instances(snapshot: &Snapshot) -> String {
    let mut all: Vec<_> = snapshot.instances.iter().collect();
    all.sort_by_key(|(number, _)| **number);
    let text = all.into_iter().map(|((_, number), instance)| {
        format!("{number}={}", snapshot.endpoints[instance.endpoint].address)
    });
    text.collect::<Vec<_>>().join(" ")
}

#[derive(Default)]
struct Mesh {
    objects: Vec<Object>,
    claims: Vec<Claim>,
    names: Interner,
}

impl Mesh {
    fn object(&mut self, kind: &str, name: &str, spec: Value) {
        let mut json = json!({"kind": kind, "metadata": {"name": name}});
        json["spec"] = spec;
        self.objects.push(Object::from_json(json).unwrap());
    }

    fn service(&mut self, name: &str, spec: Value) {
        self.object("Service", name, spec);
    }

    /// A route of this name on the service `web`, or on the service of this name.
    fn route(&mut self, name: &str, spec: Value) {
        let parent = if name.len() == 1 && name != "m" { "web" } else { name };
        self.object("HTTPRoute", name, attached(parent, spec));
    }

    fn claim(&mut self, service: &str, port: u16, address: &str, subset: &str) {
        self.claims.push(Claim {
            service: ServiceName::new("", service),
            port,
            protocol: Declared::Detect,
            address: address.parse().unwrap(),
            subset: subset.to_owned(),
            weight: 1,
            labels: Default::default(),
            health: None::<HealthCheck>,
            compat: Compat::Strict,
            owner_uid: 0,
            bound: None,
        });
    }

    fn compile(&self) -> Snapshot {
        self.compile_after(&Snapshot::default())
    }

    fn compile_after(&self, previous: &Snapshot) -> Snapshot {
        let base6 = "fd6d:6573:6800::".parse().unwrap();
        let addresses = ["10.0.0.1", "fd00::1", "::1"].map(|own| own.parse().unwrap());
        compile(&Inputs {
            revision: 1,
            generation: 1,
            objects: self.objects.iter().collect(),
            claims: self.claims.iter().collect(),
            strict: false,
            bypassed: Vec::new(),
            workloads: Arc::default(),
            gates: Default::default(),
            node: "n1",
            addresses: &addresses,
            vips: Vips { base4: Ipv4Addr::new(240, 0, 0, 0), prefix4: 16, base6 },
            names: &self.names,
            previous,
        })
        .unwrap()
    }
}

fn attached(service: &str, mut spec: Value) -> Value {
    spec["parentRefs"] = json!([{"kind": "Service", "name": service}]);
    spec
}

/// "- all endpoints; subset its endpoints; …"
fn subsets(snapshot: &Snapshot, service: &Service) -> String {
    let subset = |subset: &crate::state::Subset| {
        let name = if subset.name.is_empty() { "-" } else { subset.name.as_str() };
        let addresses = subset.endpoints.iter().map(|&at| snapshot.endpoints[at].address);
        addresses.fold(name.to_owned(), |text, address| format!("{text} {address}"))
    };
    service.subsets.iter().map(subset).collect::<Vec<_>>().join("; ")
}

/// "#number [host] path" of every rule on the first port, in order.
fn rules(snapshot: &Snapshot, service: &str) -> Vec<String> {
    let service = &snapshot.services[snapshot.by_name[&ServiceName::new("", service)]];
    let rule = |rule: &crate::state::HttpRule| {
        let path = match &rule.matches.path {
            None => "*".to_owned(),
            Some(PathMatch::Exact(path)) => format!("={path}"),
            Some(PathMatch::Prefix(path)) => path.clone(),
            Some(PathMatch::Regex(path)) => {
                format!("~{}", path.as_str().trim_start_matches(r"\A(?:").trim_end_matches(r")\z"))
            }
        };
        let host = rule.hostnames.first().map(|host| format!("{host} ")).unwrap_or_default();
        format!("#{} {host}{path}", rule.number)
    };
    service.ports[0].http.rules.iter().map(rule).collect()
}

fn weights(split: &Split) -> Vec<(usize, u32)> {
    split.backends.iter().map(|backend| (backend.subset, backend.weight)).collect()
}
