use super::*;
use crate::manifest::diff::lines;
use crate::manifest::to_yaml;
use crate::v1::{self, EditRouteRequest};

#[test]
fn a_first_route_keeps_the_rest_going() {
    let edited = route(None, &to("web:v2", Some("/v2"))).unwrap();
    assert_eq!((edited.rule, edited.rules), (1, 2));
    assert_eq!(
        rules(&edited),
        "- matches: [{path: {type: PathPrefix, value: /v2}}]\n  \
           backendRefs: [{name: web, subset: v2}]\n\
         - backendRefs: [{name: web}]\n"
    );
}

#[test]
fn the_diff_reads_like_the_one_in_the_contract() {
    let before = route(None, &to("web", None)).unwrap().route.unwrap();
    let mut request = to("web", Some("/checkout"));
    request.timeout = Some(seconds(2));
    request.retry = Some(v1::Retry { attempts: 2, codes: vec![500, 502, 503, 504] });
    let after = route(Some(&before), &request).unwrap().route.unwrap();
    let text = |route: HttpRoute| to_yaml(&Object::HttpRoute(route));
    let diff = lines(&text(before), &text(after));
    assert!(
        diff.ends_with(
            "   rules:\n\
             +  - matches: [{path: {type: PathPrefix, value: /checkout}}]\n\
             +    timeouts: {request: 2s}\n\
             +    retry: {attempts: 2, codes: [500, 502, 503, 504], backoff: 25ms}\n\
             +    backendRefs: [{name: web}]\n   \
               - backendRefs: [{name: web}]\n"
        ),
        "{diff}"
    );
}

#[test]
fn what_is_not_named_keeps_its_value() {
    let mut request = to("web:v2", Some("/v2"));
    request.timeout = Some(seconds(2));
    let first = route(None, &request).unwrap().route.unwrap();
    let again = route(Some(&first), &request).unwrap();
    assert_eq!(again.route.as_ref(), Some(&first), "the same edit changes nothing");
    let mut retries = to("", Some("/v2"));
    retries.to.clear();
    retries.retry = Some(v1::Retry { attempts: 3, codes: vec![503] });
    let both = route(Some(&first), &retries).unwrap();
    let rule = &both.route.as_ref().unwrap().spec.rules[0];
    assert_eq!(rule.timeouts, first.spec.rules[0].timeouts);
    assert_eq!(rule.backend_refs, first.spec.rules[0].backend_refs);
    assert_eq!(rule.retry.as_ref().unwrap().codes, [503]);
    let mut off = retries.clone();
    (off.timeout, off.retry) = (Some(seconds(0)), Some(v1::Retry::default()));
    let none = route(both.route.as_ref(), &off).unwrap().route.unwrap();
    assert!(none.spec.rules[0].timeouts.is_empty() && none.spec.rules[0].retry.is_none());
}

#[test]
fn rules_are_numbered_from_1_and_new_ones_go_before_the_default() {
    let mut current = route(None, &to("web:v1", Some("/a"))).unwrap().route.unwrap();
    let second = route(Some(&current), &to("web:v2", Some("/b"))).unwrap();
    assert_eq!((second.rule, second.rules), (2, 3));
    current = second.route.unwrap();
    let numbered = |rule, delete| EditRouteRequest { rule, delete, ..to("web:v3", Some("/c")) };
    let third = route(Some(&current), &numbered(3, false)).unwrap();
    assert_eq!((third.rule, third.rules), (3, 3));
    let gone = route(Some(&current), &numbered(1, true)).unwrap();
    assert_eq!((gone.rule, gone.rules), (1, 2));
    for number in [0, 4] {
        let refused = route(Some(&current), &numbered(number, true));
        let number = usize::try_from(number).unwrap();
        assert_eq!(refused, Err(EditError::NoSuchRule { number, of: 3 }));
    }
    let only = route(None, &to("web", None)).unwrap().route.unwrap();
    assert_eq!(route(Some(&only), &numbered(1, true)).unwrap().route, None);
}

// covers: ROUTE-10, ROUTE-11
#[test]
fn a_split_sets_the_rule_without_conditions() {
    let routed = route(None, &to("web:v2", Some("/v2"))).unwrap().route.unwrap();
    let edited = split(Some(&routed), &shares("v1=90 v2=10")).unwrap();
    assert_eq!((edited.rule, edited.rules), (2, 2));
    assert!(rules(&edited).ends_with(
        "- backendRefs:\n  \
           - {name: web, subset: v1, weight: 90}\n  \
           - {name: web, subset: v2, weight: 10}\n"
    ));
    let whole = split(edited.route.as_ref(), &shares("v2=100")).unwrap();
    assert!(rules(&whole).ends_with("- backendRefs: [{name: web, subset: v2, weight: 100}]\n"));
}

//
#[test]
fn a_split_of_connections_makes_a_tcp_route() {
    let edited = split_tcp(None, &shares("v1=80 v2=20")).unwrap();
    let weights = |edited: &Edited<TcpRoute>| {
        let backends = &edited.route.as_ref().unwrap().spec.rules[0].backend_refs;
        backends.iter().map(BackendRef::share).collect::<Vec<_>>()
    };
    assert_eq!(weights(&edited), [80, 20]);
    let again = split_tcp(edited.route.as_ref(), &shares("v1=1 v2=1")).unwrap();
    assert_eq!(weights(&again), [1, 1]);
}

#[test]
fn an_edit_can_say_nothing_that_a_file_could_not() {
    let said = |result: Result<Edited<HttpRoute>, EditError>| match result {
        Err(EditError::Invalid(errors)) => (errors[0].code.code, errors[0].path.clone()),
        other => panic!("{other:?}"),
    };
    let at = |path: &str| format!("spec.rules[0]{path}");
    let zero = said(split(None, &shares("v1=0 v2=0")));
    assert_eq!(zero, ("MESH1107", at(".backendRefs")));
    let twice = said(split(None, &shares("v1=1 v1=2")));
    assert_eq!(twice, ("MESH1110", at(".backendRefs[1]")));
    let huge = said(split(None, &shares("v1=4000000000")));
    assert_eq!(huge, ("MESH1107", at(".backendRefs[0].weight")));
    let name = said(split(None, &shares("V1=1")));
    assert_eq!(name, ("MESH1105", at(".backendRefs[0].subset")));
    let mut method = to("web", Some("/a"));
    method.r#match.as_mut().unwrap().method = "FETCH".to_owned();
    assert_eq!(said(route(None, &method)), ("MESH1104", at(".matches[0].method")));
    let path = said(route(None, &to("web", Some("a"))));
    assert_eq!(path, ("MESH1104", at(".matches[0].path.value")));
}

#[test]
fn the_edited_route_is_the_services_own() {
    let named = |name: &str, parent: &str| {
        let mut route = new_route("", name);
        route.spec.parent_refs[0].name = parent.to_owned();
        route.spec.rules.push(everything_to("web"));
        Object::HttpRoute(route)
    };
    let find = |objects: &[Object]| {
        http_route_of(objects, "", "web").map(|found| found.map(|r| r.metadata.name.clone()))
    };
    assert_eq!(find(&[]), Ok(None));
    assert_eq!(find(&[named("z", "web"), named("a", "web")]), Ok(Some("a".to_owned())));
    assert_eq!(find(&[named("a", "web"), named("web", "web")]), Ok(Some("web".to_owned())));
    let other = named("web", "shop");
    assert_eq!(find(&[named("a", "web"), other.clone()]), Err(EditError::Taken(other.key())));
}

fn to(backend: &str, prefix: Option<&str>) -> EditRouteRequest {
    let (service, subset) = backend.split_once(':').unwrap_or((backend, ""));
    let to = v1::BackendRef { service: service.into(), subset: subset.into(), weight: None };
    let path = |prefix: &str| v1::RuleMatch { path_prefix: prefix.into(), ..Default::default() };
    EditRouteRequest {
        service: "web".to_owned(),
        r#match: prefix.map(path),
        to: vec![to],
        ..EditRouteRequest::default()
    }
}

fn shares(text: &str) -> v1::SplitRequest {
    let share = |text: &str| {
        let (subset, weight) = text.split_once('=').unwrap();
        v1::Share { subset: subset.to_owned(), weight: weight.parse().unwrap() }
    };
    let shares = text.split(' ').map(share).collect();
    v1::SplitRequest { service: "web".to_owned(), shares, ..Default::default() }
}

fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

/// The rules of an edited route, as its manifest has them.
fn rules(edited: &Edited<HttpRoute>) -> String {
    let text = to_yaml(&Object::HttpRoute(edited.route.clone().unwrap()));
    let rules = text.split_once("  rules:\n").unwrap().1;
    rules.lines().map(|line| format!("{}\n", &line[2..])).collect()
}
