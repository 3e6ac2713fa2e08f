//! The counters as Prometheus families: every name, label and help text is written here.
//!
//! `docs/metrics.md` lists them; a test keeps both the same.

mod endpoints;
mod family;
mod process;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use prometheus::TextEncoder;
use prometheus::proto::MetricFamily;

use self::family::{Families, Labels};
use super::Telemetry;
use super::book::OVERFLOW;
use super::cells::{CLASSES, Load};
use super::series::Refusal;
use super::totals::Totals;
use crate::config::MetricsCompat;
use crate::record::ErrorType;
use crate::state::{Interner, Snapshot};

/// Connections that we accept because an application of this host opened them.
const OUTBOUND: &str = "outbound";

impl Telemetry {
    /// The Prometheus text format, version 0.0.4.
    pub(crate) fn text(&self, snapshot: &Snapshot, names: &Interner) -> String {
        let families = self.families(snapshot, names);
        // Fails for a family without samples or name only; `Families` makes neither.
        TextEncoder::new().encode_to_string(&families).unwrap_or_default()
    }

    pub(crate) fn families(&self, snapshot: &Snapshot, names: &Interner) -> Vec<MetricFamily> {
        let mut totals = self.totals();
        totals.declare(snapshot);
        let view = View { snapshot, names, services: by_service(&totals), totals };
        let mut families = Families::default();
        view.requests(&mut families);
        view.connections(&mut families);
        view.bypassed(&mut families);
        endpoints::families(&view, &mut families);
        if self.compat == MetricsCompat::Gomesh {
            view.gomesh(&mut families);
        }
        self.daemon(snapshot, &mut families);
        families.sorted()
    }

    fn daemon(&self, snapshot: &Snapshot, out: &mut Families) {
        let log_lost = self.log_lines_lost.load(Relaxed);
        let access_lost = self.access_log_lost.load(Relaxed);
        out.counter(
            "mesh_log_lines_lost_total",
            "Lines of meshd's log that were dropped because nobody read it fast enough.",
            [(vec![], log_lost)],
        );
        out.counter(
            "mesh_access_log_lost_total",
            "Records that were overwritten before the access log read them.",
            [(vec![], access_lost)],
        );
        let reloads = [("applied", &self.reloads.applied), ("rejected", &self.reloads.rejected)];
        out.counter(
            "mesh_config_reloads_total",
            "Times the manifest files were read, by whether they were applied or rejected.",
            reloads
                .map(|(result, count)| (vec![("result", result.to_owned())], count.load(Relaxed))),
        );
        out.gauge(
            "mesh_config_generation",
            "Generation of the declared state that is in use.",
            [(vec![], snapshot.generation as f64)],
        );
        let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        out.gauge("mesh_build_info", "Always 1; the label says which meshd.", [(version, 1.0)]);
        process::families(out);
    }
}

/// What the families are made from.
struct View<'a> {
    snapshot: &'a Snapshot,
    names: &'a Interner,
    totals: Totals,
    /// Loads of all subsets together.
    services: BTreeMap<u32, Load>,
}

fn by_service(totals: &Totals) -> BTreeMap<u32, Load> {
    let ids = totals.loads.keys().map(|&(service, _)| service);
    ids.map(|service| (service, totals.service(service))).collect()
}

impl View<'_> {
    fn requests(&self, out: &mut Families) {
        let statuses = self.totals.statuses.iter().flat_map(|(key, counts)| {
            let labels = vec![
                ("service", self.name(key.service)),
                ("subset", self.name(key.subset)),
                ("source", self.name(key.source)),
            ];
            by_class(labels, counts)
        });
        out.counter(
            "mesh_requests_total",
            "HTTP requests carried, by the class of the status sent to the client.",
            statuses,
        );
        let durations = self.totals.loads.iter().map(|(&(service, subset), load)| {
            (vec![("service", self.name(service)), ("subset", self.name(subset))], load)
        });
        out.histogram(
            "mesh_request_duration_seconds",
            "Time from the first byte of a request to the last byte of its answer.",
            durations,
        );
        out.gauge(
            "mesh_requests_in_flight",
            "HTTP requests being carried now.",
            self.per_service(|load| load.in_flight as f64),
        );
        out.counter(
            "mesh_errors_total",
            "Requests and connections that did not end well.",
            self.errors(),
        );
        let timeouts = self.totals.timeouts.iter().map(|(&(route, limit), &count)| {
            (vec![("route", self.name(route)), ("limit", limit.label().to_owned())], count)
        });
        out.counter("mesh_timeouts_total", "Time limits of a route that were reached.", timeouts);
    }

    fn connections(&self, out: &mut Families) {
        let directed = |pick: fn(&Load) -> u64| {
            self.services.iter().map(move |(&service, load)| {
                let direction = ("direction", OUTBOUND.to_owned());
                (vec![("service", self.name(service)), direction], pick(load))
            })
        };
        out.counter(
            "mesh_connections_opened_total",
            "Connections accepted from applications, and sessions of datagrams.",
            directed(|load| load.opened),
        );
        out.counter(
            "mesh_connections_closed_total",
            "Connections and sessions of applications that ended.",
            directed(|load| load.closed),
        );
        out.gauge(
            "mesh_connections_active",
            "Connections and sessions of applications that are open now.",
            directed(Load::open).map(|(labels, open)| (labels, open as f64)),
        );
        let moved = |pick: fn(&Load) -> u64| {
            self.totals.loads.iter().map(move |(&(service, subset), load)| {
                (vec![("service", self.name(service)), ("subset", self.name(subset))], pick(load))
            })
        };
        out.counter(
            "mesh_sent_bytes_total",
            "Body bytes (HTTP) or all bytes (TCP, UDP) towards the client.",
            moved(|load| load.sent),
        );
        out.counter(
            "mesh_received_bytes_total",
            "Body bytes (HTTP) or all bytes (TCP, UDP) from the client.",
            moved(|load| load.received),
        );
        type Counter = (&'static str, &'static str, fn(&Load) -> u64);
        let counters: [Counter; 3] = [
            ("mesh_datagrams_sent_total", "Datagrams towards clients.", |load| load.datagrams_sent),
            ("mesh_datagrams_received_total", "Datagrams from clients.", |load| {
                load.datagrams_received
            }),
            (
                "mesh_datagrams_dropped_total",
                "Datagrams that were lost: no endpoint, or a buffer was full.",
                |load| load.datagrams_dropped,
            ),
        ];
        for (name, help, pick) in counters {
            out.counter(name, help, moved(pick));
        }
        self.refusals(out);
    }

    fn bypassed(&self, out: &mut Families) {
        let declared =
            self.snapshot.by_name.values().filter_map(|&at| self.snapshot.services.get(at));
        let direct = declared.map(|service| {
            let is_direct = if service.bypassed { 1.0 } else { 0.0 };
            (vec![("service", self.name(service.id))], is_direct)
        });
        out.gauge(
            "mesh_service_bypassed",
            "1 while the service's traffic goes direct, as `meshctl bypass` says.",
            direct,
        );
    }

    fn refusals(&self, out: &mut Families) {
        let of = |unmeshed: bool| {
            let counts = self.totals.refusals.iter();
            counts.filter(move |((_, why), _)| (*why == Refusal::Unmeshed) == unmeshed)
        };
        let unmeshed =
            of(true).map(|(&(service, _), &count)| (vec![("service", self.name(service))], count));
        out.counter(
            "mesh_connections_unmeshed_total",
            "Connections and sessions from outside the mesh to a port of the service, refused or not.",
            unmeshed,
        );
        let refused = of(false).map(|(&(service, why), &count)| {
            (vec![("service", self.name(service)), ("reason", why.label().to_owned())], count)
        });
        out.counter(
            "mesh_connections_refused_total",
            "Connections closed without being carried, by reason.",
            refused,
        );
    }

    fn errors(&self) -> impl Iterator<Item = (Labels, u64)> {
        self.services.iter().flat_map(move |(&service, load)| {
            ErrorType::ALL.iter().zip(load.errors).map(move |(kind, count)| {
                let kind = ("error_type", kind.label().to_owned());
                (vec![("service", self.name(service)), kind], count)
            })
        })
    }

    fn per_service(&self, pick: fn(&Load) -> f64) -> impl Iterator<Item = (Labels, f64)> {
        self.services
            .iter()
            .map(move |(&service, load)| (vec![("service", self.name(service))], pick(load)))
    }

    /// The same numbers under GoMesh's names, which know neither subset nor source.
    fn gomesh(&self, out: &mut Families) {
        let mut classes: BTreeMap<u32, [u64; CLASSES.len()]> = BTreeMap::new();
        for (key, counts) in &self.totals.statuses {
            let sums = classes.entry(key.service).or_default();
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        let statuses = classes
            .iter()
            .flat_map(|(&service, counts)| by_class(vec![("service", self.name(service))], counts));
        out.counter("gomesh_requests_total", "As mesh_requests_total.", statuses);
        let durations = self
            .services
            .iter()
            .map(|(&service, load)| (vec![("service", self.name(service))], load));
        out.histogram(
            "gomesh_request_duration_seconds",
            "As mesh_request_duration_seconds.",
            durations,
        );
        let in_flight: u64 = self.services.values().map(|load| load.in_flight).sum();
        out.gauge(
            "gomesh_requests_in_flight",
            "As mesh_requests_in_flight, all services together.",
            [(vec![], in_flight as f64)],
        );
        out.counter("gomesh_errors_total", "As mesh_errors_total.", self.errors());
    }

    fn name(&self, id: u32) -> String {
        if id == OVERFLOW { "overflow".to_owned() } else { self.names.name(id).to_string() }
    }
}

/// One sample per class; the two that are not answers only when they happened.
fn by_class(labels: Labels, counts: &[u64; CLASSES.len()]) -> impl Iterator<Item = (Labels, u64)> {
    let counted = CLASSES.iter().zip(*counts);
    let shown = counted.filter(|(class, count)| *count > 0 || !matches!(**class, "none" | "1xx"));
    shown.map(move |(class, count)| {
        let mut labels = labels.clone();
        labels.push(("status", (*class).to_owned()));
        (labels, count)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::testing;

    /// What one service shows after five requests of given latencies.
    fn scrape(compat: MetricsCompat) -> String {
        let telemetry = Telemetry::new(compat);
        let names = Interner::new();
        let snapshot = testing::snapshot(&names);
        let web = telemetry.shard().series(names.id("web"), names.id("v1"), 0);
        for millis in [2, 3, 4, 6, 8] {
            web.finish(&testing::answered(200, millis * 1_000_000));
        }
        telemetry.text(&snapshot, &names)
    }

    // covers: MET-01, MET-02, MET-05, MET-09, MET-41
    #[test]
    fn five_requests_give_exactly_these_numbers() {
        let text = scrape(MetricsCompat::Gomesh);
        for line in [
            "gomesh_requests_total{service=\"web\",status=\"2xx\"} 5",
            "gomesh_requests_total{service=\"web\",status=\"5xx\"} 0",
            "gomesh_request_duration_seconds_bucket{service=\"web\",le=\"0.005\"} 3",
            "gomesh_request_duration_seconds_bucket{service=\"web\",le=\"0.01\"} 5",
            "gomesh_request_duration_seconds_bucket{service=\"web\",le=\"0.05\"} 5",
            "gomesh_request_duration_seconds_sum{service=\"web\"} 0.023",
            "gomesh_request_duration_seconds_count{service=\"web\"} 5",
            "mesh_errors_total{service=\"web\",error_type=\"timeout\"} 0",
            "mesh_endpoint_ready{service=\"web\",subset=\"v1\",endpoint=\"127.0.0.1:8080\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }

    // covers: MET-08
    #[test]
    fn the_documentation_lists_every_metric() {
        let text = scrape(MetricsCompat::None);
        let shown = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let shown: Vec<_> = shown.filter_map(|line| line.split(' ').next()).collect();
        let page = include_str!("../../../docs/metrics.md");
        let listed: Vec<_> = page
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split(['`', '{']).next())
            .filter(|name| name.starts_with("mesh_") || name.starts_with("process_"))
            .collect();
        let mut sorted = listed.clone();
        sorted.sort_unstable();
        assert_eq!(shown, sorted);
    }
}
