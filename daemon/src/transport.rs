//! From an endpoint to a connected stream, pooled per worker.

mod socket;

pub(crate) use socket::{Socket, prefer_loopback_speed, prepare};
