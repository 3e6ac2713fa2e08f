//! The consecutive steps of a record as people see them.

use mesh_proto::v1;

use crate::record::{Entry, Kind, Protocol};

/// Whole microseconds that add up to the whole record's: what one step loses by rounding the
/// next one gains.
pub(super) fn steps(entry: &Entry, details: [String; 7]) -> Vec<v1::Step> {
    let steps = &entry.record.steps;
    let times = [
        steps.capture,
        steps.head,
        steps.route,
        steps.balance,
        steps.connect,
        steps.app,
        steps.response,
    ];
    let mut nanos = 0;
    let shown = names(entry).into_iter().zip(times).zip(details).map(|((name, time), detail)| {
        let before = nanos / 1000;
        nanos += time;
        v1::Step { name: name.to_owned(), micros: nanos / 1000 - before, detail }
    });
    shown.filter(|step| step.micros > 0 || !step.detail.is_empty()).collect()
}

fn names(entry: &Entry) -> [&'static str; 7] {
    let head = match (entry.record.kind, entry.record.protocol) {
        (Kind::Http, _) => "head",
        (Kind::Dns, _) => "question",
        (Kind::Udp, _) | (Kind::Tcp, Protocol::Tcp) => "detect",
        (Kind::Tcp, Protocol::Tls) => "tls hello",
        (Kind::Tcp, Protocol::Http10 | Protocol::Http11 | Protocol::Http2 | Protocol::Udp) => {
            "preface"
        }
    };
    let (app, response) = match entry.record.kind {
        Kind::Http => ("app", "response"),
        Kind::Tcp => ("first byte", "stream"),
        Kind::Udp => ("first answer", "session"),
        Kind::Dns => ("resolve", "answer"),
    };
    ["capture", head, "route", "balance", "connect", app, response]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Record, Steps};
    use crate::telemetry::testing;

    #[test]
    fn rounded_steps_add_up_to_the_whole() {
        let steps = Steps {
            capture: 1_999,
            head: 1_999,
            route: 999,
            balance: 1,
            connect: 1_500,
            app: 5_000_500,
            response: 1,
        };
        let record = Record { steps, ..testing::answered(200, 0) };
        let entry = Entry { record, host: Vec::new(), path: Vec::new() };
        let shown = super::steps(&entry, Default::default());
        let sum: u64 = shown.iter().map(|step| step.micros).sum();
        assert_eq!(sum, steps.total() / 1000);
    }
}
