//! Fields of `HTTPRoute` and `TCPRoute`: the Gateway API's, and `subset`.

use super::super::Retry;
use super::Type::{
    Any, Duration, Either, Host, Integer, List, Name, Object, Port, Short, Status, Text, Weight,
    Word,
};
use super::{METADATA, Shape, optional, output, required, status};

pub(in super::super) static HTTP_ROUTE: Shape = Shape {
    name: "HTTPRoute",
    doc: "Where the HTTP requests of a service go. A route whose parent is a Service takes effect; \
          one whose parent is a Gateway is kept and reported as not attached.",
    fields: &[
        required(
            "apiVersion",
            Word(&["gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1"]),
            "`gateway.networking.k8s.io/v1`.",
        ),
        required("kind", Word(&["HTTPRoute"]), "`HTTPRoute`."),
        required("metadata", Object(&METADATA), "Name, namespace, labels."),
        required("spec", Object(&HTTP_SPEC), "What is declared."),
        output("status", Object(&status::ROUTE), "What it is attached to; ignored when read."),
    ],
};

pub(in super::super) static TCP_ROUTE: Shape = Shape {
    name: "TCPRoute",
    doc: "Where the connections of a service go that are not HTTP.",
    fields: &[
        required(
            "apiVersion",
            Word(&["gateway.networking.k8s.io/v1alpha2", "gateway.networking.k8s.io/v1"]),
            "`gateway.networking.k8s.io/v1alpha2`.",
        ),
        required("kind", Word(&["TCPRoute"]), "`TCPRoute`."),
        required("metadata", Object(&METADATA), "Name, namespace, labels."),
        required("spec", Object(&TCP_SPEC), "What is declared."),
        output("status", Object(&status::ROUTE), "What it is attached to; ignored when read."),
    ],
};

static HTTP_SPEC: Shape = Shape {
    name: "spec",
    doc: "Which requests of which services go where.",
    fields: &[
        optional("parentRefs", List(&Object(&PARENT), 32), "What the route hangs on."),
        optional(
            "hostnames",
            List(&Host, 64),
            "Values of the Host header it is for, exact or `*.suffix`; any unless given.",
        ),
        optional(
            "rules",
            List(&Object(&HTTP_RULE), 1_000),
            "Tried by precedence: exact path, longest prefix, method, more headers, more query parameters, then this order. What no rule takes is answered 404.",
        ),
    ],
};

static TCP_SPEC: Shape = Shape {
    name: "spec",
    doc: "Which connections go where.",
    fields: &[
        optional("parentRefs", List(&Object(&PARENT), 32), "What the route hangs on."),
        optional(
            "rules",
            List(&Object(&TCP_RULE), 16),
            "One rule, since nothing tells connections apart.",
        ),
    ],
};

static PARENT: Shape = Shape {
    name: "parentRef",
    doc: "What a route hangs on.",
    fields: &[
        optional("group", Text, "API group of the kind; empty for Service."),
        optional("kind", Text, "`Service` takes effect; `Gateway` (the default) is kept only."),
        optional("namespace", Name, "The route's own unless given."),
        required("name", Name, "Name of the service or gateway."),
        optional("sectionName", Text, "A gateway's listener; a service has none."),
        optional("port", Port, "Only this port of the service; all of them unless given."),
    ],
};

static HTTP_RULE: Shape = Shape {
    name: "rule",
    doc: "Requests that match, and where they go.",
    fields: &[
        optional("name", Name, "For people."),
        optional(
            "matches",
            List(&Object(&MATCH), 128),
            "The rule takes a request that fits any of them; every request unless given.",
        ),
        optional(
            "filters",
            List(&Any, 16),
            "Not supported yet: refused in a route that takes effect.",
        ),
        optional("timeouts", Object(&TIMEOUTS), "After which a request is answered 504."),
        optional(
            "retry",
            Either(&RETRY_SHORT, &Object(&RETRY)),
            "When to try again; `3` and `3@5xx` are short forms. Failed connections are always tried again on another endpoint.",
        ),
        optional(
            "sessionPersistence",
            Any,
            "Not supported yet: refused in a route that takes effect.",
        ),
        optional("backendRefs", List(&Object(&BACKEND), 64), "Where requests go, by weight."),
    ],
};

static TCP_RULE: Shape = Shape {
    name: "rule",
    doc: "Where connections go.",
    fields: &[
        optional("name", Name, "For people."),
        optional("backendRefs", List(&Object(&BACKEND), 64), "Where connections go, by weight."),
    ],
};

static MATCH: Shape = Shape {
    name: "match",
    doc: "Conditions that must all hold.",
    fields: &[
        optional("path", Object(&PATH), "What the path must be."),
        optional(
            "method",
            Word(&["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]),
            "What the method must be.",
        ),
        optional(
            "headers",
            List(&Object(&VALUE), 32),
            "Headers that must be there; names in any letter case.",
        ),
        optional("queryParams", List(&Object(&VALUE), 32), "Query parameters that must be there."),
    ],
};

static PATH: Shape = Shape {
    name: "path",
    doc: "What a path must be, compared as sent.",
    fields: &[
        optional(
            "type",
            Word(&["Exact", "PathPrefix", "RegularExpression"]),
            "`PathPrefix` (the default) takes whole segments: /api fits /api and /api/7, not /apis. A regular expression must fit the whole path.",
        ),
        optional("value", Text, "The path; `/` unless given."),
    ],
};

static VALUE: Shape = Shape {
    name: "value",
    doc: "What a header or query parameter must be.",
    fields: &[
        optional(
            "type",
            Word(&["Exact", "RegularExpression"]),
            "`Exact` unless given; a regular expression must fit the whole value.",
        ),
        required("name", Text, "Name of the header or parameter."),
        required("value", Text, "The value or expression."),
    ],
};

static TIMEOUTS: Shape = Shape {
    name: "timeouts",
    doc: "Limits after which a request is answered 504; `0s` means none.",
    fields: &[
        optional("request", Duration, "The whole request, retries included."),
        optional("backendRequest", Duration, "One attempt; at most `request`."),
    ],
};

const RETRY_SHORT: super::Type =
    Short { example: "3@5xx", holds: |text| Retry::short(text).is_some() };

static RETRY: Shape = Shape {
    name: "retry",
    doc: "When a request is tried again on another endpoint.",
    fields: &[
        optional(
            "attempts",
            Integer { least: 0, most: Retry::MOST_ATTEMPTS as u64 },
            "How often, beyond the first; 1 unless given.",
        ),
        optional(
            "codes",
            List(&Status, 32),
            "Answers that deserve another attempt, 400 to 599; `5xx` stands for 500, 502, 503 and 504.",
        ),
        optional("backoff", Duration, "Pause before the first retry; doubles, with jitter."),
    ],
};

static BACKEND: Shape = Shape {
    name: "backendRef",
    doc: "A destination and its weight.",
    fields: &[
        optional("group", Text, "API group of the kind; empty for Service."),
        optional("kind", Text, "`Service` unless given."),
        optional("namespace", Name, "The route's own unless given."),
        required("name", Name, "Name of the service."),
        optional("subset", Name, "Only endpoints of this subset; all of them unless given."),
        optional("port", Port, "Port of the service; the one the request came for unless given."),
        optional("weight", Weight, "Share of the traffic; 1 unless given, 0 for none."),
        optional(
            "filters",
            List(&Any, 16),
            "Not supported yet: refused in a route that takes effect.",
        ),
    ],
};
