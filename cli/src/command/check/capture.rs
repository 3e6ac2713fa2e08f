//! Whether capture works: tried from a run scope, as any program of the mesh would.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use mesh_proto::v1::{
    CaptureStatus, GetSettingsRequest, GetStatusRequest, Problem, StartRunRequest,
};

use super::Check;
use super::dns;
use super::probe::{self, Answer, Transport};
use crate::client::Client;
use crate::command::run;
use crate::context::{Context, block_on};
use crate::error::Failure;

/// A name of the zone that nobody declares.
const NAME: &str = "check.mesh";

pub(super) fn checks(context: &Context) -> Vec<Check> {
    let (status, bypass, ranges) = match block_on(asked(context)) {
        Ok(asked) => asked,
        Err(failure) => {
            let check = Check::fail("capture/armed", "nothing is captured: meshd does not answer");
            return vec![check.because(failure.message()).fixed_by("meshctl status")];
        }
    };
    let mut checks = vec![armed(&status)];
    if status.backend == "none" {
        return checks;
    }
    if let Some(bypass) = bypass {
        let check = Check::warn("capture/bypass", bypass.summary);
        checks.push(check.because("somebody told it to for a time").fixed_by(bypass.fix));
        return checks;
    }
    if let Err(failure) = enter(context) {
        let check = Check::fail("capture/run", "this process cannot enter a run scope");
        checks.push(check.because(failure.message()).fixed_by("meshctl run -- true"));
        return checks;
    }
    checks.push(Check::ok("capture/run", "a run scope was made and entered"));
    checks.extend(intercepted(&ranges));
    checks.push(match ranges.dns {
        true => resolves(),
        false => Check::skip("capture/dns", "off, as the settings say (capture.dns)"),
    });
    checks.push(undeclared(ranges.v4.into()));
    checks.push(pass_through());
    checks
}

/// Moves this process into a run scope, as nobody.
pub(super) fn enter(context: &Context) -> Result<(), Failure> {
    let wanted = StartRunRequest {
        namespace: context.namespace.clone(),
        command: vec!["meshctl".to_owned(), "check".to_owned()],
        ..StartRunRequest::default()
    };
    block_on(run::start(wanted, context)).map(drop)
}

/// Addresses of the virtual ranges that no service gets, and whether names lead into them.
pub(super) struct Ranges {
    v4: Ipv4Addr,
    v6: Ipv6Addr,
    pub(super) dns: bool,
}

/// How capture is, the bypass of everything if there is one, and where to probe.
async fn asked(context: &Context) -> Result<(CaptureStatus, Option<Problem>, Ranges), Failure> {
    let client = context.client().await?;
    let status = client.call(client.status().get_status(GetStatusRequest {})).await?;
    let bypass = status.problems.into_iter().find(|problem| problem.id == "bypass/*");
    Ok((status.capture.unwrap_or_default(), bypass, Ranges::read(&client).await?))
}

impl Ranges {
    pub(super) async fn read(client: &Client) -> Result<Self, Failure> {
        let settings = client.call(client.status().get_settings(GetSettingsRequest {})).await?;
        let setting = |key: &str| {
            let found = settings.settings.iter().find(|setting| setting.key == key);
            found.map_or("", |setting| setting.value.as_str())
        };
        let base = |key: &str| setting(key).split('/').next()?.parse::<IpAddr>().ok();
        let v4 = match base("capture.vip4") {
            Some(IpAddr::V4(base)) => Ipv4Addr::from_bits(base.to_bits() | 0xfe),
            _ => Ipv4Addr::new(240, 0, 0, 254),
        };
        let v6 = match base("capture.vip6") {
            Some(IpAddr::V6(base)) => Ipv6Addr::from_bits(base.to_bits() | 0xffff_fffe),
            _ => Ipv6Addr::UNSPECIFIED,
        };
        Ok(Self { v4, v6, dns: setting("capture.dns") != "off" })
    }
}

fn armed(status: &CaptureStatus) -> Check {
    let CaptureStatus { backend, programs, scope, fail_mode, .. } = status;
    let what = if backend == "ebpf" { "programs" } else { "rules" };
    let id = "capture/armed";
    if backend == "none" {
        return Check::warn(id, "nothing is captured, as the settings say")
            .because("capture.backend is none")
            .fixed_by("sudo meshctl install --backend auto");
    }
    let summary = format!("{backend}, {programs} {what}, scope {scope}, fail-{fail_mode}");
    if *programs == 0 {
        return Check::fail(id, format!("{backend} has nothing attached"))
            .because("the backend lost what it had installed")
            .fixed_by("sudo systemctl restart meshd");
    }
    Check::ok(id, summary)
}

fn intercepted(ranges: &Ranges) -> Vec<Check> {
    let has_ipv6 = Path::new("/proc/net/if_inet6").exists();
    let probes = [
        ("capture/tcp4", Transport::Tcp, IpAddr::V4(ranges.v4)),
        ("capture/tcp6", Transport::Tcp, IpAddr::V6(ranges.v6)),
        ("capture/udp4", Transport::Udp, IpAddr::V4(ranges.v4)),
        ("capture/udp6", Transport::Udp, IpAddr::V6(ranges.v6)),
    ];
    let check = |(id, transport, to): (&str, Transport, IpAddr)| {
        if to.is_ipv6() && !has_ipv6 {
            return Check::skip(id, "IPv6 is off");
        }
        judged(id, to, probe::ask(transport, to, NAME))
    };
    probes.into_iter().map(check).collect()
}

fn judged(id: &str, to: IpAddr, answer: io::Result<Answer>) -> Check {
    match answer {
        Ok(Answer { authoritative: true, after, .. }) => {
            let ms = after.as_secs_f64() * 1000.0;
            Check::ok(id, format!("probe to {to} intercepted in {ms:.1}ms"))
        }
        Ok(_) => Check::fail(id, format!("somebody else answered a probe to {to}"))
            .because("the answer does not come from the mesh")
            .fixed_by("meshctl debug rules       (what is installed)"),
        Err(error) => Check::fail(id, format!("a probe to {to} was not intercepted"))
            .because(told(&error))
            .fixed_by(
                "meshctl events       (what happened to capture); sudo systemctl restart meshd",
            ),
    }
}

/// An error without the number of the system's.
fn told(error: &io::Error) -> String {
    let late = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&error.kind());
    if late { "no answer in time".to_owned() } else { error.kind().to_string() }
}

/// As programs do: through the host's own resolver.
fn resolves() -> Check {
    let id = "capture/dns";
    let server = dns::resolvers().first().copied().unwrap_or(Ipv4Addr::LOCALHOST.into());
    match probe::ask(Transport::Udp, server, NAME) {
        Ok(Answer { authoritative: true, after, .. }) => {
            let ms = after.as_secs_f64() * 1000.0;
            Check::ok(id, format!("a mesh name asked of {server} was answered in {ms:.1}ms"))
        }
        Ok(_) => Check::fail(id, format!("{server} itself answered for a mesh name"))
            .because("the question was not intercepted")
            .fixed_by("meshctl check --category dns -v"),
        Err(error) => Check::fail(id, format!("a mesh name asked of {server} was not answered"))
            .because(told(&error))
            .fixed_by("meshctl check --category dns -v"),
    }
}

fn undeclared(to: IpAddr) -> Check {
    let id = "capture/refusal";
    match probe::refused(to) {
        Ok(after) => {
            let ms = after.as_secs_f64() * 1000.0;
            Check::ok(id, format!("an undeclared port is refused in {ms:.1}ms"))
        }
        Err(error) => Check::fail(id, "an undeclared port of a virtual address is not refused")
            .because(told(&error))
            .fixed_by("meshctl debug rules       (the table meshd_vip refuses)"),
    }
}

/// What is no mesh traffic goes on as if we were not there.
fn pass_through() -> Check {
    let id = "capture/foreign";
    let tried = || {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let took = probe::connect(address)?;
        let (stream, _) = listener.accept()?;
        Ok::<_, io::Error>((took, stream.peer_addr()?))
    };
    match tried() {
        Ok((took, peer)) if peer.ip() == IpAddr::from(Ipv4Addr::LOCALHOST) => {
            let ms = took.as_secs_f64() * 1000.0;
            Check::ok(id, format!("a foreign connection goes direct, in {ms:.1}ms"))
        }
        Ok((_, peer)) => Check::fail(id, "a foreign connection does not go direct")
            .because(format!("it arrived from {peer}"))
            .fixed_by("meshctl debug rules"),
        Err(error) => Check::fail(id, "a foreign connection fails inside a run")
            .because(told(&error))
            .fixed_by("meshctl bypass --all       (until the cause is found)"),
    }
}
