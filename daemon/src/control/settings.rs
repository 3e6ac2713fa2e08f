//! The settings in force, and what is wrong with those that are written: told by whoever loads
//! them, shown to whoever asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arc_swap::ArcSwap;
use mesh_proto::v1;

/// Clones share the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    told: Arc<ArcSwap<Told>>,
    /// How often.
    read: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Told {
    /// Key, value and origin of every setting.
    in_force: Vec<(String, String, String)>,
    /// Why the file as it is now is not in force, or not all of it.
    problems: Vec<SettingsProblem>,
}

#[derive(Clone, Debug)]
pub(crate) enum SettingsProblem {
    /// Nothing of the file is in force.
    Refused(String),
    /// It is valid, but capture could not be changed.
    NotInForce(String),
    /// These keys changed, and are read at a start only.
    NeedRestart(Vec<String>),
}

impl Settings {
    /// All that is written is in force.
    pub(crate) fn new(in_force: Vec<(String, String, String)>) -> Self {
        let settings = Self::default();
        settings.tell(in_force, Vec::new());
        settings
    }

    pub(crate) fn tell(
        &self,
        in_force: Vec<(String, String, String)>,
        problems: Vec<SettingsProblem>,
    ) {
        self.told.store(Arc::new(Told { in_force, problems }));
        self.read.fetch_add(1, Relaxed);
    }

    pub(super) fn times_read(&self) -> u64 {
        self.read.load(Relaxed)
    }

    pub(super) fn list(&self) -> Vec<v1::Setting> {
        let setting = |(key, value, origin): &(String, String, String)| v1::Setting {
            key: key.clone(),
            value: value.clone(),
            origin: origin.clone(),
        };
        self.told.load().in_force.iter().map(setting).collect()
    }

    /// Empty where there is none of this name.
    pub(super) fn value(&self, key: &str) -> String {
        let told = self.told.load();
        let found = told.in_force.iter().find(|(known, ..)| known == key);
        found.map(|(_, value, _)| value.clone()).unwrap_or_default()
    }

    pub(super) fn problems(&self) -> Vec<v1::Problem> {
        self.told.load().problems.iter().map(SettingsProblem::shown).collect()
    }
}

impl SettingsProblem {
    fn shown(&self) -> v1::Problem {
        let (id, summary, fix) = match self {
            Self::Refused(why) => (
                "settings/refused",
                format!("the settings file is not valid, the old settings hold: {why}"),
                "correct it, then reload meshd (SIGHUP)",
            ),
            Self::NotInForce(why) => (
                "settings/capture",
                format!("capture goes on with its old settings: {why}"),
                "correct the settings file, then reload meshd (SIGHUP)",
            ),
            Self::NeedRestart(keys) => (
                "settings/restart",
                format!("changed, but not in force before a restart: {}", keys.join(", ")),
                "sudo systemctl restart meshd",
            ),
        };
        v1::Problem { id: id.to_owned(), summary, fix: fix.to_owned() }
    }
}
