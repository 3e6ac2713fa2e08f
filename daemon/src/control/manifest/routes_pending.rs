//! pending
use super::Manifests;
use crate::control::{authorise::Peer, error::Failure};
use mesh_proto::v1;
impl Manifests {
    pub(super) async fn set_rule(
        &self,
        _p: Peer,
        _r: v1::EditRouteRequest,
    ) -> Result<v1::ChangeResponse, Failure> {
        Err(Failure::new(mesh_proto::codes::INTERNAL, "pending"))
    }
    pub(super) async fn set_weights(
        &self,
        _p: Peer,
        _r: v1::SplitRequest,
    ) -> Result<v1::ChangeResponse, Failure> {
        Err(Failure::new(mesh_proto::codes::INTERNAL, "pending"))
    }
}
