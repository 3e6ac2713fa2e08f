//! What the kernel and its programs must offer.

use std::fs;
use std::path::Path;

use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use nix::unistd::geteuid;

use super::Check;
use crate::host::settings::Plan;
use crate::host::{facts, program};

/// What capture needs of root: name and number of each capability.
const CAPABILITIES: [(&str, u32); 7] = [
    ("CAP_DAC_OVERRIDE", 1),
    ("CAP_DAC_READ_SEARCH", 2),
    ("CAP_NET_ADMIN", 12),
    ("CAP_NET_RAW", 13),
    ("CAP_SYS_ADMIN", 21),
    ("CAP_PERFMON", 38),
    ("CAP_BPF", 39),
];

pub(super) fn checks(plan: Option<&Plan>) -> Vec<Check> {
    let mut checks = vec![kernel(), architecture(), cgroup2(), capabilities()];
    checks.extend(plan.map(backend));
    checks.extend([bpffs(), btf(), lockdown(), security_module(), ipv6(), namespaces()]);
    checks.extend([descriptors(), firewall_program(), routing_program()]);
    checks
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn kernel() -> Check {
    let release = read("/proc/sys/kernel/osrelease");
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let id = "platform/kernel";
    if version >= (5, 9) {
        return Check::ok(id, format!("Linux {release}"));
    }
    let check = if version >= (4, 18) {
        Check::warn(id, format!("Linux {release} lacks parts of eBPF capture"))
    } else {
        Check::fail(id, format!("Linux {release} is too old"))
    };
    check
        .because("eBPF capture needs 5.9, owner tables of nft 5.12; 4.18 is the least")
        .fixed_by("a newer kernel, or --backend iptables")
}

fn architecture() -> Check {
    let name = std::env::consts::ARCH;
    let id = "platform/arch";
    if ["x86_64", "aarch64"].contains(&name) {
        return Check::ok(id, name);
    }
    Check::warn(id, format!("{name} is not tested"))
        .because("releases are tested on x86_64 and aarch64")
        .fixed_by("meshctl check       (after the installation: the probes tell)")
}

fn cgroup2() -> Check {
    let id = "platform/cgroup2";
    match facts::cgroup2() {
        Some(mount) => Check::ok(id, format!("mounted at {}", mount.display())),
        None => Check::fail(id, "no cgroup2 file system is mounted")
            .because("the mesh knows a process by its cgroup")
            .fixed_by("mount -t cgroup2 none /sys/fs/cgroup   (or boot with systemd.unified_cgroup_hierarchy=1)"),
    }
}

fn capabilities() -> Check {
    let id = "platform/capabilities";
    if !geteuid().is_root() {
        return Check::skip(id, "not root: what root may do here cannot be seen");
    }
    let status = read("/proc/self/status");
    let bounding = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    let set = bounding.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    let missing: Vec<_> = CAPABILITIES
        .iter()
        .filter(|(_, number)| set >> number & 1 == 0)
        .map(|(name, _)| *name)
        .collect();
    if missing.is_empty() {
        return Check::ok(id, "root has every capability capture needs");
    }
    Check::warn(id, format!("root lacks {}", missing.join(", ")))
        .because("the container or service manager took them away")
        .fixed_by("give them back (docker run --cap-add …, CapabilityBoundingSet=)")
}

fn backend(plan: &Plan) -> Check {
    let id = "platform/backend";
    match (&plan.backend, &plan.why) {
        (Some(backend), _) => Check::ok(id, format!("{backend} works ({})", plan.notes.join("; "))),
        (None, why) => {
            let why = why.clone().unwrap_or_default();
            if !geteuid().is_root() {
                return Check::skip(id, "only root can try the backends");
            }
            Check::fail(id, "no way to capture works on this host")
                .because(why)
                .fixed_by("install nftables, or let meshd choose: --backend auto")
        }
    }
}

fn bpffs() -> Check {
    let id = "platform/bpffs";
    match statfs("/sys/fs/bpf").map(|found| found.filesystem_type()) {
        Ok(BPF_FS_MAGIC) => Check::ok(id, "/sys/fs/bpf is mounted"),
        _ => Check::ok(id, "/sys/fs/bpf is not mounted; meshd mounts it where it pins"),
    }
}

fn btf() -> Check {
    let has = Path::new("/sys/kernel/btf/vmlinux").exists();
    let summary = if has { "the kernel has BTF" } else { "no BTF; none is needed" };
    Check::ok("platform/btf", summary)
}

fn lockdown() -> Check {
    let id = "platform/lockdown";
    if !read("/sys/kernel/security/lockdown").contains("[confidentiality]") {
        return Check::ok(id, "the kernel is not locked down");
    }
    Check::warn(id, "the kernel is locked down (confidentiality)")
        .because("it then refuses BPF programs that read what it holds")
        .fixed_by("lockdown=integrity on the kernel's command line, or --backend nft")
}

fn security_module() -> Check {
    let id = "platform/lsm";
    if read("/sys/fs/selinux/enforce") == "1" {
        return Check::warn(id, "SELinux enforces")
            .because("meshd needs bpf, netlink and cgroup access in its domain")
            .fixed_by("watch for denials: ausearch -m avc -c meshd");
    }
    let modules = read("/sys/kernel/security/lsm");
    Check::ok(id, if modules.is_empty() { "none that restricts us".to_owned() } else { modules })
}

fn ipv6() -> Check {
    let has = Path::new("/proc/net/if_inet6").exists();
    let summary = if has { "IPv6 is on" } else { "IPv6 is off; only IPv4 is captured" };
    Check::ok("platform/ipv6", summary)
}

fn namespaces() -> Check {
    let id = "platform/rootless";
    let none = read("/proc/sys/user/max_user_namespaces") == "0";
    let forbidden = read("/proc/sys/kernel/unprivileged_userns_clone") == "0"
        || read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1";
    if none || forbidden {
        return Check::ok(id, "user namespaces are restricted: no `run --rootless` here");
    }
    Check::ok(id, "users may make namespaces: `run --rootless` works")
}

fn descriptors() -> Check {
    let id = "platform/descriptors";
    let limit: u64 = read("/proc/sys/fs/nr_open").parse().unwrap_or(0);
    if limit >= 65_536 {
        return Check::ok(id, format!("a process may open {limit} files"));
    }
    Check::warn(id, format!("a process may open only {limit} files"))
        .because("each captured connection takes two")
        .fixed_by("sysctl fs.nr_open=1048576")
}

fn firewall_program() -> Check {
    let id = "platform/nft";
    if program::find("nft").is_some() {
        return Check::ok(id, "nft is installed");
    }
    Check::warn(id, "nft is missing")
        .because("without it virtual addresses are unreachable, not refused, outside a run")
        .fixed_by("install the package nftables")
}

fn routing_program() -> Check {
    let id = "platform/ip";
    if program::find("ip").is_some() {
        return Check::ok(id, "ip is installed");
    }
    Check::warn(id, "ip is missing")
        .because("the proof that an uninstall left nothing asks it")
        .fixed_by("install the package iproute2")
}
