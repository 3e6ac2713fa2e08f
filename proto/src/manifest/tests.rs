//! What the manifest as a whole promises: errors name their place, and printing round-trips.

mod mistakes;
mod round_trip;

use super::*;
use crate::v1::Document;

const SHOP: &str = r#"
apiVersion: mesh/v1
kind: Service
metadata: {name: web, labels: {team: shop}}
spec:
  ports: [{port: 80, protocol: http}]
  health: {http: /healthz, interval: 2s, unhealthyAfter: 3}
  endpoints:
  - {node: n1, address: 10.0.0.11, port: 8080, subset: v1}
  - {node: n2, address: 10.0.0.12, port: 8080, subset: v1}
  - {node: n2, address: 10.0.0.12, port: 9002, subset: v2}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{kind: Service, name: web}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /checkout}}]
    timeouts: {request: 2s}
    retry: {attempts: 2, codes: [500, 502, 503, 504], backoff: 25ms}
    backendRefs: [{name: web}]
  - backendRefs:
    - {name: web, subset: v1, weight: 90}
    - {name: web, subset: v2, weight: 10}
"#;

#[test]
fn the_canonical_text_is_what_people_write() {
    let objects = read(SHOP).unwrap();
    assert_eq!(to_yaml_stream(&objects), SHOP.trim_start());
    let page = include_str!("../../../docs/manifest.md");
    assert!(page.contains(SHOP.trim_start()), "the page shows the same example");
}

#[test]
fn crlf_bom_json_and_lists_mean_the_same() {
    let objects = read(SHOP).unwrap();
    assert_eq!(read(&format!("\u{feff}{}", SHOP.replace('\n', "\r\n"))).unwrap(), objects);
    let json: Vec<_> = objects.iter().map(Object::to_json).collect();
    let list = serde_json::json!({"apiVersion": "mesh/v1", "kind": "List", "items": json});
    assert_eq!(read(&serde_json::to_string_pretty(&list).unwrap()).unwrap(), objects);
    assert_eq!(read(&serde_json::to_string(&list).unwrap()).unwrap(), objects);
    let escaped =
        SHOP.replace("team: shop", r#"team: shop}, annotations: {note: "\ud83d\ude00\/""#);
    assert_eq!(read(&escaped).unwrap()[0].metadata().annotations["note"], "\u{1f600}/");
    let tabs = serde_json::to_string_pretty(&list).unwrap().replace("  ", "\t");
    assert_eq!(read(&tabs).unwrap(), objects);
}

#[test]
fn unknown_words_come_with_what_was_meant() {
    for (text, meant) in [
        ("kind: Servce", "Service"),
        ("kind: HttpRoute", "HTTPRoute"),
        ("kind: Service\nmetdata: {}", "metadata"),
        ("kind: Service\nspec: {endpoint: []}", "endpoints"),
        ("kind: Service\nspec: {compat: lenyent}", "lenient"),
    ] {
        let document =
            Document { file: String::new(), text: format!("apiVersion: mesh/v1\n{text}") };
        let errors = parse(&[document]).unwrap_err();
        let hint = format!("did you mean \"{meant}\"?");
        assert!(errors.iter().any(|error| error.hint == hint), "{text}: {errors:#?}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_and_one_is_enough_to_refuse_everything() {
    let text = format!(
        "{SHOP}---\napiVersion: mesh/v1\nkind: Service\nmetadata: {{name: B}}\nspec: {{x: 1}}"
    );
    let errors = read(&text).unwrap_err();
    assert_eq!(
        errors,
        "mesh.yaml:29:18: metadata.name: \"B\" is no name\n\
         mesh.yaml:30:8: spec.x: unknown field \"x\""
    );
}

#[test]
fn an_object_declared_twice_names_both_places() {
    let one = Document { file: "a.yaml".to_owned(), text: SHOP.to_owned() };
    let two = Document { file: "b.yaml".to_owned(), text: SHOP.to_owned() };
    let errors = parse(&[one, two]).unwrap_err();
    assert_eq!((errors[0].file.as_str(), errors[0].line), ("b.yaml", 2));
    assert_eq!(errors[0].why, "the first is at a.yaml:2:1");
}

// covers: CLI-10
#[test]
fn routes_in_a_circle_are_refused_with_the_circle() {
    let route = |from: &str, to: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {from}}}\n\
             spec: {{parentRefs: [{{kind: Service, name: {from}}}], rules: [{{backendRefs: [{{name: {to}}}]}}]}}\n---\n"
        )
    };
    let circle = [route("web", "pay"), route("pay", "db"), route("db", "web")].concat();
    let errors = read(&circle).unwrap_err();
    assert!(errors.contains("routes lead in a circle: db -> web -> pay -> db"), "{errors}");
    let line = [route("web", "pay"), route("pay", "db"), route("db", "db")].concat();
    read(&line).unwrap();
}

// covers: CLI-03
#[test]
fn bombs_and_towers_are_refused() {
    let code = |text: &str| {
        let document = Document { file: String::new(), text: text.to_owned() };
        let errors = parse(&[document]).unwrap_err();
        (errors[0].line > 0).then_some(errors[0].code.code)
    };
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let below = format!("*a{}", level - 1);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", [below.as_str(); 10].join(", ")));
    }
    assert_eq!(code(&bomb), Some("MESH1109"));
    assert_eq!(code(&"[".repeat(1_000)), Some("MESH1109"));
    assert_eq!(code(&"{a: ".repeat(1_000)), Some("MESH1109"));
    let stairs: String = (0..1_000).map(|at| format!("{}a:\n", " ".repeat(at))).collect();
    assert_eq!(code(&stairs), Some("MESH1109"));
    assert_eq!(code(&"- ".repeat(1_000)), Some("MESH1109"));
    assert_eq!(code(&" ".repeat(17 << 20)), Some("MESH1109"));
    assert_eq!(code("a: \0"), Some("MESH1100"));
}

/// Files of other meshes are kept as they are, and have no effect here.
#[test]
fn a_route_of_the_gateway_api_is_accepted_as_it_is() {
    let text = r#"
# Copyright and comments stay where they are.
apiVersion: gateway.networking.k8s.io/v1beta1
kind: HTTPRoute
metadata:
  name: bar-route
  namespace: infra
  labels:
    gateway: prod-web-gw
  annotations: {"example.com/note": "yes, really"}
spec:
  parentRefs:
  - name: prod-web-gw
    sectionName: https
    group: gateway.networking.k8s.io
    kind: Gateway
  hostnames:
  - "bar.example.com"
  rules:
  - matches:
    - headers:
      - type: Exact
        name: env
        value: canary
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier:
        add: [{name: my-header, value: foo}]
    - type: RequestRedirect
      requestRedirect: {scheme: https, statusCode: 301}
    backendRefs:
    - name: bar-svc-canary
      port: 8080
  - timeouts: {request: 10s, backendRequest: 2s}
    retry: {codes: [500, 502], attempts: 2, backoff: 100ms}
    sessionPersistence: {sessionName: s, type: Cookie}
    backendRefs:
    - {group: "", kind: Service, name: bar-svc, namespace: infra, port: 8080, weight: 1}
"#;
    let objects = read(text).unwrap();
    let Object::HttpRoute(route) = &objects[0] else { panic!() };
    assert!(!route.spec.parent_refs[0].is_service());
    assert_eq!(route.spec.rules[0].filters.len(), 2);
    assert_eq!(read(&to_yaml(&objects[0])).unwrap(), objects);
    let mesh = text
        .replace("kind: Gateway", "kind: Service")
        .replace("gateway.networking.k8s.io\n    kind", "\"\"\n    kind");
    let errors = read(&mesh).unwrap_err();
    assert!(errors.contains("\"RequestHeaderModifier\" filters are not supported"), "{errors}");
    assert!(errors.contains("a service has no sections"), "{errors}");
}

#[test]
fn what_means_the_same_is_equal() {
    let base = read(SHOP).unwrap();
    for (written, same) in [
        (
            "backendRefs: [{name: web}]",
            "backendRefs: [{kind: Service, group: '', name: web, weight: 1}]",
        ),
        ("{kind: Service, name: web}", "{kind: Service, namespace: default, name: web}"),
        ("codes: [500, 502, 503, 504]", "codes: [504, 5xx]"),
        (
            "{http: /healthz, interval: 2s, unhealthyAfter: 3}",
            "{http: /healthz, interval: 2000ms, unhealthyAfter: 3, expect: null}",
        ),
        ("metadata: {name: web}", "metadata: {name: web, namespace: default, generation: 7}"),
    ] {
        assert!(SHOP.contains(written), "{written}");
        assert_eq!(read(&SHOP.replace(written, same)).unwrap(), base, "{same}");
    }
    for (short, long) in [
        ("http:/h", "{http: /h}"),
        ("http", "{http: /health}"),
        ("tcp", "{tcp: true}"),
        ("tcp", "{interval: null}"),
    ] {
        let health = |check: &str| {
            read(&SHOP.replace("{http: /healthz, interval: 2s, unhealthyAfter: 3}", check)).unwrap()
        };
        assert_eq!(health(short), health(long), "{short}");
    }
    let retry = |retry: &str| {
        read(&SHOP.replace("{attempts: 2, codes: [500, 502, 503, 504], backoff: 25ms}", retry))
            .unwrap()
    };
    assert_eq!(retry("3@5xx"), retry("{attempts: 3, codes: [5xx]}"));
    assert_eq!(retry("3"), retry("{attempts: 3}"));
}

/// What a text read as, or its errors as lines.
fn read(text: &str) -> Result<Vec<Object>, String> {
    let document = Document { file: "mesh.yaml".to_owned(), text: text.to_owned() };
    let lines = |errors: Vec<ManifestError>| {
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    parse(&[document]).map_err(lines)
}
