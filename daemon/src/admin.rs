//! The HTTP endpoint for machines: metrics, statistics, health.

pub(crate) mod owner;
