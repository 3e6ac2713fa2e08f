//! One example per rule, in the words of `dig`.

use std::collections::HashMap;

use hickory_proto::rr::RecordType;

use super::*;
use crate::model::{Compat, Declared, ServiceName};
use crate::state::{HttpRoute, Instance, Port, Service, Split};

#[test]
fn a_service_has_both_addresses() {
    assert_eq!(dig("web.mesh.", RecordType::A), "240.0.0.7");
    assert_eq!(dig("web.mesh.", RecordType::AAAA), "fd6d:6573:6800::7");
    assert_eq!(dig("web.default.mesh.", RecordType::A), "240.0.0.7");
    assert_eq!(dig("pay.shop.mesh.", RecordType::A), "240.0.0.8");
}

//
#[test]
fn an_endpoint_has_a_name_and_an_address_of_its_own() {
    assert_eq!(dig("1.web.mesh.", RecordType::A), "240.0.0.9");
    assert_eq!(dig("1.web.default.mesh.", RecordType::AAAA), "fd6d:6573:6800::9");
    assert_eq!(dig("2.web.mesh.", RecordType::A), "NXDOMAIN");
    assert_eq!(dig("1.pay.mesh.", RecordType::A), "NXDOMAIN");
}

//
#[test]
fn ports_are_found_by_protocol_number_or_name() {
    assert_eq!(dig("web.mesh.", RecordType::SRV), "web.mesh.:80 web.mesh.:5353");
    assert_eq!(dig("_http._tcp.web.mesh.", RecordType::SRV), "web.mesh.:80");
    assert_eq!(dig("_5353._udp.web.mesh.", RecordType::SRV), "web.mesh.:5353");
    assert_eq!(dig("_web._tcp.1.web.mesh.", RecordType::SRV), "1.web.mesh.:80");
    assert_eq!(dig("_ftp._tcp.web.mesh.", RecordType::SRV), "NXDOMAIN");
    assert_eq!(dig("_http._tcp.web.mesh.", RecordType::A), "NODATA");
    let asked = question("_http._tcp.web.mesh.", RecordType::SRV);
    let Verdict::Answer(answer) = consider(&asked, &snapshot()) else { panic!() };
    let reply = Message::from_vec(&answer.message).unwrap();
    assert_eq!(reply.additionals.len(), 2, "both addresses come along");
}

#[test]
fn letters_have_no_case() {
    assert_eq!(dig("WeB.MeSh.", RecordType::A), "240.0.0.7");
}

#[test]
fn unknown_names_of_the_mesh_do_not_exist_and_are_not_asked_elsewhere() {
    assert_eq!(dig("nope.mesh.", RecordType::A), "NXDOMAIN");
    assert_eq!(dig("pay.mesh.", RecordType::A), "NXDOMAIN");
    assert_eq!(dig("a.web.default.mesh.", RecordType::A), "NXDOMAIN");
}

#[test]
fn what_has_names_below_it_exists_without_data() {
    assert_eq!(dig("mesh.", RecordType::A), "NODATA");
    assert_eq!(dig("shop.mesh.", RecordType::A), "NODATA");
    assert_eq!(dig("web.mesh.", RecordType::TXT), "NODATA");
}

#[test]
fn other_names_are_for_other_resolvers() {
    assert_eq!(dig("example.com.", RecordType::A), "forward example.com.");
    assert_eq!(dig("mesh.example.", RecordType::A), "forward mesh.example.");
    assert_eq!(dig("web.mesh.example.com.", RecordType::A), "forward web.mesh.example.com.");
}

#[test]
fn the_answer_repeats_the_question_as_it_was_written() {
    let asked = question("wEb.mesh.", RecordType::A);
    let Verdict::Answer(answer) = consider(&asked, &snapshot()) else { panic!() };
    let reply = Message::from_vec(&answer.message).unwrap();
    assert_eq!(reply.queries[0].name().to_ascii(), "wEb.mesh.");
    assert_eq!(reply.answers[0].ttl, TTL);
    assert_eq!(reply.metadata.id, 77);
    assert!(reply.metadata.authoritative && reply.metadata.recursion_available);
}

#[test]
fn a_no_says_how_long_it_holds() {
    let asked = question("nope.mesh.", RecordType::A);
    let Verdict::Answer(answer) = consider(&asked, &snapshot()) else { panic!() };
    let reply = Message::from_vec(&answer.message).unwrap();
    assert_eq!(reply.authorities[0].record_type(), RecordType::SOA);
}

#[test]
fn a_failure_is_the_question_with_a_code() {
    let asked = question("example.com.", RecordType::A);
    let Verdict::Forward(question) = consider(&asked, &snapshot()) else { panic!() };
    let reply = Message::from_vec(&question.server_failure(&asked)).unwrap();
    assert_eq!(reply.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(reply.queries[0].name().to_ascii(), "example.com.");
    assert!(question.is_answered_by(&asked, &question.server_failure(&asked)));
    assert!(!question.is_answered_by(&asked, &asked));
}

#[test]
fn what_is_no_question_gets_no_answer() {
    let mut response = question("web.mesh.", RecordType::A);
    response[2] |= 0x80;
    assert!(matches!(consider(&response, &snapshot()), Verdict::Drop));
    assert!(matches!(consider(b"short", &snapshot()), Verdict::Drop));
}

#[test]
fn a_broken_question_is_a_format_error() {
    let mut two = question("web.mesh.", RecordType::A);
    two[5] = 2;
    let mut pointing_at_itself = question("web.mesh.", RecordType::A);
    pointing_at_itself[12..14].copy_from_slice(&[0xc0, 12]);
    for broken in [two, pointing_at_itself] {
        let Verdict::Answer(answer) = consider(&broken, &snapshot()) else { panic!() };
        assert_eq!(answer.text, "FORMERR");
        assert_eq!(answer.message[3] & 0x0f, 1);
    }
}

fn dig(name: &str, kind: RecordType) -> String {
    match consider(&question(name, kind), &snapshot()) {
        Verdict::Answer(answer) => answer.text,
        Verdict::Forward(question) => format!("forward {}", question.name),
        Verdict::Drop => "dropped".to_owned(),
    }
}

fn question(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::new(77, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message.to_vec().unwrap()
}

fn snapshot() -> Snapshot {
    let services = vec![service(7, "default", "web"), service(8, "shop", "pay")];
    let by_name: HashMap<_, _> =
        services.iter().enumerate().map(|(index, service)| (service.name.clone(), index)).collect();
    let (vip4, vip6) = addresses(9);
    let instances = HashMap::from([((0, 1), Instance { endpoint: 0, vip4, vip6 })]);
    Snapshot { services, by_name, instances, ..Snapshot::default() }
}

fn addresses(id: u16) -> (std::net::Ipv4Addr, std::net::Ipv6Addr) {
    let v4 = std::net::Ipv4Addr::from_bits(0xf000_0000 | u32::from(id));
    (v4, std::net::Ipv6Addr::new(0xfd6d, 0x6573, 0x6800, 0, 0, 0, 0, id))
}

fn service(id: u16, namespace: &str, name: &str) -> Service {
    let (vip4, vip6) = addresses(id);
    let port = |port, protocol| {
        let (http, tcp) = (HttpRoute::default(), Split::default());
        Port { port, protocol, http, tcp }
    };
    Service {
        id: u32::from(id),
        name: ServiceName::new(namespace, name),
        vip4,
        vip6,
        compat: Compat::Strict,
        forward: Default::default(),
        inbound: Default::default(),
        bypassed: false,
        ports: vec![port(80, Declared::Http), port(5353, Declared::Udp)],
        subsets: Vec::new(),
    }
}
