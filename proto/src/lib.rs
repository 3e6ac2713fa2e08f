//! The only contract between `meshctl` and `meshd`: the gRPC API and the manifest people write.
//!
//! Both programs validate with the same code, so what `meshctl lint` accepts offline the daemon
//! accepts too. No tokio and no IO here.

pub mod codes;
pub mod manifest;

/// The gRPC API, generated from `proto/mesh/v1/*.proto`, whose comments are its documentation.
pub mod v1 {
    #![allow(
        clippy::all,
        clippy::pedantic,
        clippy::nursery,
        clippy::restriction,
        clippy::allow_attributes_without_reason,
        missing_docs,
        unreachable_pub,
        unused_qualifications,
        reason = "generated"
    )]
    include!("gen/mesh.v1.rs");

    /// Every message and service as a `FileDescriptorSet`.
    pub const DESCRIPTORS: &[u8] = include_bytes!("gen/descriptor.bin");
}
