//! What capture would put on this host, in the words of `ip`, `nft` and the kernel.

use super::backend::VipGuard;
use super::netns::Site;
use super::{Prepared, front, guard};
use crate::config;

/// Told before anything is done.
#[derive(Debug, Default)]
pub(crate) struct Preview {
    /// `None`: no backend that was asked for can work here.
    pub(crate) backend: Option<&'static str>,
    /// Why none can.
    pub(crate) why: Option<String>,
    /// Why this backend, and why not the one before it.
    pub(crate) notes: Vec<String>,
    /// Routes and rules of the routing tables, programs, cgroups.
    pub(crate) steps: Vec<String>,
    /// Every table as it would be loaded.
    pub(crate) rules: String,
}

/// Finds the backend as a start would, and says what it would do; nothing stays on the host.
pub(crate) async fn preview(config: &config::Capture) -> Preview {
    let prepared = match Prepared::probe(config).await {
        Ok(prepared) => prepared,
        Err(error) => return Preview { why: Some(error.to_string()), ..Preview::default() },
    };
    let backend = prepared.backend.name();
    if prepared.backend.is_guest() {
        return Preview { backend: Some(backend), notes: prepared.notes, ..Preview::default() };
    }
    let entries = match front::entries(config, &prepared.backend, &Site::OWN) {
        Ok(entries) => entries,
        Err(error) => return Preview { why: Some(error.to_string()), ..Preview::default() },
    };
    let mut steps: Vec<String> = entries.iter().map(|entry| format!("ip {entry}")).collect();
    steps.push(format!("cgroup {}", config.cgroup));
    steps.extend(prepared.backend.programs());
    let by_table = prepared.backend.vip_guard() == VipGuard::Table;
    let mut rules = if by_table { guard::text(config) } else { String::new() };
    rules.push_str(&prepared.backend.rules());
    Preview { backend: Some(backend), why: None, notes: prepared.notes, steps, rules }
}
