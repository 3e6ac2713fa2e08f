//! The values a log adds up to, and their hash.

use std::collections::BTreeMap;
use std::fmt;

use sha2::{Digest, Sha256};

use super::{Delta, Domain, Key};

/// SHA-256 of a [`State`].
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Root(pub(crate) [u8; 32]);

/// Every value, by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    values: BTreeMap<Key, String>,
}

impl State {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, &str)> {
        self.values.iter().map(|(key, value)| (key, value.as_str()))
    }

    /// Applies every operation, or names the first whose `before` is not what is here and leaves
    /// `self` half changed: apply to a clone.
    pub(super) fn apply(&mut self, delta: &Delta) -> Result<(), Key> {
        for op in &delta.ops {
            if self.values.get(&op.key) != op.before.as_ref() {
                return Err(op.key.clone());
            }
            match &op.after {
                Some(value) => self.values.insert(op.key.clone(), value.clone()),
                None => self.values.remove(&op.key),
            };
        }
        Ok(())
    }

    /// Every field goes in with its length, so no two states share a hash by moving a border.
    pub(crate) fn root(&self) -> Root {
        let mut hash = Sha256::new();
        for (key, value) in &self.values {
            let domain: u64 = match key.domain {
                Domain::Intent => 0,
                Domain::Node => 1,
            };
            hash.update(domain.to_be_bytes());
            for field in [&key.path, value] {
                hash.update(u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
                hash.update(field.as_bytes());
            }
        }
        Root(hash.finalize().into())
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(&self.values.iter().collect::<Vec<_>>())
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let values: Vec<(Key, String)> = serde_json::from_slice(bytes)?;
        Ok(Self { values: values.into_iter().collect() })
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(6).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
