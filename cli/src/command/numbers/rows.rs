//! Services, their subsets and endpoints as rows in the order asked for.

use mesh_proto::v1::{MetricsFrame, Numbers, ServiceNumbers, SubsetNumbers};

use crate::command::get::{or_dash, readiness};
use crate::output::number;
use crate::output::table::{Cell, Table, left, right};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Sort {
    Name,
    Rps,
    // Worst first.
    Success,
    P99,
}

impl Sort {
    pub(crate) fn next(self) -> Self {
        match self {
            Self::Name => Self::Rps,
            Self::Rps => Self::Success,
            Self::Success => Self::P99,
            Self::P99 => Self::Name,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Rps => "rps",
            Self::Success => "success",
            Self::P99 => "p99",
        }
    }
}

/// How deep a row is: a service, one of its subsets, one of their endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Service,
    Subset,
    Endpoint,
}

#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) level: Level,
    pub(crate) service: String,
    pub(crate) protocol: String,
    /// The subset with its share, or the endpoint's address.
    pub(crate) part: String,
    pub(crate) ready: u32,
    pub(crate) total: u32,
    pub(crate) numbers: Numbers,
}

/// `!TEXT` shows what does not contain TEXT.
pub(crate) fn is_shown(name: &str, filter: &str) -> bool {
    match filter.strip_prefix('!') {
        Some(unwanted) => !name.contains(unwanted),
        None => name.contains(filter),
    }
}

/// The rows of a frame; what is below a service only where `expanded` says so.
pub(crate) fn rows(
    frame: &MetricsFrame,
    filter: &str,
    sort: Sort,
    expanded: &dyn Fn(&str) -> Option<Level>,
) -> Vec<Row> {
    let mut services: Vec<_> =
        frame.services.iter().filter(|service| is_shown(&service.name, filter)).collect();
    services.sort_by(|one, other| order(one, other, sort));
    services.into_iter().flat_map(|service| of_service(service, expanded(&service.name))).collect()
}

fn order(one: &ServiceNumbers, other: &ServiceNumbers, sort: Sort) -> std::cmp::Ordering {
    let value = |service: &ServiceNumbers| {
        let numbers = service.numbers.unwrap_or_default();
        match sort {
            Sort::Name => 0.0,
            Sort::Rps => -numbers.rps,
            Sort::Success => numbers.success.unwrap_or(2.0),
            Sort::P99 => -numbers.p99_ms.unwrap_or_default(),
        }
    };
    value(one).total_cmp(&value(other)).then_with(|| one.name.cmp(&other.name))
}

fn of_service(service: &ServiceNumbers, deepest: Option<Level>) -> Vec<Row> {
    let mut rows = vec![Row {
        level: Level::Service,
        service: service.name.clone(),
        protocol: service.protocol.clone(),
        part: String::new(),
        ready: service.ready,
        total: service.total,
        numbers: service.numbers.unwrap_or_default(),
    }];
    if deepest.is_some() {
        rows.extend(service.subsets.iter().flat_map(|subset| of_subset(service, subset, deepest)));
    }
    rows
}

fn of_subset(service: &ServiceNumbers, subset: &SubsetNumbers, deepest: Option<Level>) -> Vec<Row> {
    let share = subset.weight.map(|weight| format!(" {weight}%")).unwrap_or_default();
    let mut rows = Vec::new();
    if !subset.name.is_empty() {
        rows.push(Row {
            level: Level::Subset,
            service: service.name.clone(),
            protocol: service.protocol.clone(),
            part: format!("{}{share}", subset.name),
            ready: subset.ready,
            total: subset.total,
            numbers: subset.numbers.unwrap_or_default(),
        });
    }
    if deepest == Some(Level::Endpoint) {
        rows.extend(subset.endpoints.iter().map(|endpoint| Row {
            level: Level::Endpoint,
            service: service.name.clone(),
            protocol: service.protocol.clone(),
            part: endpoint.address.clone(),
            ready: u32::from(!matches!(endpoint.state.as_str(), "unhealthy" | "draining")),
            total: 1,
            numbers: endpoint.numbers.unwrap_or_default(),
        }));
    }
    rows
}

/// What needs attention, worst first.
pub(crate) fn problems(frame: &MetricsFrame) -> Vec<String> {
    let down = frame.services.iter().filter(|service| service.ready == 0);
    let down = down.map(|service| format!("{} has no ready endpoint", service.name));
    let partly =
        frame.services.iter().filter(|service| (1..service.total).contains(&service.ready));
    let partly = partly.map(|service| {
        let unready = service.total - service.ready;
        format!("{}: {unready} of {} endpoints not ready", service.name, service.total)
    });
    down.chain(partly).collect()
}

/// The rows as a table.
pub(crate) fn table(rows: &[Row], wide: bool) -> Table {
    let mut columns = vec![
        left("SERVICE"),
        left("SUBSET"),
        left("READY"),
        right("RPS"),
        right("SUCCESS"),
        right("P50"),
        right("P95"),
        right("P99"),
        right("OPEN"),
    ];
    if wide {
        columns.extend([
            left("PROTOCOL"),
            right("RX/s"),
            right("TX/s"),
            right("REQUESTS"),
            right("ERRORS"),
        ]);
    }
    let mut table = Table::new(columns);
    for row in rows {
        let numbers = &row.numbers;
        let mut cells: Vec<Cell> = vec![
            row.service.clone().into(),
            or_dash(&row.part).into(),
            readiness(row.ready.into(), row.total.into()),
            number::rate(numbers.rps).into(),
            number::share(numbers.success).into(),
            number::milliseconds(numbers.p50_ms).into(),
            number::milliseconds(numbers.p95_ms).into(),
            number::milliseconds(numbers.p99_ms).into(),
            numbers.open.to_string().into(),
        ];
        if wide {
            cells.push(or_dash(&row.protocol).into());
            cells.push(number::bytes_per_second(numbers.received_bytes_per_second).into());
            cells.push(number::bytes_per_second(numbers.sent_bytes_per_second).into());
            cells.push(numbers.requests_total.to_string().into());
            cells.push(numbers.errors_total.to_string().into());
        }
        table.push(cells);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, rps: f64, ready: u32) -> ServiceNumbers {
        ServiceNumbers {
            name: name.to_owned(),
            ready,
            total: 2,
            numbers: Some(Numbers { rps, ..Numbers::default() }),
            subsets: vec![SubsetNumbers { name: "v1".to_owned(), ..SubsetNumbers::default() }],
            ..ServiceNumbers::default()
        }
    }

    fn frame() -> MetricsFrame {
        let services = vec![service("db", 1.0, 0), service("web", 9.0, 1)];
        MetricsFrame { services, ..MetricsFrame::default() }
    }

    fn names(filter: &str, sort: Sort) -> Vec<String> {
        rows(&frame(), filter, sort, &|_| None).into_iter().map(|row| row.service).collect()
    }

    #[test]
    fn rows_are_filtered_and_sorted() {
        assert_eq!(names("", Sort::Name), ["db", "web"]);
        assert_eq!(names("", Sort::Rps), ["web", "db"]);
        assert_eq!(names("!web", Sort::Rps), ["db"]);
    }

    #[test]
    fn an_expanded_service_shows_its_subsets() {
        let expanded = |name: &str| (name == "web").then_some(Level::Endpoint);
        assert_eq!(rows(&frame(), "", Sort::Name, &expanded).len(), 3);
    }

    #[test]
    fn services_without_a_ready_endpoint_come_first() {
        let problems = problems(&frame());
        assert_eq!(problems, ["db has no ready endpoint", "web: 1 of 2 endpoints not ready"]);
    }
}
