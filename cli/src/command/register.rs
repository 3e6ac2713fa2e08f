//! `meshctl register`: declares an endpoint of a service.

use std::net::IpAddr;
use std::str::FromStr;

use clap_complete::ArgValueCandidates;
use mesh_proto::v1::health_check::Probe;
use mesh_proto::v1::{HealthCheck, RegisterRequest};

use crate::args::duration::Limit;
use crate::args::subject::Bound;
use crate::args::{Change, DryRun};
use crate::command::change::{self, Hint, Made};
use crate::complete;
use crate::context::Context;
use crate::error::{Exit, Failure};

/// Declare an endpoint of a service (upsert)
#[derive(clap::Args)]
#[command(before_help = "Examples:
  meshctl register web --port 8080
  meshctl register web --port http:8080 --subset v1 --health http:/healthz
  meshctl register db --port tcp:5432 --health tcp --interval 5s
  meshctl register web --port http:8080 --unit web.service
  meshctl register syslog --port udp:514")]
pub(crate) struct Args {
    /// Name of the service
    #[arg(add = ArgValueCandidates::new(complete::services))]
    name: String,
    /// Port the endpoint listens on; without a protocol it is detected
    #[arg(long, value_name = "[tcp|http|grpc|udp:]N")]
    port: Port,
    /// Port of the service [default: 80 for http, else the endpoint's port]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    service_port: Option<u16>,
    /// Address of the endpoint, in meshd's network namespace [default: 127.0.0.1]
    #[arg(long, value_name = "IP")]
    address: Option<IpAddr>,
    /// Version or group of the endpoint
    #[arg(long, value_name = "NAME")]
    subset: Option<String>,
    /// Label of the endpoint (repeatable)
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<Pair>,
    /// How its health is probed
    #[arg(long, value_name = "http:/PATH|tcp")]
    health: Option<Health>,
    /// Time between two probes [default: 2s]
    #[arg(long, value_name = "DUR", requires = "health")]
    interval: Option<Limit>,
    /// Share within its subset [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65535))]
    weight: Option<u32>,
    /// Treatment of HTTP that is wrong but harmless
    #[arg(long, value_name = "MODE", value_parser = ["strict", "lenient"])]
    compat: Option<String>,
    /// Leave an existing endpoint as it is
    #[arg(long)]
    if_absent: bool,
    #[command(flatten)]
    bound: Bound,
    #[command(flatten)]
    change: Change,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) protocol: &'static str,
    pub(crate) number: u16,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidPort {
    #[error("a port is a number from 1 to 65535")]
    Number,
    #[error("the protocol before the colon is tcp, http, grpc or udp")]
    Protocol,
}

impl FromStr for Port {
    type Err = InvalidPort;

    fn from_str(text: &str) -> Result<Self, InvalidPort> {
        let (protocol, number) = match text.split_once(':') {
            None => ("", text),
            Some(("tcp", number)) => ("tcp", number),
            Some(("http", number)) => ("http", number),
            Some(("grpc", number)) => ("grpc", number),
            Some(("udp", number)) => ("udp", number),
            Some(_) => return Err(InvalidPort::Protocol),
        };
        match number.parse() {
            Ok(number) if number > 0 => Ok(Self { protocol, number }),
            Ok(_) | Err(_) => Err(InvalidPort::Number),
        }
    }
}

/// `KEY=VALUE`.
#[derive(Clone, Debug)]
pub(crate) struct Pair(pub(crate) String, pub(crate) String);

#[derive(Debug, thiserror::Error)]
#[error("write it as KEY=VALUE")]
pub(crate) struct NotAPair;

impl FromStr for Pair {
    type Err = NotAPair;

    fn from_str(text: &str) -> Result<Self, NotAPair> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(Self(key.to_owned(), value.to_owned())),
            _ => Err(NotAPair),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Health(pub(crate) Probe);

#[derive(Debug, thiserror::Error)]
#[error("write http:/PATH or tcp")]
pub(crate) struct NotAProbe;

impl FromStr for Health {
    type Err = NotAProbe;

    fn from_str(text: &str) -> Result<Self, NotAProbe> {
        match text.strip_prefix("http:") {
            Some(path) if path.starts_with('/') => Ok(Self(Probe::Http(path.to_owned()))),
            None if text == "tcp" => Ok(Self(Probe::Tcp(true))),
            _ => Err(NotAProbe),
        }
    }
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    if args.change.dry_run == Some(DryRun::Client) {
        return super::edit::show_endpoint(&args.request(context), context);
    }
    let client = context.client().await?;
    let request = args.request(context);
    let response = client.call(client.registry().register(request)).await?;
    change::show_one(&response, Made::by(&args.change), Hint::None, context)
}

impl Args {
    fn request(&self, context: &Context) -> RegisterRequest {
        RegisterRequest {
            mutation: Some(context.mutation(&self.change)),
            namespace: context.namespace.clone(),
            service: self.name.clone(),
            protocol: self.port.protocol.to_owned(),
            port: self.port.number.into(),
            service_port: self.service_port.unwrap_or_default().into(),
            address: self.address.map(|address| address.to_string()).unwrap_or_default(),
            subset: self.subset.clone().unwrap_or_default(),
            labels: self
                .labels
                .iter()
                .map(|Pair(key, value)| (key.clone(), value.clone()))
                .collect(),
            health: self.health.as_ref().map(|health| self.check(health)),
            weight: self.weight.unwrap_or_default(),
            compat: self.compat.clone().unwrap_or_default(),
            if_absent: self.if_absent,
            bound_to: self.bound.subject(),
        }
    }

    fn check(&self, health: &Health) -> HealthCheck {
        HealthCheck {
            probe: Some(health.0.clone()),
            interval: self.interval.and_then(|interval| interval.0.try_into().ok()),
            timeout: None,
            unhealthy_after: 0,
            healthy_after: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_may_say_its_protocol() {
        let port = |text: &str| text.parse::<Port>().ok();
        assert_eq!(port("8080"), Some(Port { protocol: "", number: 8080 }));
        assert_eq!(port("http:8080"), Some(Port { protocol: "http", number: 8080 }));
        for wrong in ["0", "70000", "ftp:1", "http:", ""] {
            assert_eq!(port(wrong), None, "{wrong}");
        }
    }
}
