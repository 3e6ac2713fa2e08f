//! Who may do what: decided once for every call, from the kernel's word about the peer.
//!
//! Root, the daemon's own user, the user behind `sudo meshd` and the group `mesh` may do
//! everything; others may read where `api.readonly: all` says so. Names are identities: beyond
//! that, only root may claim a name that belongs to somebody else.

use std::ffi::CString;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::{Either, Ready, ready};
use mesh_proto::codes;
use nix::unistd::{Gid, Uid, User, getgrouplist};
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::transport::server::UdsConnectInfo;
use tonic::{Request, Status};

use super::error::Failure;
use super::socket::Door;
use crate::config::Grant;
use crate::model::{ServiceName, Subject};

/// The process at the other end of the socket when it connected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) uid: u32,
    gid: u32,
    pub(crate) pid: i32,
}

impl Peer {
    /// The peer of a call that came through the [`Gate`].
    pub(super) fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        let peer = request.extensions().get::<Self>().copied();
        peer.ok_or_else(|| Failure::new(codes::PERMISSION, "the caller is not known").into())
    }

    /// The user's name; the number where it has none here.
    pub(super) fn user(self) -> String {
        let user = User::from_uid(Uid::from_raw(self.uid)).ok().flatten();
        user.map_or_else(|| self.uid.to_string(), |user| user.name)
    }

    fn groups(self) -> Vec<u32> {
        let user = User::from_uid(Uid::from_raw(self.uid)).ok().flatten();
        let name = user.and_then(|user| CString::new(user.name).ok());
        let groups = name.and_then(|name| getgrouplist(&name, Gid::from_raw(self.gid)).ok());
        let groups = groups.unwrap_or_default().into_iter().map(Gid::as_raw);
        groups.chain([self.gid]).collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// Who is there, and does it run.
    Anybody,
    Read,
    Change,
}

/// What a call may do by its path; what is not listed changes something.
fn access(path: &str) -> Access {
    match path.trim_start_matches("/mesh.v1.") {
        "StatusService/Handshake" | "StatusService/GetStatus" => Access::Anybody,
        "StatusService/GetSettings"
        | "StatusService/GetCapture"
        | "ManifestService/Diff"
        | "ManifestService/Get"
        | "ManifestService/Watch"
        | "ManifestService/History"
        | "ManifestService/Export"
        | "RunService/ListRuns"
        | "AttachService/List"
        | "RecordService/List"
        | "RecordService/Stream"
        | "MetricsService/Text"
        | "MetricsService/Stream"
        | "EventService/Stream" => Access::Read,
        _ => Access::Change,
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Rules {
    readable_by_all: bool,
    grants: Vec<Grant>,
    door: Door,
    own_uid: u32,
}

impl Rules {
    pub(super) fn new(readable_by_all: bool, grants: Vec<Grant>, door: Door) -> Self {
        Self { readable_by_all, grants, door, own_uid: Uid::effective().as_raw() }
    }

    fn is_root(&self, peer: Peer) -> bool {
        peer.uid == 0 || peer.uid == self.own_uid
    }

    fn is_member(&self, peer: Peer) -> bool {
        self.is_root(peer)
            || self.door.sudo_user == Some(peer.uid)
            || self.door.group.is_some_and(|group| peer.groups().contains(&group))
    }

    fn admit(&self, peer: Peer, access: Access) -> Result<(), Failure> {
        let granted = match access {
            Access::Anybody => true,
            Access::Read => self.readable_by_all || self.is_member(peer),
            Access::Change => self.is_member(peer),
        };
        if granted {
            return Ok(());
        }
        let (user, verb) = (peer.user(), if access == Access::Read { "read" } else { "change" });
        let add = format!("sudo usermod -aG mesh {user}   (then log in again)");
        let failure = Failure::new(codes::PERMISSION, format!("{user} may not {verb} this mesh"));
        Err(match self.door.group {
            Some(_) => {
                failure.why(format!("{user} is neither root nor in the group mesh")).fix(add)
            }
            None => failure
                .why(format!("{user} is not root, and this host has no group mesh"))
                .fix(format!("sudo groupadd mesh; sudo systemctl restart meshd; {add}")),
        })
    }

    /// Whether `peer` may claim `name`, which belongs to `owner` so far.
    pub(super) fn admit_claim(
        &self,
        peer: Peer,
        name: &ServiceName,
        owner: Option<u32>,
    ) -> Result<(), Failure> {
        let granted = || {
            let groups = peer.groups();
            self.grants.iter().any(|grant| {
                (grant.service == "*" || grant.service == name.to_string())
                    && (grant.uids.contains(&peer.uid)
                        || grant.gids.iter().any(|gid| groups.contains(gid)))
            })
        };
        let Some(owner) = owner.filter(|owner| *owner != peer.uid) else { return Ok(()) };
        if self.is_root(peer) || granted() {
            return Ok(());
        }
        let owner = Peer { uid: owner, ..peer }.user();
        Err(Failure::new(codes::NOT_THIS_USER, format!("service \"{name}\" belongs to {owner}"))
            .why(format!("{} is neither its owner nor root, and no grant names it", peer.user()))
            .fix("repeat it with sudo, or under another name")
            .fix(format!(
                "or in meshd's settings: api.grants: [{{service: {name}, uids: [{}]}}]",
                peer.uid
            )))
    }
}

impl Rules {
    /// Whether `peer` may decide about the processes of `subject`, which are `owner`'s.
    pub(super) fn admit_subject(
        &self,
        peer: Peer,
        subject: &Subject,
        owner: Option<u32>,
    ) -> Result<(), Failure> {
        match owner {
            Some(owner) => self.admit_owner(peer, owner, &subject.to_string()),
            None if self.is_root(peer) => Ok(()),
            None => {
                Err(Failure::new(codes::PERMISSION, format!("{subject} is for root to attach"))
                    .why("units, containers and namespaces may hold processes of any user")
                    .fix("repeat it with sudo"))
            }
        }
    }

    /// Whether `peer` may decide about `what`, which is `owner`'s.
    pub(super) fn admit_owner(&self, peer: Peer, owner: u32, what: &str) -> Result<(), Failure> {
        if peer.uid == owner || self.is_root(peer) {
            return Ok(());
        }
        let owner = Peer { uid: owner, ..peer }.user();
        Err(Failure::new(codes::PERMISSION, format!("{what} belongs to {owner}"))
            .why(format!("{} is neither {owner} nor root", peer.user()))
            .fix("repeat it with sudo"))
    }
}

/// Lets a call through with its [`Peer`], or answers it with the refusal.
#[derive(Clone, Debug)]
pub(super) struct Gate<S> {
    pub(super) inner: S,
    pub(super) rules: Arc<Rules>,
}

impl<S> Service<http::Request<Body>> for Gate<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Either<Ready<Result<Self::Response, S::Error>>, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let peer = request.extensions().get::<UdsConnectInfo>().and_then(|info| info.peer_cred);
        let peer = peer.map(|peer| Peer {
            uid: peer.uid(),
            gid: peer.gid(),
            pid: peer.pid().unwrap_or_default(),
        });
        let unknown = || Failure::new(codes::PERMISSION, "the caller is not known");
        let admitted = peer
            .ok_or_else(unknown)
            .and_then(|peer| self.rules.admit(peer, access(request.uri().path())).map(|()| peer));
        match admitted {
            Ok(peer) => {
                request.extensions_mut().insert(peer);
                Either::Right(self.inner.call(request))
            }
            Err(failure) => Either::Left(ready(Ok(Status::from(failure).into_http()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_may_claim_any_name_others_only_their_own_or_a_free_one() {
        let rules = rules(Vec::new());
        assert!(claims(&rules, 0, Some(1000)));
        assert!(claims(&rules, 4_000_001, Some(4_000_001)));
        assert!(claims(&rules, 4_000_001, None));
        assert!(!claims(&rules, 4_000_001, Some(4_000_002)));
    }

    #[test]
    fn a_grant_lets_a_user_or_group_claim_a_name() {
        let grant = |service: &str, uids: &[u32], gids: &[u32]| {
            rules(vec![Grant {
                service: service.to_owned(),
                uids: uids.to_vec(),
                gids: gids.to_vec(),
            }])
        };
        assert!(claims(&grant("web", &[4_000_001], &[]), 4_000_001, Some(0)));
        assert!(claims(&grant("*", &[], &[4_000_009]), 4_000_001, Some(0)));
        assert!(!claims(&grant("pay", &[4_000_001], &[]), 4_000_001, Some(0)));
    }

    #[test]
    fn strangers_read_only_where_everybody_may() {
        let mut rules = rules(Vec::new());
        let stranger = peer(4_000_001);
        assert!(rules.admit(stranger, access("/mesh.v1.StatusService/GetStatus")).is_ok());
        assert!(rules.admit(stranger, access("/mesh.v1.ManifestService/Get")).is_err());
        rules.readable_by_all = true;
        assert!(rules.admit(stranger, access("/mesh.v1.ManifestService/Get")).is_ok());
        assert!(rules.admit(stranger, access("/mesh.v1.ManifestService/Apply")).is_err());
    }

    fn claims(rules: &Rules, uid: u32, owner: Option<u32>) -> bool {
        rules.admit_claim(peer(uid), &ServiceName::new("", "web"), owner).is_ok()
    }

    fn peer(uid: u32) -> Peer {
        Peer { uid, gid: 4_000_009, pid: 1 }
    }

    fn rules(grants: Vec<Grant>) -> Rules {
        Rules { readable_by_all: false, grants, door: Door::default(), own_uid: 0 }
    }
}
