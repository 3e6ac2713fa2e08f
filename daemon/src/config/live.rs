//! What of the settings can change while meshd runs.

use super::{BackendChoice, Capture, Config};

/// Keys, with those below them, that are put in force without a restart.
const LIVE: [&str; 7] = [
    "capture.backend",
    "capture.exclude",
    "capture.fail_mode",
    "capture.scope",
    "drain",
    "log.level",
    "mtls.mode",
];

/// What is left of a key after the first part of it.
fn is_end(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('.')
}

/// A daemon whose runs bring namespaces of their own has no part in the host; and the chains of
/// both kinds of iptables, which have the same names, cannot be in force side by side.
fn needs_start(old: BackendChoice, new: BackendChoice) -> bool {
    let is_iptables = |backend| matches!(backend, BackendChoice::Iptables(_));
    let in_the_way = is_iptables(old) && is_iptables(new);
    old != new && (in_the_way || [old, new].contains(&BackendChoice::Netns))
}

impl Capture {
    /// This one with those settings of `new` that can change while meshd runs.
    pub(crate) fn changed_to(&self, new: &Self) -> Self {
        let Self { backend, scope, exclude, fail_mode, strict, .. } = new.clone();
        let backend = if needs_start(self.backend, backend) { self.backend } else { backend };
        Self { backend, scope, exclude, fail_mode, strict, ..self.clone() }
    }
}

impl Config {
    /// Takes over what can change while meshd runs; it is in force already. Names the keys that
    /// did, and those that need a restart.
    pub(crate) fn adopt(&mut self, new: Self) -> (Vec<String>, Vec<String>) {
        let stays = needs_start(self.capture.backend, new.capture.backend);
        let is_live = |key: &str| {
            let is_of = |live: &&str| key.strip_prefix(*live).is_some_and(is_end);
            LIVE.iter().any(is_of) && !(stays && key == "capture.backend")
        };
        let (mut changed, mut restart) = (Vec::new(), Vec::new());
        for (old, new) in self.origins.iter_mut().zip(new.origins) {
            if old.1 != new.1 {
                let keys = if is_live(&new.0) { &mut changed } else { &mut restart };
                keys.push(new.0.clone());
            }
            if is_live(&new.0) {
                *old = new;
            }
        }
        self.capture = self.capture.changed_to(&new.capture);
        self.drain = new.drain;
        (changed, restart)
    }

    /// What `running` has of capture is what there is.
    pub(crate) fn keep_capture(&mut self, running: &Self) {
        self.capture = running.capture.clone();
        for (new, old) in self.origins.iter_mut().zip(&running.origins) {
            if new.0.starts_with("capture.") || new.0 == "mtls.mode" {
                new.clone_from(old);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flags, IptablesVariant};

    #[test]
    fn one_kind_of_iptables_does_not_take_the_place_of_the_other() {
        let [nft, legacy] = [IptablesVariant::Nft, IptablesVariant::Legacy];
        assert!(needs_start(BackendChoice::Iptables(nft), BackendChoice::Iptables(legacy)));
        assert!(!needs_start(BackendChoice::Iptables(nft), BackendChoice::Iptables(nft)));
        assert!(!needs_start(BackendChoice::Nft, BackendChoice::Iptables(nft)));
    }

    #[test]
    fn what_needs_a_restart_is_named_and_stays_as_it_was() {
        let mut running = Config::load(&Flags::default()).unwrap();
        let mut new = Config::load(&Flags::default()).unwrap();
        for (key, value) in [("capture.fail_mode", "closed"), ("proxy.max_sessions", "7")] {
            let setting = new.origins.iter_mut().find(|(known, ..)| known == key).unwrap();
            setting.1 = value.to_owned();
        }
        let (changed, restart) = running.adopt(new.clone());
        assert_eq!(
            (changed, restart),
            (vec!["capture.fail_mode".to_owned()], vec!["proxy.max_sessions".to_owned()])
        );
        // Told again at every reload until there was one.
        let (changed, restart) = running.adopt(new);
        assert_eq!((changed, restart), (vec![], vec!["proxy.max_sessions".to_owned()]));
    }
}
