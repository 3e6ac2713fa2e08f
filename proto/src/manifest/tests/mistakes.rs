//! Every mistake is named with its place, path and code.

use super::super::{ManifestError, parse};
use crate::v1::Document;

type Row = (String, &'static str);

#[test]
fn structure() {
    check(&[
        ("a: [".to_owned(), "1:4 MESH1100"),
        ("a:\n\tb: 1".to_owned(), "2:2 MESH1100"),
        ("- 1".to_owned(), "1:1 MESH1102"),
        ("text".to_owned(), "1:1 MESH1102"),
        ("kind: Service".to_owned(), "1:1 apiVersion MESH1103"),
        ("apiVersion: mesh/v1\nkind: Servce".to_owned(), "2:7 kind MESH1106"),
        ("apiVersion: v1\nkind: Service".to_owned(), "1:13 apiVersion MESH1106"),
        ("apiVersion: mesh/v1\nkind: Service\nspec: {}".to_owned(), "1:1 metadata MESH1103"),
        (service("  {}\nspec: {}"), "6:1 MESH1110"),
        (service("  ports: &a [*a]"), "5:14 MESH1100"),
        (service("  ports: !list []"), "5:16 MESH1100"),
    ]);
}

#[test]
fn fields() {
    check(&[
        (service("  prots: []"), "5:3 spec.prots MESH1101"),
        (service("  ports: [{port: 80, protcol: http}]"), "5:22 spec.ports[0].protcol MESH1101"),
        (service("  ports: [{protocol: http}]"), "5:11 spec.ports[0].port MESH1103"),
        (service("  ports: {port: 80}"), "5:10 spec.ports MESH1102"),
        (service("  ports: [80]"), "5:11 spec.ports[0] MESH1102"),
    ]);
}

#[test]
fn numbers() {
    check(&[
        (ports("0"), "5:18 spec.ports[0].port MESH1104"),
        (ports("65536"), "5:18 spec.ports[0].port MESH1104"),
        (ports("-1"), "5:18 spec.ports[0].port MESH1104"),
        (ports("18446744073709551616"), "5:18 spec.ports[0].port MESH1104"),
        (ports("http"), "5:18 spec.ports[0].port MESH1102"),
        (ports("\"80\""), "5:18 spec.ports[0].port MESH1102"),
        (ports("8e1"), "5:18 spec.ports[0].port MESH1102"),
        (ports("0o17"), "5:18 spec.ports[0].port MESH1102"),
        (ports("080"), "5:18 spec.ports[0].port MESH1102"),
        (ports("80.0"), "5:18 spec.ports[0].port MESH1102"),
        (weights("-1", "1"), "7:37 spec.rules[0].backendRefs[0].weight MESH1107"),
        (weights("0", "0"), "7:5 spec.rules[0].backendRefs MESH1107"),
        (weights("18446744073709551616", "1"), "7:37 spec.rules[0].backendRefs[0].weight MESH1107"),
        (weights(".nan", "1"), "7:37 spec.rules[0].backendRefs[0].weight MESH1102"),
    ]);
}

#[test]
fn texts_that_are_none() {
    check(&[
        (endpoint("subset: no"), "5:53 spec.endpoints[0].subset MESH1102"),
        (endpoint("subset: 1e3"), "5:53 spec.endpoints[0].subset MESH1102"),
        (endpoint("subset: 22:22"), "5:53 spec.endpoints[0].subset MESH1102"),
        (endpoint("labels: {v: 1.0}"), "5:57 spec.endpoints[0].labels[\"v\"] MESH1102"),
        (endpoint("labels: {\"a b\": c}"), "5:54 spec.endpoints[0].labels MESH1105"),
        (endpoint("subset: V1"), "5:53 spec.endpoints[0].subset MESH1105"),
        (endpoint("subset: \"a\\nb\""), "5:53 spec.endpoints[0].subset MESH1104"),
        (
            service("  endpoints: [{address: web.example, port: 80}]"),
            "5:25 spec.endpoints[0].address MESH1104",
        ),
        (
            service("  endpoints: [{address: 0.0.0.0, port: 80}]"),
            "5:16 spec.endpoints[0].address MESH1104",
        ),
    ]);
}

#[test]
fn services() {
    check(&[
        (service("  ports: [{port: 80}, {port: 80}]"), "5:24 spec.ports[1].port MESH1110"),
        (
            service("  ports: [{port: 80}, {port: 81}]\n  endpoints: [{address: ::1, port: 90}]"),
            "6:15 spec.endpoints[0].servicePort MESH1103",
        ),
        (service("  ports: [{port: 80, protocol: https}]"), "5:32 spec.ports[0].protocol MESH1104"),
        (service("  subsets: [{name: v1, labels: {}}]"), "5:24 spec.subsets[0].labels MESH1104"),
        (health("ftp"), "5:11 spec.health MESH1104"),
        (health("{http: healthz}"), "5:12 spec.health.http MESH1104"),
        (health("{http: /h, interval: 2}"), "5:32 spec.health.interval MESH1104"),
        (health("{tcp: true, timeout: 0s}"), "5:23 spec.health.timeout MESH1104"),
        (health("{tcp: true, unhealthyAfter: 0}"), "5:39 spec.health.unhealthyAfter MESH1104"),
        (health("{tcp: no}"), "5:17 spec.health.tcp MESH1102"),
    ]);
}

#[test]
fn routes() {
    check(&[
        (route("backendRefs: []"), "7:5 spec.rules[0].backendRefs MESH1103"),
        (route("matches: []"), "7:5 spec.rules[0].backendRefs MESH1103"),
        (
            route(&format!("{TO}\n    filters: [{{type: URLRewrite}}]")),
            "8:15 spec.rules[0].filters[0] MESH1111",
        ),
        (
            route("backendRefs: [{kind: ServiceImport, name: web}]"),
            "7:20 spec.rules[0].backendRefs[0].kind MESH1111",
        ),
        (
            route("backendRefs: [{name: web}, {name: web}]"),
            "7:32 spec.rules[0].backendRefs[1] MESH1110",
        ),
        (route(&format!("{TO}\n    retry: 3@2xx")), "8:12 spec.rules[0].retry MESH1104"),
        (
            route(&format!("{TO}\n    retry: {{codes: [200]}}")),
            "8:21 spec.rules[0].retry.codes[0] MESH1104",
        ),
        (
            route(&format!("{TO}\n    timeouts: {{request: 1s, backendRequest: 2s}}")),
            "8:29 spec.rules[0].timeouts.backendRequest MESH1104",
        ),
    ]);
}

#[test]
fn conditions() {
    check(&[
        (matches("{method: FETCH}"), "7:24 spec.rules[0].matches[0].method MESH1104"),
        (matches("{path: {value: api}}"), "7:23 spec.rules[0].matches[0].path.value MESH1104"),
        (matches("{path: {value: /a/../b}}"), "7:23 spec.rules[0].matches[0].path.value MESH1104"),
        (
            matches("{path: {type: RegularExpression, value: \"(\"}}"),
            "7:48 spec.rules[0].matches[0].path.value MESH1108",
        ),
        (
            matches("{path: {type: RegularExpression, value: \"(?=a)\"}}"),
            "7:48 spec.rules[0].matches[0].path.value MESH1108",
        ),
        (
            matches("{headers: [{name: \"a b\", value: c}]}"),
            "7:27 spec.rules[0].matches[0].headers[0].name MESH1105",
        ),
        (
            matches("{headers: [{name: A, value: c}, {name: a, value: d}]}"),
            "7:48 spec.rules[0].matches[0].headers[1].name MESH1110",
        ),
    ]);
}

const TO: &str = "backendRefs: [{name: web}]";

fn service(spec: &str) -> String {
    format!("apiVersion: mesh/v1\nkind: Service\nmetadata: {{name: web}}\nspec:\n{spec}")
}

fn ports(port: &str) -> String {
    service(&format!("  ports: [{{port: {port}}}]"))
}

fn health(health: &str) -> String {
    service(&format!("  health: {health}"))
}

fn endpoint(fields: &str) -> String {
    service(&format!("  endpoints: [{{address: 10.0.0.1, port: 80, {fields}}}]"))
}

fn route(rule: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: web}}\n\
         spec:\n  parentRefs: [{{kind: Service, name: web}}]\n  rules:\n  - {rule}"
    )
}

fn matches(one: &str) -> String {
    route(&format!("matches: [{one}]\n    {TO}"))
}

fn weights(a: &str, b: &str) -> String {
    route(&format!("backendRefs: [{{name: a, weight: {a}}}, {{name: b, weight: {b}}}]"))
}

/// Each row: a text with one mistake, and what is said about it.
fn check(rows: &[Row]) {
    let mut wrong = String::new();
    for (text, expected) in rows {
        let document = Document { file: "mesh.yaml".to_owned(), text: text.clone() };
        let found: Vec<String> = match parse(&[document]) {
            Ok(_) => vec!["accepted".to_owned()],
            Err(errors) => errors.iter().map(summary).collect(),
        };
        if found != [*expected] {
            wrong.push_str(&format!("{text}\n  expected {expected}, found {found:?}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// `line:column path code`; every error says why and what to do.
fn summary(error: &ManifestError) -> String {
    let ManifestError { line, column, path, code, message, why, hint, .. } = error;
    assert!(!message.is_empty() && !why.is_empty() && !hint.is_empty(), "{error:?}");
    let space = if path.is_empty() { "" } else { " " };
    format!("{line}:{column} {path}{space}{}", code.code)
}
