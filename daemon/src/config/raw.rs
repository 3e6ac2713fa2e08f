//! The settings file as written, with the defaults, and the checks of each part.

mod capture;

use std::io::IsTerminal as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::places::Places;
use super::{
    AccessLog, AccessLogFormat, Api, Flags, Grant, InvalidConfig, Log, LogFormat, MetricsCompat,
    Proxy, invalid,
};
pub(super) use capture::RawCapture;

/// Envoy's default line, in the order the field agreed on.
const ACCESS_LOG_LINE: &str = "[%START_TIME%] \"%METHOD% %PATH% %PROTOCOL%\" %STATUS% %DURATION% \
                               %BYTES_SENT% %BYTES_RECEIVED% \"%UPSTREAM_CLUSTER%\"";

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    pub(super) node: Option<String>,
    pub(super) mesh: String,
    pub(super) trust_domain: Option<String>,
    pub(super) state_dir: PathBuf,
    pub(super) socket: PathBuf,
    pub(super) cgroup: String,
    pub(super) admin: String,
    pub(super) manifests: Vec<PathBuf>,
    pub(super) api: RawApi,
    pub(super) capture: RawCapture,
    pub(super) mtls: RawMtls,
    pub(super) proxy: RawProxy,
    pub(super) metrics: RawMetrics,
    pub(super) log: RawLog,
    pub(super) access_log: RawAccessLog,
    pub(super) drain: RawDrain,
}

impl Default for Raw {
    fn default() -> Self {
        let Places { state_dir, socket, admin, .. } = Places::find();
        Self {
            node: None,
            mesh: "default".to_owned(),
            trust_domain: None,
            state_dir,
            socket,
            cgroup: "meshd.slice".to_owned(),
            admin,
            manifests: Vec::new(),
            api: RawApi::default(),
            capture: RawCapture::default(),
            mtls: RawMtls::default(),
            proxy: RawProxy::default(),
            metrics: RawMetrics::default(),
            log: RawLog::default(),
            access_log: RawAccessLog::default(),
            drain: RawDrain::default(),
        }
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawApi {
    readonly: String,
    grants: Vec<Grant>,
}

impl Default for RawApi {
    fn default() -> Self {
        Self { readonly: "group".to_owned(), grants: Vec::new() }
    }
}

impl RawApi {
    pub(super) fn check(self, socket: PathBuf) -> Result<Api, InvalidConfig> {
        let readable_by_all = match self.readonly.as_str() {
            "group" => false,
            "all" => true,
            other => return Err(invalid("api.readonly", other, "must be group or all")),
        };
        Ok(Api { socket, readable_by_all, grants: self.grants })
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawMtls {
    mode: String,
}

impl Default for RawMtls {
    fn default() -> Self {
        Self { mode: "permissive".to_owned() }
    }
}

impl RawMtls {
    pub(super) fn is_strict(&self) -> Result<bool, InvalidConfig> {
        match self.mode.as_str() {
            "permissive" => Ok(false),
            "strict" => Ok(true),
            other => Err(invalid("mtls.mode", other, "must be permissive or strict")),
        }
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawProxy {
    pub(super) workers: Option<usize>,
    connect_timeout_ms: u64,
    tcp_idle_secs: u64,
    client_idle_secs: u64,
    upstream_idle_secs: u64,
    header_timeout_secs: u64,
    body_stall_secs: u64,
    response_stall_secs: u64,
    max_connections: usize,
    udp_idle_secs: u64,
    max_sessions: usize,
}

impl Default for RawProxy {
    fn default() -> Self {
        Self {
            workers: None,
            connect_timeout_ms: 1_000,
            tcp_idle_secs: 3_600,
            client_idle_secs: 600,
            upstream_idle_secs: 30,
            header_timeout_secs: 10,
            body_stall_secs: 60,
            response_stall_secs: 300,
            max_connections: 100_000,
            udp_idle_secs: 60,
            max_sessions: 65_536,
        }
    }
}

impl RawProxy {
    pub(super) fn check(self, mark: u32, cores: NonZeroUsize) -> Result<Proxy, InvalidConfig> {
        const POSITIVE: &str = "must be at least 1";
        let workers = match self.workers {
            None => cores,
            Some(workers) => NonZeroUsize::new(workers)
                .filter(|workers| workers.get() <= 1024)
                .ok_or_else(|| invalid("proxy.workers", &workers, "must be 1 to 1024"))?,
        };
        let secs = |key, value: u64| match value {
            0 => Err(invalid(key, &value, POSITIVE)),
            value => Ok(Duration::from_secs(value)),
        };
        if self.connect_timeout_ms == 0 {
            return Err(invalid("proxy.connect_timeout_ms", &0, POSITIVE));
        }
        if self.max_connections == 0 {
            return Err(invalid("proxy.max_connections", &0, POSITIVE));
        }
        if self.max_sessions == 0 {
            return Err(invalid("proxy.max_sessions", &0, POSITIVE));
        }
        Ok(Proxy {
            workers,
            connect_timeout: Duration::from_millis(self.connect_timeout_ms),
            tcp_idle: secs("proxy.tcp_idle_secs", self.tcp_idle_secs)?,
            client_idle: secs("proxy.client_idle_secs", self.client_idle_secs)?,
            upstream_idle: secs("proxy.upstream_idle_secs", self.upstream_idle_secs)?,
            header_timeout: secs("proxy.header_timeout_secs", self.header_timeout_secs)?,
            body_stall: secs("proxy.body_stall_secs", self.body_stall_secs)?,
            response_stall: secs("proxy.response_stall_secs", self.response_stall_secs)?,
            max_connections: self.max_connections,
            udp_idle: secs("proxy.udp_idle_secs", self.udp_idle_secs)?,
            max_sessions: self.max_sessions,
            mark,
        })
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawMetrics {
    compat: String,
}

impl Default for RawMetrics {
    fn default() -> Self {
        Self { compat: "none".to_owned() }
    }
}

impl RawMetrics {
    pub(super) fn check(&self) -> Result<MetricsCompat, InvalidConfig> {
        match self.compat.as_str() {
            "none" => Ok(MetricsCompat::None),
            "gomesh" => Ok(MetricsCompat::Gomesh),
            other => Err(invalid("metrics.compat", other, "must be none or gomesh")),
        }
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLog {
    pub(super) level: String,
    pub(super) format: Option<String>,
}

impl Default for RawLog {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: None }
    }
}

impl RawLog {
    pub(super) fn check(self) -> Result<Log, InvalidConfig> {
        let format = match self.format.as_deref() {
            Some("json") => LogFormat::Json,
            Some("text") => LogFormat::Text,
            Some(other) => return Err(invalid("log.format", other, "must be json or text")),
            None if std::io::stderr().is_terminal() => LogFormat::Text,
            None => LogFormat::Json,
        };
        if self.level.parse::<tracing_subscriber::filter::Targets>().is_err() {
            let rule =
                "must be error, warn, info, debug or trace, or module=level, comma separated";
            return Err(invalid("log.level", &self.level, rule));
        }
        Ok(Log { filter: self.level, format })
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAccessLog {
    pub(super) format: String,
    pub(super) file: Option<PathBuf>,
    template: String,
}

impl Default for RawAccessLog {
    fn default() -> Self {
        Self { format: "off".to_owned(), file: None, template: ACCESS_LOG_LINE.to_owned() }
    }
}

impl RawAccessLog {
    pub(super) fn check(self) -> Result<AccessLog, InvalidConfig> {
        let format = match self.format.as_str() {
            "off" => AccessLogFormat::Off,
            "text" => AccessLogFormat::Text(self.template),
            "json" => AccessLogFormat::Json,
            other => return Err(invalid("access_log.format", other, "must be off, text or json")),
        };
        Ok(AccessLog { format, file: self.file })
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawDrain {
    pub(super) grace_secs: u64,
}

impl Default for RawDrain {
    fn default() -> Self {
        Self { grace_secs: 10 }
    }
}

/// Every setting as `key`, effective value, and where it came from.
pub(super) fn origins(
    written: Option<&Raw>,
    file: Option<&Path>,
    flags: &Flags,
) -> Vec<(String, String, String)> {
    let defaults = leaves(&Raw::default());
    let in_file = leaves(written.unwrap_or(&Raw::default()));
    let effective = leaves(&flags.over(written.cloned().unwrap_or_default()));
    let file = file.map(|file| file.display().to_string()).unwrap_or_default();
    let origin = |key: &String, value: &String| {
        if in_file.iter().any(|(k, v)| k == key && v != value) {
            "flag".to_owned()
        } else if defaults.iter().any(|(k, v)| k == key && v != value) {
            file.clone()
        } else {
            "default".to_owned()
        }
    };
    effective.iter().map(|(key, value)| (key.clone(), value.clone(), origin(key, value))).collect()
}

fn leaves(raw: &Raw) -> Vec<(String, String)> {
    fn walk(path: &str, value: &serde_json::Value, out: &mut Vec<(String, String)>) {
        match value {
            serde_json::Value::Object(map) => {
                for (key, value) in map {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    walk(&path, value, out);
                }
            }
            serde_json::Value::String(text) => out.push((path.to_owned(), text.clone())),
            serde_json::Value::Null
            | serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::Array(_) => out.push((path.to_owned(), value.to_string())),
        }
    }
    let mut out = Vec::new();
    walk("", &serde_json::to_value(raw).unwrap_or_default(), &mut out);
    out
}
