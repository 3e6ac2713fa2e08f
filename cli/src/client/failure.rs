//! Turns a failed call into what a person is told.
//!
//! The daemon sends an [`ErrorDetail`] with every refusal; a status without one comes from the
//! transport, and its code says what to do.

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
    let failure = Failure::new(exit, &detail.code, detail.message);
    let failure = detail.why.into_iter().fold(failure, Failure::why);
    detail.fix.into_iter().fold(failure, Failure::fix)
}

fn from_status(status: &Status) -> Failure {
    let message = status.message();
    match status.code() {
        Code::DeadlineExceeded => Failure::new(Exit::TIMED_OUT, "MESH1006", message),
        Code::Unimplemented => {
            Failure::new(Exit::UNREACHABLE, "MESH1004", "meshd does not know this call")
                .why("its version is older than this meshctl")
                .fix("restart meshd with the version of `meshctl version`")
        }
        Code::PermissionDenied | Code::Unauthenticated => {
            Failure::new(Exit::PERMISSION, "MESH1005", message)
        }
        Code::NotFound => Failure::new(Exit::NOT_FOUND, "MESH1007", message),
        Code::InvalidArgument => Failure::usage(message),
        Code::Aborted | Code::FailedPrecondition | Code::AlreadyExists => {
            Failure::new(Exit::CONFLICT, "", message)
        }
        Code::Unavailable => {
            Failure::new(Exit::UNREACHABLE, "MESH1002", "the connection to meshd ended")
                .why(message)
                .fix("meshctl status")
        }
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::ResourceExhausted
        | Code::OutOfRange
        | Code::Internal
        | Code::DataLoss => Failure::new(Exit::FAILED, "MESH1003", message),
    }
}
