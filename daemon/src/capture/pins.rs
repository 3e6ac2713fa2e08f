//! Where BPF links and maps outlive meshd: a folder of the BPF file system.
//!
//! The file system is mounted where it is missing, under a name of ours, and unmounted with the
//! last pin in it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use mesh_ebpf::Pins;
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MsFlags, mount, umount};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

const MOUNT_POINT: &str = "/sys/fs/bpf";
/// Source of a mount of ours, as /proc/self/mountinfo shows it.
const OUR_MOUNT: &str = "meshd";

/// The folder of the daemon that has `cgroup`.
fn folder(cgroup: &str) -> PathBuf {
    // The file system takes no dots.
    let name = cgroup.replace('.', "_").replace('/', "-");
    Path::new(MOUNT_POINT).join("meshd").join(name)
}

/// What an earlier daemon pinned, as far as a new one can go on with it.
pub(super) fn kept(cgroup: &str) -> Option<PathBuf> {
    let maps = folder(cgroup).join("maps");
    (is_mounted() && maps.is_dir()).then_some(maps)
}

/// Makes the folders, and mounts the file system where there is none.
pub(super) fn prepare(cgroup: &str) -> io::Result<Pins> {
    let _alone = lock()?;
    if !is_mounted() {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some(OUR_MOUNT), MOUNT_POINT, Some("bpf"), flags, Some("mode=700"))?;
    }
    let folder = folder(cgroup);
    let pins = Pins { maps: folder.join("maps"), links: folder.join("links") };
    for path in [&pins.maps, &pins.links] {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    }
    Ok(pins)
}

/// Removes every pin of the daemon that has `cgroup`, and the mount if it was ours and nobody
/// else uses it. `false`: there was nothing.
pub(super) fn remove(cgroup: &str) -> io::Result<bool> {
    if !is_mounted() {
        return Ok(false);
    }
    let _alone = lock()?;
    let folder = folder(cgroup);
    let found = folder.is_dir();
    // What captures goes first.
    for part in [folder.join("links"), folder.join("maps"), folder] {
        match fs::remove_dir_all(&part) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    let ours = Path::new(MOUNT_POINT).join("meshd");
    // Other daemons of this host may have theirs in it.
    let unused = fs::remove_dir(&ours).is_ok() || !ours.exists();
    if unused && is_our_mount()? && is_empty()? {
        umount(MOUNT_POINT)?;
    }
    Ok(found)
}

/// But for the kernel's own files, which alone may have a dot in their name.
fn is_empty() -> io::Result<bool> {
    let mut names = fs::read_dir(MOUNT_POINT)?.flatten().map(|entry| entry.file_name());
    Ok(names.all(|name| name.to_string_lossy().contains('.')))
}

fn is_mounted() -> bool {
    statfs(MOUNT_POINT).is_ok_and(|found| found.filesystem_type() == BPF_FS_MAGIC)
}

fn is_our_mount() -> io::Result<bool> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    let top = table.lines().rfind(|line| line.split(' ').nth(4) == Some(MOUNT_POINT));
    let source = top.and_then(|line| line.split_once(" - bpf ")?.1.split(' ').next());
    Ok(source == Some(OUR_MOUNT))
}

/// Daemons side by side must not mount twice, or unmount under each other.
fn lock() -> io::Result<Flock<File>> {
    let parent = File::open("/sys/fs")?;
    Flock::lock(parent, FlockArg::LockExclusive).map_err(|(_, error)| error.into())
}
