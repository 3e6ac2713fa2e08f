//! Fields of `status`, which `get` prints and reading ignores.

use super::Type::{
    Annotations, Integer, List, Number, Object, OrNull, Port, Text, Truth, Weight, Word,
};
use super::{Shape, output};

const COUNT: super::Type = Integer { least: 0, most: u64::MAX };
const MOST: usize = usize::MAX;

pub(super) static SERVICE: Shape = Shape {
    name: "status",
    doc: "What is observed of a service.",
    fields: &[
        output("ready", COUNT, "Endpoints that get traffic."),
        output("total", COUNT, "Endpoints there are."),
        output("address", OrNull(&Text), "Virtual address with the first port, `240.0.0.7:80`."),
        output("subsets", List(&Object(&SUBSET), MOST), "Every subset, by name."),
        output("ports", List(&Object(&PORT), MOST), "Every port with its addresses."),
        output("endpoints", List(&Object(&ENDPOINT), MOST), "Every endpoint and its health."),
        output("live", Object(&LIVE), "How many nodes use this state."),
        output("stats", Object(&STATS), "Traffic of the last seconds."),
        output("bypassedUntil", OrNull(&Text), "Until when its traffic goes direct, RFC 3339."),
    ],
};

pub(super) static ROUTE: Shape = Shape {
    name: "status",
    doc: "What a route is attached to.",
    fields: &[
        output("attached", Truth, "Whether it takes effect anywhere."),
        output("parents", List(&Object(&PARENT), MOST), "Each parent, in the order of the spec."),
        output("live", Object(&LIVE), "How many nodes use this state."),
    ],
};

static SUBSET: Shape = Shape {
    name: "subset",
    doc: "What is observed of a subset.",
    fields: &[
        output("name", Text, "Its name."),
        output("weight", OrNull(&Weight), "Its weight in the rule without matches."),
        output("ready", COUNT, "Endpoints that get traffic."),
        output("total", COUNT, "Endpoints there are."),
    ],
};

static PORT: Shape = Shape {
    name: "port",
    doc: "A port and where it is reached.",
    fields: &[
        output("port", Port, "Its number."),
        output("protocol", Word(&["detect", "http", "tcp", "grpc", "udp"]), "What is declared."),
        output("addresses", List(&Text, MOST), "Virtual addresses, IPv4 and IPv6."),
    ],
};

static ENDPOINT: Shape = Shape {
    name: "endpoint",
    doc: "What is observed of an endpoint.",
    fields: &[
        output("node", Text, "Its node."),
        output("address", Text, "Its IP address."),
        output("port", Port, "Where it listens."),
        output("subset", OrNull(&Text), "The subset it counts for."),
        output("weight", Weight, "Its share."),
        output("labels", Annotations, "Its labels."),
        output(
            "health",
            Word(&["unchecked", "unknown", "healthy", "unhealthy"]),
            "What its probes say; `unchecked` without a check.",
        ),
        output("reason", OrNull(&Text), "What the last probe met."),
        output("open", COUNT, "Requests and connections under way."),
    ],
};

static LIVE: Shape = Shape {
    name: "live",
    doc: "How many nodes use this state.",
    fields: &[
        output("applied", COUNT, "Nodes that use it."),
        output("nodes", COUNT, "Nodes there are."),
    ],
};

static STATS: Shape = Shape {
    name: "stats",
    doc: "Traffic of the last `windowS` seconds.",
    fields: &[
        output("windowS", COUNT, "Length of the window, seconds."),
        output("rps", Number, "Requests per second."),
        output(
            "success",
            OrNull(&Number),
            "Share of requests that did not fail, 0 to 1; null without requests.",
        ),
        output("p50Ms", OrNull(&Number), "Median latency, milliseconds."),
        output("p99Ms", OrNull(&Number), "99th percentile of the latency, milliseconds."),
        output("open", COUNT, "Requests and connections under way."),
    ],
};

static PARENT: Shape = Shape {
    name: "parent",
    doc: "A parent and whether the route is attached to it.",
    fields: &[
        output("kind", Text, "Its kind."),
        output("namespace", Text, "Its namespace."),
        output("name", Text, "Its name."),
        output("attached", Truth, "Whether the route takes effect there."),
        output("reason", OrNull(&Text), "Why not."),
    ],
};
