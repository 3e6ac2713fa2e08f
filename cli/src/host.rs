//! The host under the mesh: what it is, what it looked like, what of ours stands on it.
//!
//! Shared by `install`, `uninstall`, `check` and `demo`. Everything of ours is found by its name,
//! so that it can be removed without a daemon, a settings file or a record of any kind.

pub(crate) mod daemon;
pub(crate) mod facts;
pub(crate) mod places;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod receipt;
pub(crate) mod remains;
pub(crate) mod removal;
pub(crate) mod service;
pub(crate) mod settings;
pub(crate) mod snapshot;
