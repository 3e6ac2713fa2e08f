//! What the mesh is, here and now: one writer, and an immutable [`Snapshot`] everyone else reads.

mod compile;
mod intern;
mod published;
mod snapshot;
mod store;
mod vip;

pub(crate) use compile::{Inputs, compile, settle};
pub(crate) use intern::Interner;
pub(crate) use published::{Published, Reader};
pub(crate) use snapshot::{
    Backend, Destination, Endpoint, EndpointLive, HttpRoute, HttpRule, Inbound, Instance, Matches,
    PathMatch, Port, Service, Snapshot, Split, StrMatch, Subset, Target,
};
pub(crate) use store::{
    Action, Change, Damage, Declared, Draft, Held, Live, Mutation, Outcome, Past, RuntimeError,
    Store, Topic, UndoError, UpdateError, View, claimed_spec, protocol, service_key, written_at,
    written_at_mut,
};
pub(crate) use vip::{NoFreeAddress, Vips};
