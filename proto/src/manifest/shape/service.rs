//! Fields of `Service`.

use super::super::HealthCheck;
use super::Type::{
    Address, Duration, Either, Integer, Labels, List, Name, Object, Port, Short, Text, True, Truth,
    Weight, Word,
};
use super::{METADATA, Shape, optional, output, required, status};

pub(in super::super) static SERVICE: Shape = Shape {
    name: "Service",
    doc: "A named destination, reached as NAME.mesh: its ports and the endpoints behind it. \
          Endpoints declared with `meshctl register` join those of the manifest.",
    fields: &[
        required("apiVersion", Word(&["mesh/v1"]), "`mesh/v1`."),
        required("kind", Word(&["Service"]), "`Service`."),
        required("metadata", Object(&METADATA), "Name, namespace, labels."),
        required("spec", Object(&SPEC), "What is declared."),
        output("status", Object(&status::SERVICE), "What is observed; ignored when read."),
    ],
};

static SPEC: Shape = Shape {
    name: "spec",
    doc: "What a service offers.",
    fields: &[
        optional(
            "ports",
            List(&Object(&PORT), 256),
            "The service's ports, as in NAME.mesh:PORT. Without any, each endpoint's own port is one.",
        ),
        optional(
            "health",
            Either(&HEALTH_SHORT, &Object(&HEALTH)),
            "How endpoints are probed; without it they are taken for healthy. `tcp`, `http` and `http:/path` are short forms.",
        ),
        optional(
            "compat",
            Word(&["strict", "lenient"]),
            "What happens to HTTP that is wrong but harmless: `strict` (the default) refuses it, `lenient` repairs it.",
        ),
        optional(
            "forward",
            Word(&["proxy", "connect"]),
            "`proxy` (the default): meshd carries every connection. `connect`: the endpoint is picked when the \
             application connects, and the connection is direct; for ports whose protocol is `tcp` or `udp`.",
        ),
        optional(
            "inbound",
            Object(&INBOUND),
            "What arrives at the ports of endpoints registered with a process, unit or container.",
        ),
        optional(
            "subsets",
            List(&Object(&SUBSET), 256),
            "Subsets chosen by labels, beside those that endpoints name.",
        ),
        optional("endpoints", List(&Object(&ENDPOINT), 100_000), "Addresses that serve."),
    ],
};

static INBOUND: Shape = Shape {
    name: "inbound",
    doc: "Clients that come to an endpoint's own port.",
    fields: &[
        optional(
            "unmeshed",
            Word(&["allow", "refuse"]),
            "Clients outside the mesh; without it as the setting `mtls.mode` says: `permissive` allows, `strict` refuses.",
        ),
        optional(
            "preserveClient",
            Truth,
            "`true`: the application sees the client's address, not meshd's.",
        ),
    ],
};

static PORT: Shape = Shape {
    name: "port",
    doc: "A port of the service.",
    fields: &[
        required("port", Port, "1 to 65535."),
        optional(
            "protocol",
            Word(&["detect", "http", "tcp", "grpc", "udp"]),
            "What clients speak; `detect` (the default) looks at the first bytes, `udp` means datagrams.",
        ),
    ],
};

const HEALTH_SHORT: super::Type =
    Short { example: "http:/healthz", holds: |text| HealthCheck::short(text).is_some() };

static HEALTH: Shape = Shape {
    name: "health",
    doc: "A health check: the probe, how often, and how many results in a row change an endpoint's state.",
    fields: &[
        optional("http", Text, "Path to GET; 2xx and 3xx pass unless `expect` says otherwise."),
        optional("tcp", True, "`true`: a connection that opens passes."),
        optional(
            "expect",
            List(&Integer { least: 100, most: 599 }, 64),
            "Status codes that pass, with `http`.",
        ),
        optional("interval", Duration, "Time between probes; 2s unless given."),
        optional("timeout", Duration, "A probe answered later fails; 1s unless given."),
        optional(
            "unhealthyAfter",
            Integer { least: 1, most: 1_000 },
            "Failures in a row that make an endpoint unhealthy; 3 unless given.",
        ),
        optional(
            "healthyAfter",
            Integer { least: 1, most: 1_000 },
            "Passes in a row that make it healthy again; 2 unless given.",
        ),
        optional(
            "initial",
            Word(&["unknown", "healthy"]),
            "What an endpoint counts as before its first probe; `unknown` (the default) gets traffic only while nothing healthier exists.",
        ),
    ],
};

static SUBSET: Shape = Shape {
    name: "subset",
    doc: "A named part of the endpoints, chosen by labels.",
    fields: &[
        required("name", Name, "What routes call it."),
        required(
            "labels",
            Labels,
            "Every endpoint that carries all of them belongs to the subset.",
        ),
    ],
};

static ENDPOINT: Shape = Shape {
    name: "endpoint",
    doc: "An address and port that serves.",
    fields: &[
        optional(
            "node",
            Name,
            "Node whose network the address belongs to; the node that reads it unless given.",
        ),
        required("address", Address, "IPv4 or IPv6 address."),
        required("port", Port, "Where it listens, 1 to 65535."),
        optional(
            "servicePort",
            Port,
            "Which of the service's ports it serves; needed when there are several and none has the endpoint's own number.",
        ),
        optional("subset", Name, "The version it belongs to."),
        optional(
            "weight",
            Weight,
            "Share among the endpoints it is balanced with; 1 unless given.",
        ),
        optional("labels", Labels, "Keys and values that subsets select by."),
    ],
};
