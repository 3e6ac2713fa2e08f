//! What is there and what is wanted, read once before anything is decided.

use std::fs;
use std::path::PathBuf;

use super::Args;
use crate::error::Failure;
use crate::host::facts::Facts;
use crate::host::places::{DEFAULT_PREFIX, Places};
use crate::host::receipt::{Receipt, Stage};
use crate::host::{daemon, program, settings};

pub(super) struct Survey {
    pub(super) facts: Facts,
    /// The program to install.
    pub(super) meshd: PathBuf,
    /// The settings file as it is, and as it shall be.
    pub(super) before: String,
    pub(super) wanted: String,
    /// What meshd makes of the wanted settings.
    pub(super) plan: settings::Plan,
    pub(super) places: Places,
    pub(super) receipt: Option<Receipt>,
    pub(super) systemd: bool,
}

impl Survey {
    pub(super) fn of(args: &Args) -> Result<Self, Failure> {
        let facts = Facts::gather();
        let receipt = Receipt::read(&settings::places());
        let finished = receipt.as_ref().filter(|receipt| receipt.stage == Stage::Installed);
        let meshd = program::beside_us("meshd");
        let before = settings::file();
        let wanted = settings::with(&before, &args.settings.keys())?;
        let plan = settings::plan(&meshd, &wanted)?;
        let before_prefix = finished.map(|receipt| receipt.places.prefix.clone());
        let prefix = args.prefix.clone().or(before_prefix);
        let places = plan.places(prefix.unwrap_or_else(|| DEFAULT_PREFIX.into()));
        let had_systemd = finished.is_none_or(|receipt| receipt.systemd);
        let systemd = facts.systemd && !args.no_systemd && had_systemd;
        Ok(Self { facts, meshd, before, wanted, plan, places, receipt, systemd })
    }

    /// `None`: nothing is installed.
    pub(super) fn stage(&self) -> Option<Stage> {
        self.receipt.as_ref().map(|receipt| receipt.stage)
    }

    pub(super) fn is_running(&self) -> bool {
        daemon::running(&self.places).is_some()
    }

    pub(super) fn program(&self) -> Vec<u8> {
        fs::read(&self.meshd).unwrap_or_default()
    }
}
