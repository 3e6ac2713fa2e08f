//! What the manifest as a whole promises: errors name their place, and printing round-trips.

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
}

#[test]
fn crlf_bom_json_and_lists_mean_the_same() {
    let objects = read(SHOP).unwrap();
    assert_eq!(read(&format!("\u{feff}{}", SHOP.replace('\n', "\r\n"))).unwrap(), objects);
    let json: Vec<_> = objects.iter().map(Object::to_json).collect();
    let list = serde_json::json!({"apiVersion": "mesh/v1", "kind": "List", "items": json});
    assert_eq!(read(&serde_json::to_string_pretty(&list).unwrap()).unwrap(), objects);
    assert_eq!(read(&serde_json::to_string(&list).unwrap()).unwrap(), objects);
    let tabs = serde_json::to_string_pretty(&list).unwrap().replace("  ", "\t");
    assert_eq!(read(&tabs).unwrap(), objects);
}

/// What a text read as, or its errors as lines.
fn read(text: &str) -> Result<Vec<Object>, String> {
    let document = Document { file: "mesh.yaml".to_owned(), text: text.to_owned() };
    let lines = |errors: Vec<ManifestError>| {
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    parse(&[document]).map_err(lines)
}
