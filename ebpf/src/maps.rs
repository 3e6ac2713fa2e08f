//! The maps, each with the operations its users need.

pub(crate) mod clients;
pub(crate) mod counters;
pub(crate) mod destinations;
pub(crate) mod exclusions;
pub(crate) mod inbound;
pub(crate) mod lease;
mod notes;
mod raw;
pub(crate) mod scopes;
pub(crate) mod wishes;

use aya::Ebpf;
use aya::maps::{Map, MapError};

use crate::LoadError;

/// Takes a map out of the object, as the type its users want.
pub(crate) fn take<M: TryFrom<Map, Error = MapError>>(
    ebpf: &mut Ebpf,
    name: &'static str,
) -> Result<M, LoadError> {
    let map = ebpf.take_map(name).ok_or(LoadError::Missing(name))?;
    M::try_from(map).map_err(|source| LoadError::Map { name, source })
}

/// It was not there: what was to be removed is.
pub(crate) fn or_gone(removed: Result<(), MapError>) -> Result<(), MapError> {
    let gone = |error: &MapError| {
        let missing = |error: &std::io::Error| error.raw_os_error() == Some(libc::ENOENT);
        matches!(error, MapError::KeyNotFound)
            || matches!(error, MapError::SyscallError(error) if missing(&error.io_error))
    };
    match removed {
        Err(error) if gone(&error) => Ok(()),
        other => other,
    }
}
