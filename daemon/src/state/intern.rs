//! Names as small numbers, for fixed-size records and metric slots.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Gives every name a number that stays its own for the daemon's life.
///
/// Only the [`super::Store`] adds names (bounded by what is declared, never by what clients
/// send); readers resolve them when something is shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interner {
    names: Arc<RwLock<Names>>,
}

#[derive(Debug, Default)]
struct Names {
    by_name: HashMap<Arc<str>, u32>,
    by_id: Vec<Arc<str>>,
}

impl Interner {
    /// Number of the name that stands for "none" and "any".
    pub(crate) const NONE: u32 = 0;

    pub(crate) fn new() -> Self {
        let interner = Self::default();
        interner.id("-");
        interner
    }

    pub(crate) fn id(&self, name: &str) -> u32 {
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(&id) = names.by_name.get(name) {
            return id;
        }
        let name: Arc<str> = name.into();
        let id = u32::try_from(names.by_id.len()).unwrap_or(Self::NONE);
        names.by_id.push(Arc::clone(&name));
        names.by_name.insert(name, id);
        id
    }

    /// The name of `id`, `-` for a number nobody gave out.
    pub(crate) fn name(&self, id: u32) -> Arc<str> {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        let found = usize::try_from(id).ok().and_then(|id| names.by_id.get(id).cloned());
        found.unwrap_or_else(|| "-".into())
    }
}
