//! What the kernel knows about the programs, ours and others'.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::time::Duration;

use aya::programs::{ProgramInfo, loaded_programs};

/// Where each program sits, in the order they are attached: a captured socket never exists
/// without its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    Release,
    Peer4,
    Peer6,
    Receive4,
    Receive6,
    Inbound,
    Send4,
    Send6,
    Connect4,
    Connect6,
}

/// What a program is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A socket and an address somebody asked for.
    Address,
    Socket,
    /// A packet nobody has a connection for.
    Lookup,
}

/// One program of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub hook: Hook,
    /// What the kernel and `bpftool` call it.
    pub id: u32,
    /// Calls so far, and the time they took; 0 unless `kernel.bpf_stats_enabled` is set.
    pub runs: u64,
    pub run_time: Duration,
    /// Programs of others at the same hook of the same cgroup: name and id.
    pub others: Vec<String>,
}

impl Hook {
    pub const ALL: [Self; 10] = [
        Self::Release,
        Self::Peer4,
        Self::Peer6,
        Self::Receive4,
        Self::Receive6,
        Self::Inbound,
        Self::Send4,
        Self::Send6,
        Self::Connect4,
        Self::Connect6,
    ];

    pub const fn program(self) -> &'static str {
        match self {
            Self::Release => "meshd_rel",
            Self::Peer4 => "meshd_p4",
            Self::Peer6 => "meshd_p6",
            Self::Receive4 => "meshd_r4",
            Self::Receive6 => "meshd_r6",
            Self::Inbound => "meshd_in",
            Self::Send4 => "meshd_s4",
            Self::Send6 => "meshd_s6",
            Self::Connect4 => "meshd_c4",
            Self::Connect6 => "meshd_c6",
        }
    }

    /// As sections and `bpftool` call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Release => "cgroup/sock_release",
            Self::Peer4 => "cgroup/getpeername4",
            Self::Peer6 => "cgroup/getpeername6",
            Self::Receive4 => "cgroup/recvmsg4",
            Self::Receive6 => "cgroup/recvmsg6",
            Self::Inbound => "sk_lookup",
            Self::Send4 => "cgroup/sendmsg4",
            Self::Send6 => "cgroup/sendmsg6",
            Self::Connect4 => "cgroup/connect4",
            Self::Connect6 => "cgroup/connect6",
        }
    }

    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::Release => Kind::Socket,
            Self::Inbound => Kind::Lookup,
            Self::Peer4
            | Self::Peer6
            | Self::Receive4
            | Self::Receive6
            | Self::Send4
            | Self::Send6
            | Self::Connect4
            | Self::Connect6 => Kind::Address,
        }
    }

    /// `enum bpf_attach_type`; `None`: not on a cgroup.
    pub(crate) const fn attach_type(self) -> Option<u32> {
        match self {
            Self::Connect4 => Some(10),
            Self::Connect6 => Some(11),
            Self::Send4 => Some(14),
            Self::Send6 => Some(15),
            Self::Receive4 => Some(19),
            Self::Receive6 => Some(20),
            Self::Peer4 => Some(29),
            Self::Peer6 => Some(30),
            Self::Release => Some(34),
            Self::Inbound => None,
        }
    }
}

pub(crate) fn of(infos: Vec<(Hook, ProgramInfo)>, cgroup: BorrowedFd<'_>) -> Vec<Report> {
    let names: Vec<_> = loaded_programs()
        .flatten()
        .map(|info| (info.id(), info.name_as_str().unwrap_or("-").to_owned()))
        .collect();
    let name = |id: u32| names.iter().find(|known| known.0 == id).map_or("-", |known| &known.1);
    let report = |(hook, info): (Hook, ProgramInfo)| {
        let there = hook.attach_type().and_then(|kind| query(cgroup, kind).ok());
        let there = there.unwrap_or_default().programs.into_iter();
        let others = there.filter(|id| *id != info.id()).map(|id| format!("{} ({id})", name(id)));
        Report {
            hook,
            id: info.id(),
            runs: info.run_count(),
            run_time: info.run_time(),
            others: others.collect(),
        }
    };
    infos.into_iter().map(report).collect()
}

/// Programs can be added to the cgroup beside those that are there.
///
/// # Errors
/// Somebody's program wants to be the only one; the text names hook and program.
pub fn cgroup_is_free(cgroup: BorrowedFd<'_>) -> Result<(), String> {
    /// `BPF_F_ALLOW_MULTI`.
    const SHARED: u32 = 2;
    for hook in Hook::ALL {
        let Some(kind) = hook.attach_type() else { continue };
        let Ok(there) = query(cgroup, kind) else { continue };
        if let [first, ..] = there.programs[..]
            && there.flags & SHARED == 0
        {
            return Err(format!("program {first} sits alone at {} of the cgroup", hook.name()));
        }
    }
    Ok(())
}

#[derive(Default)]
struct Attached {
    flags: u32,
    programs: Vec<u32>,
}

/// The part of `union bpf_attr` for `BPF_PROG_QUERY`.
#[repr(C)]
struct Query {
    target: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    programs: u64,
    count: u32,
    unused: u32,
}

fn query(cgroup: BorrowedFd<'_>, attach_type: u32) -> io::Result<Attached> {
    const PROG_QUERY: u32 = 16;
    /// `BPF_CGROUP_MAX_PROGS`.
    const MOST: usize = 64;
    let mut programs = [0_u32; MOST];
    let mut query = Query {
        target: cgroup.as_raw_fd().unsigned_abs(),
        attach_type,
        query_flags: 0,
        attach_flags: 0,
        programs: programs.as_mut_ptr().addr() as u64,
        count: MOST as u32,
        unused: 0,
    };
    let size = size_of::<Query>();
    // SAFETY: `programs` has room for `count` ids and outlives the call; `query` is as large as
    // said.
    let result = unsafe { libc::syscall(libc::SYS_bpf, PROG_QUERY, &raw mut query, size) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let programs = programs.into_iter().take(query.count as usize).collect();
    Ok(Attached { flags: query.attach_flags, programs })
}
