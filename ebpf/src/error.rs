//! What the kernel would not take.

use std::io;

use aya::maps::MapError;
use aya::pin::PinError;
use aya::programs::ProgramError;
use aya::programs::links::LinkError;

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the kernel refuses program {name}")]
    Program {
        name: &'static str,
        #[source]
        source: ProgramError,
    },
    #[error("the kernel refuses the BPF object")]
    Object(#[source] aya::EbpfError),
    #[error("map {name} cannot be used")]
    Map {
        name: &'static str,
        #[source]
        source: MapError,
    },
    #[error("program {name} cannot be linked")]
    Link {
        name: &'static str,
        #[source]
        source: LinkError,
    },
    #[error("{name} cannot be pinned")]
    Pin {
        name: &'static str,
        #[source]
        source: PinError,
    },
    #[error("the pin of {name} cannot be moved")]
    Move {
        name: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("the object lacks {0}")]
    Missing(&'static str),
}

impl LoadError {
    /// The system's error behind it, to tell missing rights from a missing feature.
    pub fn io_error(&self) -> Option<&io::Error> {
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return Some(error);
            }
            source = error.source();
        }
        None
    }
}
