//! Counts probes until they change an endpoint's health.

use crate::model::{Health, HealthCheck};

/// Health so far, and how many probes in a row spoke against it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine {
    health: Health,
    against: u32,
}

impl Machine {
    pub(super) fn new(health: Health) -> Self {
        Self { health, against: 0 }
    }

    pub(super) fn health(self) -> Health {
        self.health
    }

    /// Takes one probe into account and returns the health after it.
    ///
    /// What was never probed believes its first probe; after that only as many in a row as the
    /// check asks for change anything, and one that agrees starts the count again.
    pub(super) fn observe(&mut self, passed: bool, check: &HealthCheck) -> Health {
        let seen = if passed { Health::Healthy } else { Health::Unhealthy };
        let needed = match (self.health, passed) {
            (Health::Unknown | Health::Unchecked, _) => 1,
            (Health::Healthy | Health::Unhealthy, true) => check.healthy_after,
            (Health::Healthy | Health::Unhealthy, false) => check.unhealthy_after,
        };
        if seen == self.health {
            self.against = 0;
            return self.health;
        }
        self.against += 1;
        if self.against >= needed {
            *self = Self::new(seen);
        }
        self.health
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: HEALTH-03
    #[test]
    fn exactly_as_many_probes_as_declared_change_it() {
        assert_eq!(trace(Health::Healthy, (3, 2), "FFF"), "HHU");
        assert_eq!(trace(Health::Unhealthy, (3, 2), "PP"), "UH");
    }

    // covers: HEALTH-10, HEALTH-14
    #[test]
    fn two_failures_in_a_row_make_it_unhealthy_one_does_not() {
        assert_eq!(trace(Health::Healthy, (2, 2), "FPFF"), "HHHU");
    }

    // covers: HEALTH-11, HEALTH-15
    #[test]
    fn two_passes_in_a_row_make_it_healthy_one_does_not() {
        assert_eq!(trace(Health::Unhealthy, (2, 2), "PFPP"), "UUUH");
    }

    // covers: HEALTH-16
    #[test]
    fn alternating_probes_never_leave_healthy() {
        assert_eq!(trace(Health::Healthy, (2, 2), "FPFPFP"), "HHHHHH");
    }

    #[test]
    fn the_first_probe_decides_what_nobody_knew() {
        assert_eq!(trace(Health::Unknown, (3, 2), "P"), "H");
        assert_eq!(trace(Health::Unknown, (3, 2), "FP"), "UU");
    }

    // covers: HEALTH-13
    #[test]
    fn declared_healthy_it_stays_so_until_the_threshold() {
        assert_eq!(trace(Health::Healthy, (2, 2), "FF"), "HU");
    }

    /// Health after each probe (P passed, F failed), thresholds (unhealthy, healthy).
    fn trace(
        initial: Health,
        (unhealthy_after, healthy_after): (u32, u32),
        probes: &str,
    ) -> String {
        let check = HealthCheck { unhealthy_after, healthy_after, ..HealthCheck::default() };
        let mut machine = Machine::new(initial);
        let after = |probe| match machine.observe(probe == 'P', &check) {
            Health::Healthy => 'H',
            Health::Unhealthy => 'U',
            Health::Unknown => '?',
            Health::Unchecked => '-',
        };
        probes.chars().map(after).collect()
    }
}
