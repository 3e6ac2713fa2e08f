use super::super::{Object, parse, view};
use super::*;
use crate::v1::Document;

#[test]
fn what_we_print_holds_against_the_schema() {
    let service = view::ServiceView::new(
        Kind::Service,
        metadata("web"),
        spec(SERVICE, |object| match object {
            Object::Service(service) => Some(service.spec),
            Object::HttpRoute(_) | Object::TcpRoute(_) => None,
        }),
        view::ServiceStatus {
            ready: 1,
            total: 2,
            address: Some("240.0.0.7:80".to_owned()),
            subsets: vec![view::SubsetStatus { name: "v1".to_owned(), ..Default::default() }],
            ports: vec![view::PortStatus {
                port: 80,
                protocol: super::super::Protocol::Http,
                addresses: vec!["240.0.0.7:80".to_owned()],
            }],
            endpoints: vec![view::EndpointStatus {
                node: "n1".to_owned(),
                address: "127.0.0.1".to_owned(),
                port: 8080,
                subset: None,
                weight: 1,
                labels: [("a".to_owned(), "b".to_owned())].into(),
                health: view::HealthStatus::Healthy,
                reason: Some("200 in 2ms".to_owned()),
                open: 0,
            }],
            live: view::Live { applied: 1, nodes: 1 },
            stats: view::Stats { window_s: 10, rps: 1.5, p50_ms: Some(2.0), ..Default::default() },
            bypassed_until: Some("2026-01-02T03:04:05Z".to_owned()),
        },
    );
    let item = serde_json::to_value(&service).unwrap();
    assert_eq!(faults("Service", &item), [""; 0]);
    let list = json!({"apiVersion": "mesh/v1", "kind": "ServiceList", "items": [item]});
    assert_eq!(faults("ServiceList", &list), [""; 0]);

    let route_spec = spec(ROUTE, |object| match object {
        Object::HttpRoute(route) => Some(route.spec),
        Object::Service(_) | Object::TcpRoute(_) => None,
    });
    let parent = view::ParentStatus {
        kind: "Service".to_owned(),
        namespace: "default".to_owned(),
        name: "web".to_owned(),
        attached: true,
        reason: None,
    };
    let live = view::Live { applied: 1, nodes: 1 };
    let status = view::RouteStatus { attached: true, parents: vec![parent], live };
    let route = view::HttpRouteView::new(Kind::HttpRoute, metadata("web"), route_spec, status);
    assert_eq!(faults("route", &serde_json::to_value(&route).unwrap()), [""; 0]);
}

/// What a view prints can be read back: `status` is ignored.
#[test]
fn every_printed_object_can_be_applied() {
    for text in [SERVICE, ROUTE] {
        let object = read(text);
        let mut json = object.to_json();
        json["metadata"]["generation"] = 7.into();
        json["metadata"]["creationTimestamp"] = Value::Null;
        json["status"] = json!({"ready": 1});
        assert_eq!(read(&json.to_string()), object);
    }
}

#[test]
fn the_schema_refuses_what_reading_refuses() {
    let base = read(SERVICE).to_json();
    for (pointer, wrong) in [
        ("/metadata/name", json!("Web")),
        ("/metadata/colour", json!("red")),
        ("/spec/ports/0/port", json!(0)),
        ("/spec/ports/0/port", json!("80")),
        ("/spec/ports/0/protocol", json!("https")),
        ("/spec/health/interval", json!("2")),
        ("/spec/endpoints/0/weight", json!(-1)),
        ("/kind", json!("Servce")),
    ] {
        let mut object = base.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        object.pointer_mut(parent).unwrap()[name] = wrong.clone();
        assert_ne!(faults("Service", &object), [""; 0], "{pointer} {wrong}");
        let document = Document { file: String::new(), text: object.to_string() };
        assert!(parse(&[document]).is_err(), "{pointer} {wrong}");
    }
}

#[test]
fn every_kind_and_list_has_a_schema() {
    for name in schema_names() {
        assert_eq!(schema(&name).unwrap()["title"], name);
    }
    assert_eq!(schema("svc"), schema("Service"));
    assert_eq!(schema("Gateway"), None);
}

const SERVICE: &str = "
apiVersion: mesh/v1
kind: Service
metadata: {name: web, labels: {team: shop}}
spec:
  ports: [{port: 80, protocol: http}]
  health: {http: /h, interval: 2s, expect: [200]}
  subsets: [{name: canary, labels: {track: canary}}]
  endpoints: [{node: n1, address: 10.0.0.1, port: 8080, subset: v1, labels: {track: canary}}]
";

const ROUTE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{kind: Service, name: web}]
  hostnames: ['*.a.test']
  rules:
  - matches: [{path: {value: /a}, method: GET, headers: [{name: x, value: y}]}]
    timeouts: {request: 2s}
    retry: 3@5xx
    backendRefs: [{name: web, subset: v1, weight: 3}, {name: web}]
";

fn read(text: &str) -> Object {
    let document = Document { file: "x".to_owned(), text: text.to_owned() };
    parse(&[document]).unwrap().remove(0)
}

fn spec<S>(text: &str, take: fn(Object) -> Option<S>) -> S {
    take(read(text)).unwrap()
}

fn metadata(name: &str) -> view::MetadataView {
    view::MetadataView {
        declared: super::super::Metadata::new("", name),
        generation: 3,
        creation_timestamp: Some("2026-11-21T10:00:00Z".to_owned()),
    }
}

/// What of the schema `name` does not hold for `value`.
fn faults(name: &str, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    validate(&schema(name).unwrap(), value, name, &mut faults);
    faults
}

/// The part of JSON Schema that our schemas use; anything else fails the test.
fn validate(schema: &Value, value: &Value, path: &str, faults: &mut Vec<String>) {
    for (keyword, rule) in schema.as_object().unwrap() {
        let holds = match keyword.as_str() {
            "type" => is_type(value, rule.as_str().unwrap()),
            "const" => value == rule,
            "enum" => rule.as_array().unwrap().contains(value),
            "pattern" => {
                let regex = regex::Regex::new(rule.as_str().unwrap()).unwrap();
                value.as_str().is_some_and(|text| regex.is_match(text))
            }
            "minimum" => value.as_u64() >= rule.as_u64(),
            "maximum" => value.as_u64().is_some_and(|number| Some(number) <= rule.as_u64()),
            "maxLength" => value.as_str().is_some_and(|t| t.len() as u64 <= rule.as_u64().unwrap()),
            "maxItems" => {
                value.as_array().is_some_and(|l| l.len() as u64 <= rule.as_u64().unwrap())
            }
            "required" => rule
                .as_array()
                .unwrap()
                .iter()
                .all(|name| value.get(name.as_str().unwrap()).is_some()),
            "anyOf" => rule.as_array().unwrap().iter().any(|one| {
                let mut inner = Vec::new();
                validate(one, value, path, &mut inner);
                inner.is_empty()
            }),
            "properties" => {
                for (name, rule) in rule.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        validate(rule, value, &format!("{path}.{name}"), faults);
                    }
                }
                true
            }
            "additionalProperties" if rule.is_object() => {
                value.as_object().is_none_or(|fields| fields.values().all(Value::is_string))
            }
            "additionalProperties" => value.as_object().is_none_or(|fields| {
                fields.keys().all(|name| schema["properties"].get(name).is_some())
            }),
            "items" => {
                for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                    validate(rule, item, &format!("{path}[{at}]"), faults);
                }
                true
            }
            "description" | "readOnly" | "examples" | "format" | "$schema" | "title" => true,
            other => panic!("keyword {other}"),
        };
        if !holds {
            faults.push(format!("{path}: {keyword} {rule} does not hold for {value}"));
        }
    }
}

fn is_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_u64(),
        other => panic!("type {other}"),
    }
}
