//! The mesh's nouns: parsed when they come in, printed when they go out.
//!
//! **Invariant:** no tokio, no IO, no clock.

mod bound;
mod bypass;
mod egress;
mod endpoint;
mod name;
mod net;
mod own;
mod place;
mod policy;
mod protocol;
mod subject;
mod workload;

pub(crate) use bound::Bound;
pub(crate) use bypass::{Bypass, Extent};
pub(crate) use egress::InvalidEgress;
pub(crate) use endpoint::{Health, HealthCheck, Probe};
pub(crate) use name::ServiceName;
pub(crate) use net::{canonical, contains};
pub(crate) use own::{disguised_source, own_source};
pub(crate) use place::{Place, Transport};
pub(crate) use policy::{Forward, InboundPolicy};
pub(crate) use protocol::{Compat, Declared};
pub(crate) use subject::Subject;
pub(crate) use workload::{Allowed, AllowedHost, Egress, Scope, Workload};
