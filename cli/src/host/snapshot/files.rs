//! Files and kernel settings, as what must be the same again.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Content, mode and owner; never times.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", tag = "is")]
pub(crate) enum FileState {
    Absent,
    Folder { mode: u32, uid: u32, gid: u32 },
    File { mode: u32, uid: u32, gid: u32, sha256: String },
    Link { to: PathBuf },
    Other,
}

impl FileState {
    pub(crate) fn of(path: &Path) -> Self {
        let Ok(found) = fs::symlink_metadata(path) else { return Self::Absent };
        let (mode, uid, gid) = (found.mode() & 0o7777, found.uid(), found.gid());
        if found.is_dir() {
            Self::Folder { mode, uid, gid }
        } else if found.is_symlink() {
            Self::Link { to: fs::read_link(path).unwrap_or_default() }
        } else if found.is_file() {
            let sha256 = digest(&fs::read(path).unwrap_or_default());
            Self::File { mode, uid, gid, sha256 }
        } else {
            Self::Other
        }
    }
}

fn digest(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Display for FileState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("absent"),
            Self::Folder { mode, uid, gid } => write!(f, "a folder {mode:o} {uid}:{gid}"),
            Self::File { mode, uid, gid, sha256 } => {
                let start = sha256.get(..12).unwrap_or_default();
                write!(f, "a file {mode:o} {uid}:{gid} sha256 {start}")
            }
            Self::Link { to } => write!(f, "a link to {}", to.display()),
            Self::Other => f.write_str("neither file nor folder"),
        }
    }
}

/// Others change these too, and may have done so since.
pub(super) fn is_shared(path: &Path) -> bool {
    let shared = ["passwd", "shadow", "group", "gshadow", "resolv.conf", "nsswitch.conf"];
    path.parent() == Some(Path::new("/etc"))
        && path.file_name().is_some_and(|name| shared.iter().any(|shared| name == *shared))
}

/// Kernel settings of the network, without those of single interfaces, which come and go.
pub(super) fn sysctls() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for part in ["ipv4", "ipv6", "core", "netfilter", "bridge"] {
        collect(&Path::new("/proc/sys/net").join(part), &mut found);
    }
    found
}

fn collect(folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            let inside = path.parent().and_then(Path::file_name);
            let per_interface = inside.is_some_and(|name| name == "conf" || name == "neigh");
            let common = ["all", "default", "lo"].iter().any(|name| path.ends_with(name));
            if !per_interface || common {
                collect(&path, found);
            }
        } else if !COUNTS.iter().any(|count| path.ends_with(count))
            && let Ok(value) = fs::read_to_string(&path)
        {
            found.insert(path.display().to_string(), value.trim_end().to_owned());
        }
    }
}

/// What counts or is random is no setting.
const COUNTS: [&str; 3] = ["nf_conntrack_count", "stable_secret", "tcp_fastopen_key"];
