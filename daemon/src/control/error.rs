//! What a refused call tells a person: the one place where errors become gRPC statuses.

use mesh_proto::codes::{self, Code};
use mesh_proto::manifest::ManifestError;
use mesh_proto::v1::ErrorDetail;
use prost::Message as _;
use tonic::Status;

use crate::intent::CommitError;
use crate::state::{Damage, UndoError, UpdateError};

/// A refusal: what happened, why, and commands that fix it, with the caller's own arguments.
#[derive(Clone, Debug)]
pub(crate) struct Failure(Box<Told>);

#[derive(Clone, Debug)]
struct Told {
    code: Code,
    message: String,
    why: Vec<String>,
    fix: Vec<String>,
}

impl Failure {
    /// Why and fix are the code's own until [`Self::why`] and [`Self::fix`] say better.
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        Self(Box::new(Told { code, message, why: Vec::new(), fix: Vec::new() }))
    }

    pub(super) fn why(mut self, why: impl Into<String>) -> Self {
        self.0.why.push(why.into());
        self
    }

    pub(super) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.0.fix.push(fix.into());
        self
    }

    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let Told { code, message, mut why, mut fix } = *failure.0;
        if why.is_empty() {
            why.push(code.why.to_owned());
        }
        if fix.is_empty() {
            fix.push(code.fix.to_owned());
        }
        let exit = code.exit;
        let detail =
            ErrorDetail { code: code.code.to_owned(), message: message.clone(), why, fix, exit };
        Self::with_details(grpc(exit), message, detail.encode_to_vec().into())
    }
}

/// The nearest gRPC code, for clients that look no further.
fn grpc(exit: i32) -> tonic::Code {
    match exit {
        2 => tonic::Code::InvalidArgument,
        5 => tonic::Code::NotFound,
        6 => tonic::Code::Aborted,
        7 => tonic::Code::PermissionDenied,
        124 => tonic::Code::DeadlineExceeded,
        _ => tonic::Code::FailedPrecondition,
    }
}

impl From<Vec<ManifestError>> for Failure {
    /// The first mistake makes the message, the others are told as well.
    fn from(errors: Vec<ManifestError>) -> Self {
        let mut errors = errors.into_iter();
        let Some(first) = errors.next() else {
            return Self::new(codes::INTERNAL, "the manifest was refused without a reason");
        };
        let mut failure = Self::new(first.code, first.to_string()).why(first.why.clone());
        failure.0.why.extend(errors.map(|other| format!("also {other}")));
        failure.fix(first.hint)
    }
}

impl<E: Into<Self>> From<UpdateError<E>> for Failure {
    fn from(error: UpdateError<E>) -> Self {
        match error {
            UpdateError::Refused(refused) => refused.into(),
            UpdateError::Moved { head } => {
                Self::new(codes::GENERATION_MOVED, format!("the newest generation is {head}"))
                    .why("it was changed after you looked")
                    .fix(format!("meshctl history, then repeat with --if-generation {head}"))
            }
            UpdateError::NoFreeAddress(error) => {
                Self::new(codes::NO_FREE_ADDRESS, error.to_string())
            }
            UpdateError::NotStored(error) => error.into(),
            UpdateError::ReadOnly(damage) => damage.into(),
            UpdateError::NotLive { generation, laggards } => Self::new(
                codes::NOT_LIVE,
                format!("generation {generation} is stored but not live everywhere in time"),
            )
            .why(format!("not yet used by {}", laggards.join(", ")))
            .fix("meshctl status"),
        }
    }
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict(head) => Self::new(
                codes::GENERATION_MOVED,
                format!("the newest generation is {}", head.revision),
            ),
            CommitError::DiskFull => {
                Self::new(codes::NOT_STORED, "the change could not be stored: no space on the disk")
                    .why("the disk of the state directory is full; nothing was changed, meshd goes on serving")
                    .fix("df -h   (free some space, then repeat the command)")
            }
            CommitError::Storage(source) => {
                Self::new(codes::NOT_STORED, "the change could not be stored")
                    .why(format!("{source}; nothing was changed, meshd goes on serving"))
            }
            CommitError::TooLarge { .. } => Self::new(codes::TOO_LARGE, error.to_string()),
            CommitError::Mismatch(_) => Self::new(codes::INTERNAL, error.to_string()),
        }
    }
}

impl From<Damage> for Failure {
    fn from(damage: Damage) -> Self {
        let (file, kept) = (damage.file.display(), damage.kept.display());
        Self::new(codes::STATE_CORRUPT, format!("changes are refused: {file} was damaged"))
            .why(format!("{}; its bytes are kept as {kept}", damage.why))
            .fix(format!("sudo cp BACKUP {file}, then restart meshd"))
            .fix(format!(
                "or start empty: sudo rm {kept}, restart meshd, meshctl apply -f MANIFESTS"
            ))
    }
}

impl From<UndoError> for Failure {
    fn from(error: UndoError) -> Self {
        let message = error.to_string();
        match error {
            UndoError::Nothing | UndoError::Unknown(_) | UndoError::Forgotten { .. } => {
                Self::new(codes::GENERATION_NOT_FOUND, message).fix("meshctl history")
            }
            UndoError::Conflict { .. } => Self::new(codes::UNDO_CONFLICT, message)
                .fix("meshctl history   (undo the later change first)"),
            UndoError::Value(_) | UndoError::Log(_) => Self::new(codes::INTERNAL, message),
        }
    }
}
