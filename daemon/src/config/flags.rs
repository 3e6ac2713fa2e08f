//! The command line of `meshd`.

use std::path::PathBuf;

use super::raw::Raw;

/// The meshctl daemon: captures the traffic of chosen processes, carries it, answers meshctl.
///
/// Without any flag it uses /etc/meshd/config.yaml where that exists, and the defaults. Another
/// user's daemon has its files below XDG_CONFIG_HOME, XDG_STATE_HOME and XDG_RUNTIME_DIR, and its
/// admin endpoint on a socket there.
#[derive(Clone, Debug, Default, clap::Parser)]
#[command(name = "meshd", version, max_term_width = 100)]
pub struct Flags {
    /// Settings file [default: /etc/meshd/config.yaml where it exists]
    #[arg(long, value_name = "FILE", env = "MESHD_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// Name of this node [default: the host name]
    #[arg(long, value_name = "NAME")]
    pub(super) node: Option<String>,
    /// Name of the mesh [default: default]
    #[arg(long, value_name = "NAME")]
    pub(super) mesh: Option<String>,
    /// SPIFFE trust domain [default: MESH.mesh]
    #[arg(long, value_name = "NAME")]
    pub(super) trust_domain: Option<String>,
    /// Where state is kept [default: /var/lib/meshd]
    #[arg(long, value_name = "DIR")]
    pub(super) state_dir: Option<PathBuf>,
    /// Unix socket meshctl talks to [default: /run/meshd/meshd.sock]
    #[arg(long, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
    /// Cgroup, below the cgroup2 mount, that holds every run [default: meshd.slice]
    #[arg(long, value_name = "PATH")]
    pub(super) cgroup: Option<String>,
    /// Where /metrics, /stats and /health are: ADDR:PORT or unix:PATH [default: 127.0.0.1:15020]
    #[arg(long, value_name = "ADDR")]
    pub(super) admin: Option<String>,
    /// How traffic is captured: auto, ebpf, nft, iptables, netns (without root), none [default: auto]
    #[arg(long, value_name = "NAME")]
    pub(super) backend: Option<String>,
    /// Data plane workers, one core each [default: the cores meshd may use]
    #[arg(long, value_name = "N")]
    pub(super) workers: Option<usize>,
    /// Port captured TCP arrives at [default: 15001]
    #[arg(long, value_name = "PORT")]
    pub(super) tcp_port: Option<u16>,
    /// Port captured DNS arrives at [default: 15053]
    #[arg(long, value_name = "PORT")]
    pub(super) dns_port: Option<u16>,
    /// One line per request: off, text or json [default: off]
    #[arg(long, value_name = "FORMAT")]
    pub(super) access_log: Option<String>,
    /// Where access log lines go [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(super) access_log_file: Option<PathBuf>,
    /// Log filter: a level, or per module ("info,meshd::capture=debug") [default: info]
    #[arg(long, value_name = "FILTER", env = "MESHD_LOG")]
    pub(super) log_level: Option<String>,
    /// Log format: json or text [default: json, text on a terminal]
    #[arg(long, value_name = "FORMAT")]
    pub(super) log_format: Option<String>,
    /// Manifest file or folder to keep applied (repeatable)
    #[arg(long, value_name = "PATH")]
    pub(super) manifests: Vec<PathBuf>,
    /// Remove what a daemon with these settings left on the host after a crash, then exit
    #[arg(long)]
    pub cleanup: bool,
    /// End with the last run without root, as a daemon that was started for one does
    #[arg(long)]
    pub(super) ends_with_runs: bool,
    /// Make the namespace this process is in one of RUN, and hand its sockets to meshd at PATH
    #[arg(long, value_name = "PATH", requires = "run", hide = true)]
    pub gate: Option<PathBuf>,
    #[arg(long, value_name = "RUN", requires = "gate", hide = true)]
    pub run: Option<String>,
    /// Take the rules of iptables out when nothing is heard on standard input: started by meshd
    #[arg(long, value_name = "PROGRAM", hide = true)]
    pub guard: Option<String>,
    /// Check the settings and print what meshd would do on this host, as JSON, then exit
    #[arg(long, conflicts_with = "cleanup")]
    pub plan: bool,
}

impl Flags {
    /// The file's settings with every given flag in their place.
    pub(super) fn over(&self, mut raw: Raw) -> Raw {
        fn set<T: Clone>(place: &mut T, flag: Option<&T>) {
            if let Some(value) = flag {
                place.clone_from(value);
            }
        }
        set(&mut raw.mesh, self.mesh.as_ref());
        set(&mut raw.state_dir, self.state_dir.as_ref());
        set(&mut raw.socket, self.socket.as_ref());
        set(&mut raw.cgroup, self.cgroup.as_ref());
        set(&mut raw.admin, self.admin.as_ref());
        set(&mut raw.capture.backend, self.backend.as_ref());
        set(&mut raw.capture.tcp_port, self.tcp_port.as_ref());
        set(&mut raw.capture.dns_port, self.dns_port.as_ref());
        set(&mut raw.access_log.format, self.access_log.as_ref());
        set(&mut raw.log.level, self.log_level.as_ref());
        raw.node = self.node.clone().or(raw.node);
        raw.trust_domain = self.trust_domain.clone().or(raw.trust_domain);
        raw.proxy.workers = self.workers.or(raw.proxy.workers);
        raw.access_log.file = self.access_log_file.clone().or(raw.access_log.file);
        raw.log.format = self.log_format.clone().or(raw.log.format);
        raw.manifests.extend(self.manifests.iter().cloned());
        raw
    }
}
