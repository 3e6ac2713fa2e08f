//! meshd's own process, under the names every Prometheus client library uses.

use super::family::Families;
use crate::telemetry::process;

pub(super) fn families(out: &mut Families) {
    let Some(usage) = process::usage() else { return };
    out.counter_seconds(
        "process_cpu_seconds_total",
        "User and system time of meshd, seconds.",
        usage.cpu.as_secs_f64(),
    );
    let gauges = [
        ("process_resident_memory_bytes", "Resident memory of meshd, bytes.", usage.resident),
        ("process_virtual_memory_bytes", "Virtual memory of meshd, bytes.", usage.virtual_memory),
        ("process_open_fds", "Open file descriptors of meshd.", usage.descriptors),
        ("process_max_fds", "Most file descriptors meshd may open.", usage.max_descriptors),
        ("process_threads", "Threads of meshd.", usage.threads),
    ];
    for (name, help, value) in gauges {
        out.gauge(name, help, [(vec![], value as f64)]);
    }
    let started = usage.started.as_secs_f64();
    out.gauge("process_start_time_seconds", "When meshd started, Unix time.", [(vec![], started)]);
}
