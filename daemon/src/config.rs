//! meshd's own settings: flags over the file over the defaults, checked once.
//!
//! Raw values are as written; a [`Config`] in hand is the proof that they are usable together.
//! Defaults are written once, in [`raw::Raw`]; unknown keys are refused.

mod exclude;
mod flags;
mod live;
mod places;
mod raw;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, fs, io, thread};

pub use flags::Flags;
use raw::Raw;

use crate::model::{Transport, contains};

/// Everything meshd may be told; each module gets its own part.
#[derive(Clone, Debug)]
pub struct Config {
    flags: Flags,
    pub(crate) identity: Identity,
    pub(crate) state_dir: PathBuf,
    /// Files and folders of manifests kept applied: at start, on SIGHUP and when they change.
    pub(crate) manifests: Vec<PathBuf>,
    pub(crate) api: Api,
    pub(crate) capture: Capture,
    pub(crate) proxy: Proxy,
    pub(crate) admin: Admin,
    /// Stop once the last run without root has ended.
    pub(crate) ends_with_runs: bool,
    pub(crate) metrics_compat: MetricsCompat,
    pub(crate) log: Log,
    pub(crate) access_log: AccessLog,
    pub(crate) drain: Drain,
    /// Key, value, origin of every setting, for `meshctl env`.
    pub(crate) origins: Vec<(String, String, String)>,
}

/// Who this daemon is.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) node: String,
    pub(crate) mesh: String,
    pub(crate) trust_domain: String,
}

/// The socket `meshctl` talks to.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    pub(crate) socket: PathBuf,
    /// Anyone on the host may read.
    pub(crate) readable_by_all: bool,
    pub(crate) grants: Vec<Grant>,
}

/// Lets a user or group register and run as a service nobody else claimed.
#[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Grant {
    /// A service name, or `*`.
    pub(crate) service: String,
    #[serde(default)]
    pub(crate) uids: Vec<u32>,
    #[serde(default)]
    pub(crate) gids: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Capture {
    pub(crate) backend: BackendChoice,
    /// Cgroup below the cgroup2 mount that holds every run, "meshd.slice".
    pub(crate) cgroup: String,
    pub(crate) tcp_port: u16,
    /// Captured datagrams.
    pub(crate) udp_port: u16,
    pub(crate) dns_port: u16,
    /// Questions are captured, whoever is asked; else only those to a virtual address.
    pub(crate) dns: bool,
    /// What comes in for services of this node.
    pub(crate) inbound_tcp_port: u16,
    pub(crate) inbound_udp_port: u16,
    pub(crate) scope: CaptureScope,
    pub(crate) exclude: Exclude,
    pub(crate) fail_mode: FailMode,
    /// Plaintext between services is refused rather than sent: `mtls.mode: strict`.
    pub(crate) strict: bool,
    pub(crate) vip4: Range<Ipv4Addr>,
    pub(crate) vip6: Range<std::net::Ipv6Addr>,
    /// Socket marks: our own traffic, and captured traffic; only `mark_mask` bits count.
    pub(crate) mark_own: u32,
    pub(crate) mark_captured: u32,
    pub(crate) mark_mask: u32,
}

/// Where the admin endpoint listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Admin {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl fmt::Display for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Capture {
    /// Whether the range of virtual addresses has it.
    pub(crate) fn is_virtual(&self, ip: IpAddr) -> bool {
        contains(self.vip4.base.into(), self.vip4.prefix, ip)
            || contains(self.vip6.base.into(), self.vip6.prefix, ip)
    }
}

/// Whose traffic is captured without being named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CaptureScope {
    /// Nobody's: only registered, run and attached workloads.
    Services,
    /// Everybody's in meshd's network namespace.
    Host,
}

/// What becomes of captured traffic while meshd does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailMode {
    /// What leads out of the mesh flows; mesh names are refused, or sent to the last ready
    /// endpoint where the backend can and plaintext is allowed.
    Open,
    /// Refused.
    Closed,
}

/// What is never captured, beside port 22 and meshd's own traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exclude {
    pub(crate) ports: Vec<PortRange>,
    pub(crate) cidrs: Vec<(IpAddr, u8)>,
    pub(crate) uids: Vec<u32>,
    pub(crate) interfaces: Vec<String>,
    /// Paths below the cgroup2 mount.
    pub(crate) cgroups: Vec<String>,
}

/// Both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PortRange {
    pub(crate) transport: Transport,
    pub(crate) first: u16,
    pub(crate) last: u16,
}

/// An address range, `base` with its host bits zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range<A> {
    pub(crate) base: A,
    pub(crate) prefix: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BackendChoice {
    /// `ebpf`, else `nft`, else `iptables`.
    Auto,
    Ebpf,
    Nft,
    Iptables(IptablesVariant),
    /// Only what runs in network namespaces of its own; needs no privilege.
    Netns,
    /// Nothing is captured; the API and the registry run.
    None,
}

/// Which programs load rules of iptables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IptablesVariant {
    /// `iptables` as this host means it.
    Any,
    Nft,
    Legacy,
}

#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    pub(crate) workers: NonZeroUsize,
    pub(crate) connect_timeout: Duration,
    /// A TCP connection without a byte either way ends after this.
    pub(crate) tcp_idle: Duration,
    /// An HTTP client connection between requests.
    pub(crate) client_idle: Duration,
    /// A pooled upstream connection.
    pub(crate) upstream_idle: Duration,
    /// First byte of a head to its end.
    pub(crate) header_timeout: Duration,
    /// A request body without progress.
    pub(crate) body_stall: Duration,
    /// An answer without progress.
    pub(crate) response_stall: Duration,
    /// Open captured connections, all workers together.
    pub(crate) max_connections: usize,
    /// A session of datagrams ends after so long without one.
    pub(crate) udp_idle: Duration,
    /// Sessions of datagrams, all workers together.
    pub(crate) max_sessions: usize,
    /// `SO_MARK` of every socket the proxy opens.
    pub(crate) mark: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetricsCompat {
    None,
    /// Also under GoMesh's names (`gomesh_*`).
    Gomesh,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    /// `info`, or per module: `info,meshd::capture=debug`.
    pub(crate) filter: String,
    pub(crate) format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccessLog {
    pub(crate) format: AccessLogFormat,
    /// `None`: standard output.
    pub(crate) file: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AccessLogFormat {
    Off,
    /// Envoy-style line; the template's `%FIELDS%` are documented in `docs/access-log.md`.
    Text(String),
    Json,
}

/// How meshd stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Drain {
    /// Open requests and connections may go on this long after the stop signal.
    pub(crate) grace: Duration,
}

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidConfig {
    #[error("cannot read {}", file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("{}: {text}", file.display())]
    Malformed { file: PathBuf, text: String },
    #[error("{key}: {value} {rule}")]
    Value { key: &'static str, value: String, rule: &'static str },
}

impl Config {
    /// Reads the file `flags` name (or the usual one where it exists) and lays the flags over it.
    ///
    /// # Errors
    /// [`InvalidConfig`] names the file, or the key and the rule its value breaks.
    pub fn load(flags: &Flags) -> Result<Self, InvalidConfig> {
        let file = match &flags.config {
            Some(file) => Some(file.clone()),
            None => Some(places::Places::find().file).filter(|file| file.exists()),
        };
        let written = file.as_deref().map(read).transpose()?;
        let raw = written.clone().unwrap_or_default();
        let mut config = Self::check(flags.over(raw))?;
        config.ends_with_runs = flags.ends_with_runs;
        config.origins = raw::origins(written.as_ref(), file.as_deref(), flags);
        config.flags = flags.clone();
        Ok(config)
    }

    /// The settings as they are now, under the flags of the start.
    pub(crate) fn reload(&self) -> Result<Self, InvalidConfig> {
        Self::load(&self.flags)
    }

    fn check(raw: Raw) -> Result<Self, InvalidConfig> {
        let node = raw.node.unwrap_or_else(host_name);
        let valid_name = |name: &str| mesh_proto::manifest::is_name(name);
        if !valid_name(&node) {
            return Err(invalid("node", &node, NAME_RULE));
        }
        if !valid_name(&raw.mesh) {
            return Err(invalid("mesh", &raw.mesh, NAME_RULE));
        }
        let cgroup = raw.cgroup.trim_matches('/').to_owned();
        if cgroup.is_empty() || cgroup.contains("..") || cgroup.contains(char::is_whitespace) {
            return Err(invalid("cgroup", &raw.cgroup, "must be a path below the cgroup2 mount"));
        }
        let trust_domain = raw.trust_domain.unwrap_or_else(|| format!("{}.mesh", raw.mesh));
        let capture = raw.capture.check(cgroup, raw.mtls.is_strict()?)?;
        let proxy = raw.proxy.check(capture.mark_own, default_workers())?;
        Ok(Self {
            flags: Flags::default(),
            identity: Identity { node, mesh: raw.mesh, trust_domain },
            state_dir: raw.state_dir,
            manifests: raw.manifests,
            api: raw.api.check(raw.socket)?,
            capture,
            proxy,
            admin: admin(&raw.admin)?,
            ends_with_runs: false,
            metrics_compat: raw.metrics.check()?,
            log: raw.log.check()?,
            access_log: raw.access_log.check()?,
            drain: Drain { grace: Duration::from_secs(raw.drain.grace_secs) },
            origins: Vec::new(),
        })
    }
}

const NAME_RULE: &str =
    "must be 1 to 63 of a-z, 0-9 and -, starting and ending with a letter or digit";

fn admin(text: &str) -> Result<Admin, InvalidConfig> {
    const RULE: &str = "must be an address and port, 127.0.0.1:15020, or unix:/path/of/a/socket";
    let parsed = match text.strip_prefix("unix:") {
        Some(path) => Some(Admin::Unix(path.into())).filter(|_| path.starts_with('/')),
        None => text.parse().ok().map(Admin::Tcp),
    };
    parsed.ok_or_else(|| invalid("admin", text, RULE))
}

fn read(file: &Path) -> Result<Raw, InvalidConfig> {
    let unreadable = |source| InvalidConfig::Unreadable { file: file.to_owned(), source };
    let text = fs::read_to_string(file).map_err(unreadable)?;
    if text.trim().is_empty() {
        return Ok(Raw::default());
    }
    serde_saphyr::from_str(&text).map_err(|error| InvalidConfig::Malformed {
        file: file.to_owned(),
        text: error.to_string(),
    })
}

fn invalid(
    key: &'static str,
    value: &(impl ToString + ?Sized),
    rule: &'static str,
) -> InvalidConfig {
    InvalidConfig::Value { key, value: value.to_string(), rule }
}

/// The host's name up to its first dot, made a valid node name.
fn host_name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let name = name.unwrap_or_default().to_ascii_lowercase();
    let label = name.split('.').next().unwrap_or_default().replace('_', "-");
    if mesh_proto::manifest::is_name(&label) { label } else { "node".to_owned() }
}

fn default_workers() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}
