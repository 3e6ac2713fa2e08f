//! The gRPC API on its unix socket: authorise, convert, update, answer; one file per service.

mod authorise;
mod error;
mod event;
mod metrics;
mod record;
mod socket;

pub(crate) use socket::{BindError, Socket};
