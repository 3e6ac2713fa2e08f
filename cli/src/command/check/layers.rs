//! Why one service cannot be reached: layer by layer, from its name to its answer.

use std::io;
use std::net::{IpAddr, SocketAddr};

use mesh_proto::codes;
use mesh_proto::v1::GetRequest;
use serde_json::Value;

use super::capture::{self, Ranges};
use super::probe::{self, Transport};
use super::{Check, Report};
use crate::client::Client;
use crate::context::{Context, block_on};
use crate::error::Failure;

/// What was declared about the service.
struct Service {
    name: String,
    http: bool,
    /// The virtual address with the first port.
    address: Option<SocketAddr>,
    bypassed_until: String,
    health_path: String,
    endpoints: Vec<SocketAddr>,
}

/// Every layer of `name`; the first that fails is the cause, those above it follow from it.
pub(super) fn of(name: &str, context: &Context) -> Result<Report, Failure> {
    let (service, Ranges { dns, .. }) = block_on(async {
        let client = context.client().await?;
        Ok((Service::read(name, context, &client).await?, Ranges::read(&client).await?))
    })?;
    let mut checks = vec![service.declared()];
    checks.extend(service.bypassed());
    checks.extend(service.endpoints.iter().flat_map(|endpoint| service.endpoint(*endpoint)));
    // From here on as a program of the mesh.
    capture::enter(context)?;
    if dns {
        checks.push(service.resolves());
    }
    checks.extend(service.through_the_mesh());
    Ok(Report { checks })
}

impl Service {
    async fn read(name: &str, context: &Context, client: &Client) -> Result<Self, Failure> {
        let asked = GetRequest {
            kind: "service".to_owned(),
            namespace: context.namespace.clone(),
            name: name.to_owned(),
        };
        let found = client.call(client.manifests().get(asked)).await?;
        let Some(object) = found.objects.first() else {
            return Err(Failure::new(&codes::SERVICE_NOT_FOUND, format!("no service \"{name}\""))
                .why("nobody declared it")
                .fix("meshctl get services"));
        };
        let object: Value = serde_json::from_str(object).unwrap_or_default();
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let endpoints = object.pointer("/spec/endpoints").and_then(Value::as_array);
        let endpoint = |value: &Value| {
            let address = value.get("address").and_then(Value::as_str)?.parse::<IpAddr>().ok()?;
            let port = u16::try_from(value.get("port").and_then(Value::as_u64)?).ok()?;
            Some(SocketAddr::from((address, port)))
        };
        Ok(Self {
            name: name.to_owned(),
            http: text("/spec/ports/0/protocol") == Some("http"),
            address: text("/status/address").and_then(|address| address.parse().ok()),
            bypassed_until: text("/status/bypassedUntil").unwrap_or_default().to_owned(),
            health_path: text("/spec/health/http").unwrap_or("/").to_owned(),
            endpoints: endpoints.into_iter().flatten().filter_map(endpoint).collect(),
        })
    }

    fn declared(&self) -> Check {
        let id = "service/declared";
        let name = &self.name;
        match self.endpoints.len() {
            0 => Check::fail(id, format!("{name} has no endpoint"))
                .because("it was declared, and nobody registered for it")
                .fixed_by(format!("meshctl register {name} --port PORT")),
            count => Check::ok(id, format!("{name} has {count} endpoints")),
        }
    }

    fn bypassed(&self) -> Option<Check> {
        let Self { name, bypassed_until, .. } = self;
        if bypassed_until.is_empty() {
            return None;
        }
        let summary = format!("goes direct, not through meshd, until {bypassed_until}");
        let check = Check::warn("service/bypass", summary);
        let fix = format!("meshctl bypass {name} --end       (or --all --end)");
        Some(check.because("somebody told it to for a time").fixed_by(fix))
    }

    /// The endpoint itself, past the mesh.
    fn endpoint(&self, endpoint: SocketAddr) -> Vec<Check> {
        let tcp = format!("service/tcp {endpoint}");
        let connected = match probe::connect(endpoint) {
            Ok(took) => {
                let ms = took.as_secs_f64() * 1000.0;
                Check::ok(tcp, format!("accepts connections ({ms:.1}ms)"))
            }
            Err(error) => {
                let fix = format!("start the program that serves port {}", endpoint.port());
                return vec![
                    Check::fail(tcp, "fails at tcp: no connection")
                        .because(reason(&error))
                        .fixed_by(fix),
                ];
            }
        };
        if !self.http {
            return vec![connected];
        }
        let answered = probe::http(endpoint, &endpoint.to_string(), &self.health_path);
        let fix = format!("curl -i http://{endpoint}{}", self.health_path);
        vec![connected, http(format!("service/http {endpoint}"), answered, &fix)]
    }

    fn resolves(&self) -> Check {
        let id = "service/dns";
        let name = format!("{}.mesh", self.name);
        let Some(address) = self.address else {
            return Check::fail(id, format!("fails at dns: {name} has no virtual address"))
                .because("it declares no port")
                .fixed_by(format!("meshctl register {} --port PORT", self.name));
        };
        let server = super::dns::resolvers().first().copied();
        let server = server.unwrap_or(IpAddr::from([127, 0, 0, 1]));
        // What is asked for follows from the server's family; the name has both.
        match probe::ask(Transport::Udp, server, &name) {
            Ok(answer) if answer.addresses.contains(&address.ip()) || server.is_ipv6() => {
                Check::ok(id, format!("{name} is {}", address.ip()))
            }
            Ok(answer) => {
                Check::fail(id, format!("fails at dns: {name} is {:?}", answer.addresses))
                    .because(format!("the mesh would say {}", address.ip()))
                    .fixed_by("meshctl check --category capture")
            }
            Err(error) => Check::fail(id, format!("fails at dns: {name} does not resolve"))
                .because(reason(&error))
                .fixed_by("meshctl check --category capture"),
        }
    }

    fn through_the_mesh(&self) -> Option<Check> {
        let address = self.address?;
        let id = "service/mesh";
        let fix = format!("meshctl trace request http://{}.mesh/", self.name);
        if self.http {
            let host = format!("{}.mesh", self.name);
            return Some(http(id.to_owned(), probe::http(address, &host, &self.health_path), &fix));
        }
        Some(match probe::connect(address) {
            Ok(_) => Check::ok(id, format!("{address} accepts connections")),
            Err(error) => Check::fail(id, format!("fails at mesh: no connection to {address}"))
                .because(reason(&error))
                .fixed_by(format!("meshctl describe service/{}", self.name)),
        })
    }
}

fn http(id: String, answered: io::Result<Option<u16>>, fix: &str) -> Check {
    let layer = id.split(['/', ' ']).nth(1).unwrap_or_default().to_owned();
    match answered {
        Ok(Some(status)) if status < 500 => Check::ok(id, format!("answers {status}")),
        Ok(Some(status)) => Check::fail(id, format!("fails at {layer}: answers {status}"))
            .because("the program itself, or what it depends on, failed")
            .fixed_by(fix),
        Ok(None) => Check::fail(id, format!("fails at {layer}: no HTTP answer"))
            .because("something else than HTTP came back, or nothing")
            .fixed_by(fix),
        Err(error) => Check::fail(id, format!("fails at {layer}: no answer"))
            .because(reason(&error))
            .fixed_by(fix),
    }
}

fn reason(error: &io::Error) -> String {
    let late = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&error.kind());
    if late { "no answer in time".to_owned() } else { error.kind().to_string() }
}
