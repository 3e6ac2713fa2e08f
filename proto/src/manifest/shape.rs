//! The fields of every kind, described once: reading refuses what is not here, and the JSON
//! Schemas and `meshctl explain` are printed from here.

mod route;
mod service;
mod status;

use super::Kind;

pub(super) use route::{HTTP_ROUTE, TCP_ROUTE};
pub(super) use service::SERVICE;

/// An object and its fields.
#[derive(Debug)]
pub(super) struct Shape {
    /// What one such thing is called: `rule`, `endpoint`.
    pub(super) name: &'static str,
    pub(super) doc: &'static str,
    pub(super) fields: &'static [Field],
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) presence: Presence,
    pub(super) kind: Type,
    pub(super) doc: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Required,
    Optional,
    /// Printed by `get`, ignored when read.
    Output,
    /// Like `Output`, but may be absent: what Kubernetes adds to its objects.
    Ignored,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Type {
    Text,
    /// An RFC 1123 label.
    Name,
    Word(&'static [&'static str]),
    Integer {
        least: u64,
        most: u64,
    },
    Port,
    Weight,
    Duration,
    Address,
    /// A DNS name, perhaps with `*.` before it.
    Host,
    /// Only `true` has a meaning.
    True,
    /// A status code, or `5xx`.
    Status,
    /// A text that stands for a whole object.
    Short {
        example: &'static str,
        holds: fn(&str) -> bool,
    },
    Labels,
    Annotations,
    Object(&'static Shape),
    List(&'static Type, usize),
    /// A scalar, or a longer form of it.
    Either(&'static Type, &'static Type),
    Truth,
    /// Kept as it is.
    Any,
    /// In output only.
    Number,
    Time,
    OrNull(&'static Type),
}

/// Weights above are refused; the Gateway API's bound.
pub(super) const MOST_WEIGHT: u64 = 1_000_000;

pub(super) fn of(kind: Kind) -> &'static Shape {
    match kind {
        Kind::Service => &SERVICE,
        Kind::HttpRoute => &HTTP_ROUTE,
        Kind::TcpRoute => &TCP_ROUTE,
    }
}

impl Shape {
    pub(super) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

impl Type {
    /// The object behind lists, short forms and `null`.
    pub(super) fn shape(&self) -> Option<&'static Shape> {
        match self {
            Self::Object(shape) => Some(shape),
            Self::List(inner, _) | Self::OrNull(inner) | Self::Either(_, inner) => inner.shape(),
            Self::Text
            | Self::Name
            | Self::Word(_)
            | Self::Integer { .. }
            | Self::Port
            | Self::Weight
            | Self::Duration
            | Self::Address
            | Self::Host
            | Self::True
            | Self::Status
            | Self::Short { .. }
            | Self::Labels
            | Self::Annotations
            | Self::Any
            | Self::Number
            | Self::Truth
            | Self::Time => None,
        }
    }
}

const fn required(name: &'static str, kind: Type, doc: &'static str) -> Field {
    Field { name, presence: Presence::Required, kind, doc }
}

const fn optional(name: &'static str, kind: Type, doc: &'static str) -> Field {
    Field { name, presence: Presence::Optional, kind, doc }
}

const fn output(name: &'static str, kind: Type, doc: &'static str) -> Field {
    Field { name, presence: Presence::Output, kind, doc }
}

const fn ignored(name: &'static str) -> Field {
    let doc = "Kubernetes' own bookkeeping; ignored, so that its exports can be read.";
    Field { name, presence: Presence::Ignored, kind: Type::Any, doc }
}

const METADATA: Shape = Shape {
    name: "metadata",
    doc: "What identifies and describes an object.",
    fields: &[
        required(
            "name",
            Type::Name,
            "Unique among the objects of its kind and namespace: 1 to 63 of a-z, 0-9 and '-'.",
        ),
        optional("namespace", Type::Name, "Where the name is unique; `default` unless given."),
        optional("labels", Type::Labels, "Keys and values to select by."),
        optional(
            "annotations",
            Type::Annotations,
            "Notes for people and programs; meshd only keeps them.",
        ),
        output(
            "generation",
            Type::Integer { least: 0, most: u64::MAX },
            "The change that made the object what it is; see `meshctl history`.",
        ),
        output("creationTimestamp", Type::OrNull(&Type::Time), "When it was first declared."),
        ignored("uid"),
        ignored("resourceVersion"),
        ignored("managedFields"),
        ignored("ownerReferences"),
        ignored("finalizers"),
        ignored("selfLink"),
    ],
};
