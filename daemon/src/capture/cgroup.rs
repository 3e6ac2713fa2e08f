//! Cgroups of version 2, wherever they are mounted.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};

/// The mount every path here is relative to.
#[derive(Clone, Debug)]
pub(super) struct Mount(PathBuf);

impl Mount {
    /// Looks in this process's mount table. On a hybrid host a plain `mkdir` below
    /// `/sys/fs/cgroup` would silently make a folder of a tmpfs, so the type is asked for.
    pub(super) fn find() -> io::Result<Self> {
        let table = fs::read_to_string("/proc/self/mountinfo")?;
        let is_cgroup2 = |path: &PathBuf| {
            statfs(path).is_ok_and(|found| found.filesystem_type() == CGROUP2_SUPER_MAGIC)
        };
        let found = cgroup2_mounts(&table).find(is_cgroup2);
        found.map(Self).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    #[cfg(test)]
    pub(super) fn at(root: &Path) -> Self {
        Self(root.to_owned())
    }

    pub(super) fn path(&self, relative: &str) -> PathBuf {
        self.0.join(relative.trim_start_matches('/'))
    }

    /// The cgroup the kernel calls `id`.
    pub(super) fn by_id(&self, id: u64) -> io::Result<PathBuf> {
        /// `FILEID_KERNFS`: the handle is the id and nothing else.
        const KERNFS: i32 = 0xfe;
        let mount = File::open(&self.0)?;
        let mut handle = Handle { length: 8, kind: KERNFS, id };
        let into = (&raw mut handle).cast::<libc::file_handle>();
        let flags = libc::O_PATH | libc::O_CLOEXEC;
        // SAFETY: `into` is a handle as long as it says; the descriptor is checked before it is
        // owned.
        let cgroup = unsafe {
            let fd = libc::open_by_handle_at(mount.as_raw_fd(), into, flags);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        fs::read_link(format!("/proc/self/fd/{}", cgroup.as_raw_fd()))
    }

    pub(super) fn root(&self) -> &Path {
        &self.0
    }
}

/// Room for `struct file_handle` with the 8 bytes that name a cgroup.
#[repr(C)]
struct Handle {
    length: u32,
    kind: i32,
    id: u64,
}

/// Mount points of type cgroup2 that show the hierarchy from its root.
fn cgroup2_mounts(table: &str) -> impl Iterator<Item = PathBuf> {
    table.lines().filter_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        (root == "/" && file_system.starts_with("cgroup2 ")).then(|| PathBuf::from(point))
    })
}

/// What `bpf_get_current_cgroup_id` and `INET_DIAG_CGROUP_ID` call it.
pub(super) fn id(cgroup: &Path) -> io::Result<u64> {
    Ok(fs::metadata(cgroup)?.ino())
}

/// Members of the cgroup itself, without those of cgroups below it.
pub(super) fn pids(cgroup: &Path) -> io::Result<Vec<u32>> {
    let text = fs::read_to_string(cgroup.join("cgroup.procs"))?;
    Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
}

/// Moves the process with all its threads.
pub(super) fn enter(cgroup: &Path, pid: u32) -> io::Result<()> {
    fs::write(cgroup.join("cgroup.procs"), pid.to_string())
}

/// Where `pid` is, relative to the mount.
pub(super) fn of_process(pid: u32) -> io::Result<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"));
    Ok(path.ok_or(io::ErrorKind::NotFound)?.to_owned())
}

/// Members of the cgroup and of those below it.
pub(super) fn members(cgroup: &Path) -> Vec<u32> {
    tree(cgroup).iter().filter_map(|path| pids(path).ok()).flatten().collect()
}

/// `path`, or the nearest cgroup above it that still exists.
pub(super) fn living_ancestor(mount: &Mount, path: &Path) -> PathBuf {
    let mut candidates = path.ancestors().take_while(|path| path.starts_with(mount.root()));
    candidates.find(|path| path.is_dir()).unwrap_or(mount.root()).to_owned()
}

pub(super) fn is_populated(cgroup: &Path) -> io::Result<bool> {
    let events = fs::read_to_string(cgroup.join("cgroup.events"))?;
    Ok(events.lines().any(|line| line == "populated 1"))
}

/// The cgroup and everything below it, deepest first.
pub(super) fn tree(cgroup: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![cgroup.to_owned()];
    while let Some(next) = open.pop() {
        if !is_leaf(&next) {
            let entries = fs::read_dir(&next).into_iter().flatten().flatten();
            open.extend(
                entries
                    .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                    .map(|entry| entry.path()),
            );
        }
        found.push(next);
    }
    found.reverse();
    found
}

/// A folder's links are its name, its own `.`, and the `..` of each folder in it: asked for those,
/// a cgroup need not be listed, whose files are many.
fn is_leaf(cgroup: &Path) -> bool {
    fs::metadata(cgroup).is_ok_and(|found| found.nlink() == 2)
}

/// Removes the cgroup and those below it; all must be empty. Gone already is fine.
pub(super) fn remove(cgroup: &Path) -> io::Result<()> {
    for each in tree(cgroup) {
        match fs::remove_dir(&each) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// A note on the cgroup itself; it lives as long as the cgroup.
pub(super) fn set_note(cgroup: &Path, key: &str, note: &[u8]) -> io::Result<()> {
    let (path, key) = (c_string(cgroup.as_os_str().as_bytes())?, c_string(key.as_bytes())?);
    let value = note.as_ptr().cast();
    // SAFETY: both strings are NUL-terminated, and `value` points at `note.len()` bytes.
    let result = unsafe { libc::setxattr(path.as_ptr(), key.as_ptr(), value, note.len(), 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

pub(super) fn note(cgroup: &Path, key: &str) -> io::Result<Vec<u8>> {
    /// The kernel keeps no longer value.
    const LONGEST: usize = 64 * 1024;
    let (path, key) = (c_string(cgroup.as_os_str().as_bytes())?, c_string(key.as_bytes())?);
    let mut note = vec![0_u8; LONGEST];
    let into = note.as_mut_ptr().cast();
    // SAFETY: both strings are NUL-terminated, and `into` has room for `LONGEST` bytes.
    let length = unsafe { libc::getxattr(path.as_ptr(), key.as_ptr(), into, LONGEST) };
    let length = usize::try_from(length).map_err(|_negative| io::Error::last_os_error())?;
    note.truncate(length);
    Ok(note)
}

fn c_string(bytes: &[u8]) -> io::Result<CString> {
    Ok(CString::new(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_cgroup2_hierarchy_counts() {
        let table = "\
32 25 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw
33 32 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
40 32 0:35 /docker/x /mnt/part rw - cgroup2 cgroup2 rw
42 32 0:35 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw,nsdelegate";
        let found: Vec<_> = cgroup2_mounts(table).collect();
        assert_eq!(found, [PathBuf::from("/sys/fs/cgroup/unified")]);
    }
}
