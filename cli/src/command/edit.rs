//! `--dry-run=client`: the manifest a command stands for.

use crate::error::Failure;

/// Some commands have no manifest: removing and undoing are not declarations.
pub(crate) fn no_manifest(command: &str) -> Failure {
    Failure::usage(format!("--dry-run=client: {command} stands for no manifest"))
        .fix("--dry-run   (the server says what would change)")
}
