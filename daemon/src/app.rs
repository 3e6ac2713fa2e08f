//! Wires the daemon: the only place that knows every module.
//!
//! Nothing on the host changes before everything that could refuse has agreed: settings, backend,
//! claim, state, ports. Capture comes last and goes first.

mod bring;
mod error;
mod follow;
mod gates;
mod namespaces;
mod notify;
mod plan;
mod ports;
mod reload;
mod start;
mod stop;

use std::sync::Arc;

use mesh_proto::codes;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tracing::{info, warn};

use crate::capture;
use crate::config::Config;
use crate::telemetry::{Telemetry, logs};

pub use bring::bring;
pub use error::StartError;
pub use plan::plan;

/// Threads of the control runtime: API, health, capture upkeep, DNS, admin, telemetry.
const CONTROL_THREADS: usize = 2;

/// Runs the daemon until SIGTERM or SIGINT; returns once the host is as before.
///
/// # Errors
/// It did not start; nothing of it is left.
pub fn run(config: Config) -> Result<(), StartError> {
    let telemetry = Telemetry::new(config.metrics_compat);
    let logs = logs::init(&config.log, Arc::clone(&telemetry.log_lines_lost))
        .map_err(|error| StartError::caused(codes::INTERNAL, &error))?;
    raise_descriptor_limit();
    control_runtime()?.block_on(async {
        let manager = Arc::new(notify::Manager::from_environment());
        let mut daemon = start::Daemon::start(config, telemetry, logs).await?;
        manager.ready("capturing");
        daemon.tasks.spawn(notify::watchdog(Arc::clone(&manager), daemon.stop.clone()));
        daemon.until_told().await;
        manager.stopping();
        daemon.stop().await;
        Ok(())
    })
}

/// Removes what a daemon with these settings left on the host when it was killed.
///
/// # Errors
/// Lists what could not be removed.
pub fn cleanup(config: &Config) -> Result<(), StartError> {
    let telemetry = Telemetry::new(config.metrics_compat);
    let _logs = logs::init(&config.log, Arc::clone(&telemetry.log_lines_lost))
        .map_err(|error| StartError::caused(codes::INTERNAL, &error))?;
    let runtime = control_runtime()?;
    let _claim = runtime.block_on(start::claim(config))?;
    match runtime.block_on(capture::clean_up(&config.capture, &config.state_dir)) {
        Ok(removed) if removed.is_empty() => info!("nothing was left"),
        Ok(removed) => removed.iter().for_each(|what| info!(what, "removed")),
        Err(left) => {
            let error = StartError::new(codes::CAPTURE_FAILED, "something could not be removed");
            return Err(left.into_iter().fold(error, StartError::because));
        }
    }
    Ok(())
}

/// Takes the rules of `program`, one of iptables, out when meshd falls silent on standard input.
///
/// # Errors
/// `program` is none of iptables.
pub fn guard(program: &str) -> std::io::Result<()> {
    capture::watch_rules(program)
}

fn control_runtime() -> Result<Runtime, StartError> {
    Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(|error| StartError::caused(codes::INTERNAL, &error))
}

/// Two descriptors per captured connection: the soft limit of most shells is a thousand.
fn raise_descriptor_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        warn!(%error, "the limit of open files stays low");
    }
}
