//! Changed settings, put in force while meshd runs.
//!
//! A file that is not valid changes nothing. Of a valid one, what can change without a restart is
//! in force when this is done: capture without a gap, or as it was. The rest is named.

use std::error::Error;

use tracing::{error, info};

use super::start::{Daemon, host_scope};
use crate::config::{self, CaptureScope, Config};
use crate::control::SettingsProblem;
use crate::model::Workload;
use crate::telemetry::Severity;

impl Daemon {
    /// Reads the settings file, the manifests, and opens the access log's file again.
    pub(super) async fn reload(&mut self) {
        match self.config.reload() {
            Ok(config) => self.take_over(config).await,
            Err(error) => {
                let why = with_cause(&error);
                error!(why, "the settings are not valid, the old ones stay");
                self.telemetry.events.emit("config/refused", "meshd", &why, Severity::Error);
                let in_force = self.config.origins.clone();
                self.settings.tell(in_force, vec![SettingsProblem::Refused(why)]);
            }
        }
        if let Some(access_log) = &self.access_log {
            access_log.reopen();
        }
        self.manifests.reload().await;
    }

    async fn take_over(&mut self, mut new: Config) {
        let mut problems = Vec::new();
        if let Err(error) = self.logs.reload(&new.log) {
            error!(%error, "the log's filter stays as it was");
        }
        let capture = self.config.capture.changed_to(&new.capture);
        if let Err(why) = self.change_capture(&capture).await {
            error!(why, "capture goes on with its old settings");
            self.telemetry.events.emit("config/refused", "capture", &why, Severity::Error);
            problems.push(SettingsProblem::NotInForce(why));
            new.keep_capture(&self.config);
        }
        let (changed, restart) = self.config.adopt(new);
        if !changed.is_empty() {
            let message = format!("in force: {}", changed.join(", "));
            self.telemetry.events.emit("config/reloaded", "meshd", message, Severity::Info);
        }
        if !restart.is_empty() {
            let message = format!("in force after a restart only: {}", restart.join(", "));
            self.telemetry.events.emit("config/reloaded", "meshd", message, Severity::Warning);
            problems.push(SettingsProblem::NeedRestart(restart));
        }
        self.settings.tell(self.config.origins.clone(), problems);
        info!("reloaded");
    }

    /// Everything or nothing: on `Err`, which says why, capture is as it was.
    async fn change_capture(&mut self, new: &config::Capture) -> Result<(), String> {
        let old = self.config.capture.clone();
        if *new == old {
            return Ok(());
        }
        let told = |error: &dyn Error| with_cause(error);
        // Who may not speak plain text any more is told so first.
        if new.strict {
            self.store.set_strict(true).await.map_err(|error| told(&error))?;
        }
        let slot = self.capture.lock().await;
        let changed = match slot.as_ref() {
            Some(capture) => capture.change(new).await,
            None => return Err("capture is not installed".to_owned()),
        };
        drop(slot);
        if let Err(error) = changed {
            self.store.set_strict(old.strict).await.map_err(|error| told(&error))?;
            return Err(told(&error));
        }
        self.store.set_strict(new.strict).await.map_err(|error| told(&error))?;
        match (old.scope, new.scope) {
            (CaptureScope::Services, CaptureScope::Host) => {
                self.store.add_workload(Workload::HOST, host_scope()).await
            }
            (CaptureScope::Host, CaptureScope::Services) => {
                self.store.remove_workload(Workload::HOST).await
            }
            (CaptureScope::Host, CaptureScope::Host)
            | (CaptureScope::Services, CaptureScope::Services) => Ok(()),
        }
        .map_err(|error| told(&error))
    }
}

/// An error and what caused it, in one line.
fn with_cause(error: &dyn Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", with_cause(cause)),
        None => error.to_string(),
    }
}
