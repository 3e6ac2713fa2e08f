//! The live numbers behind `stat` and `top`: asking for them, ordering them, judging them.

pub(crate) mod document;
pub(crate) mod gate;
pub(crate) mod rows;

use std::time::Duration;

use mesh_proto::codes;
use mesh_proto::v1::{MetricsFrame, MetricsStreamRequest};
use tonic::Streaming;

use crate::args::duration::Limit;
use crate::client::Client;
use crate::error::{Exit, Failure};
use gate::Gate;
use rows::Sort;

const DEFAULT_WINDOW: Duration = Duration::from_secs(10);
const LONGEST_WINDOW: u64 = 300;

/// Flags `stat` and `top` share.
#[derive(clap::Args)]
pub(crate) struct Choice {
    /// Order of the services
    #[arg(long, value_name = "COLUMN", default_value = "name", hide_default_value = true)]
    pub(crate) sort: Sort,
    /// Only services whose name contains TEXT; !TEXT for the others
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) filter: String,
    /// Time the rates cover, 1s to 5m [default: 10s, with --duration that time]
    #[arg(long, value_name = "DUR")]
    window: Option<Limit>,
    /// Stop after this time
    #[arg(long, value_name = "DUR")]
    pub(crate) duration: Option<Limit>,
    /// Exit 1 when this holds at the end (repeatable): success<99, p99>250ms, rps<10
    #[arg(long, value_name = "GATE")]
    fail_if: Vec<Gate>,
}

impl Choice {
    /// Whole seconds the rates cover.
    pub(crate) fn window(&self) -> u32 {
        let window = self.window.or(self.duration).map_or(DEFAULT_WINDOW, |window| window.0);
        u32::try_from(window.as_secs().clamp(1, LONGEST_WINDOW)).unwrap_or(1)
    }

    pub(crate) fn shows(&self, name: &str) -> bool {
        rows::is_shown(name, &self.filter)
    }

    /// Whether the numbers cross a line that was drawn.
    pub(crate) fn judge(&self, frame: &MetricsFrame, names: &[String]) -> Result<Exit, Failure> {
        let of_mesh = [("the mesh".to_owned(), frame.total.unwrap_or_default())];
        let named = frame.services.iter().filter(|service| names.contains(&service.name));
        let named: Vec<_> = named
            .map(|service| (service.name.clone(), service.numbers.unwrap_or_default()))
            .collect();
        let judged = if names.is_empty() { &of_mesh[..] } else { &named };
        for (name, numbers) in judged {
            if let Some(gate) = self.fail_if.iter().find(|gate| gate.is_crossed(numbers)) {
                let message = format!("{name}: {gate} ({})", gate.measured(numbers));
                return Err(
                    Failure::new(&codes::THRESHOLD, message).fix("meshctl trace list --failed")
                );
            }
        }
        Ok(Exit::DONE)
    }
}

/// Frames from now on, one a second, or one alone.
pub(crate) async fn frames(
    client: &Client,
    window: u32,
    once: bool,
) -> Result<Streaming<MetricsFrame>, Failure> {
    let request = MetricsStreamRequest { window_s: window, interval_ms: 0, once };
    client.call(client.metrics().stream(request)).await
}

/// The next frame; the stream ends only with the daemon.
pub(crate) async fn next(frames: &mut Streaming<MetricsFrame>) -> Result<MetricsFrame, Failure> {
    let frame = frames.message().await?;
    frame.ok_or_else(|| {
        Failure::new(&codes::CONNECTION_LOST, "meshd stopped sending numbers").fix("meshctl status")
    })
}
