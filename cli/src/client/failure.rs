//! Turns a failed call into what a person is told.
//!
//! The daemon sends an [`ErrorDetail`] with every refusal; a status without one comes from the
//! transport, and its code says what to do.

use mesh_proto::codes;
use mesh_proto::v1::ErrorDetail;
use prost::Message as _;
use tonic::{Code, Status};

use crate::error::{Exit, Failure};

pub(crate) fn of(status: &Status) -> Failure {
    match ErrorDetail::decode(status.details()) {
        Ok(detail) if !detail.message.is_empty() => from_detail(detail),
        Ok(_) | Err(_) => from_status(status),
    }
}

fn from_detail(detail: ErrorDetail) -> Failure {
    let exit = u8::try_from(detail.exit).ok().filter(|exit| *exit > 0);
    let exit = exit.map_or(Exit::FAILED, Exit);
    let failure = Failure::told(&detail.code, exit, detail.message);
    let failure = detail.why.into_iter().fold(failure, Failure::why);
    detail.fix.into_iter().fold(failure, Failure::fix)
}

fn from_status(status: &Status) -> Failure {
    let message = status.message();
    match status.code() {
        Code::DeadlineExceeded => Failure::new(&codes::CALL_TIMED_OUT, message),
        Code::Unimplemented => Failure::new(&codes::INCOMPATIBLE, "meshd does not know this call")
            .why("it is older than this meshctl")
            .fix("meshctl version   (install both from one release)"),
        Code::PermissionDenied | Code::Unauthenticated => Failure::new(&codes::PERMISSION, message),
        Code::NotFound => Failure::new(&codes::OBJECT_NOT_FOUND, message),
        Code::InvalidArgument => Failure::usage(message),
        Code::Aborted | Code::FailedPrecondition | Code::AlreadyExists => {
            Failure::new(&codes::GENERATION_MOVED, message)
        }
        Code::Unavailable | Code::Cancelled | Code::Unknown => {
            Failure::new(&codes::CONNECTION_LOST, "the connection to meshd broke")
                .why(message)
                .fix("meshctl status")
        }
        Code::Ok | Code::ResourceExhausted | Code::OutOfRange | Code::Internal | Code::DataLoss => {
            Failure::new(&codes::INTERNAL, message)
        }
    }
}
