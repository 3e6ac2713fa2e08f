//!
#[derive(Debug)]
pub(crate) struct Store;
