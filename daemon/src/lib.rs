//! `meshd`: captures the traffic of chosen processes, carries it, and says what happened.
//!
//! Start reading at [`app`]; ARCHITECTURE.md has the map. Outside callers need [`Config`] and [`run`].

mod admin;
mod app;
mod balance;
mod capture;
mod config;
mod control;
mod health;
mod intent;
mod model;
mod proxy;
mod record;
mod registry;
mod routing;
mod state;
mod telemetry;
mod transport;

pub use app::{StartError, bring, cleanup, guard, plan, run};
pub use config::{Config, Flags, InvalidConfig};
