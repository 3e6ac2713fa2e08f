//! Builds Prometheus families from labelled numbers.

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

use crate::telemetry::cells::Load;

pub(super) type Labels = Vec<(&'static str, String)>;

#[derive(Default)]
pub(super) struct Families(Vec<MetricFamily>);

impl Families {
    pub(super) fn counter(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, u64)>,
    ) {
        let metrics = labelled(samples, |metric, count| metric.set_counter(counter(count as f64)));
        self.add(name, help, MetricType::COUNTER, metrics);
    }

    /// A counter of seconds, without labels.
    pub(super) fn counter_seconds(&mut self, name: &str, help: &str, seconds: f64) {
        let mut metric = Metric::default();
        metric.set_counter(counter(seconds));
        self.add(name, help, MetricType::COUNTER, vec![metric]);
    }

    pub(super) fn gauge(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, f64)>,
    ) {
        let metrics = labelled(samples, |metric, value| {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        });
        self.add(name, help, MetricType::GAUGE, metrics);
    }

    pub(super) fn histogram<'a>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, &'a Load)>,
    ) {
        let metrics = labelled(samples, |metric, load| metric.set_histogram(histogram(load)));
        self.add(name, help, MetricType::HISTOGRAM, metrics);
    }

    /// By name, without the families that have no sample.
    pub(super) fn sorted(mut self) -> Vec<MetricFamily> {
        self.0.retain(|family| !family.get_metric().is_empty());
        self.0.sort_by(|a, b| a.name().cmp(b.name()));
        self.0
    }

    fn add(&mut self, name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) {
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(metrics);
        self.0.push(family);
    }
}

fn labelled<V>(
    samples: impl IntoIterator<Item = (Labels, V)>,
    set: impl Fn(&mut Metric, V),
) -> Vec<Metric> {
    let metrics = samples.into_iter().map(|(labels, value)| {
        let mut metric = Metric::from_label(labels.into_iter().map(pair).collect());
        set(&mut metric, value);
        metric
    });
    metrics.collect()
}

fn counter(value: f64) -> Counter {
    let mut counter = Counter::default();
    counter.set_value(value);
    counter
}

fn pair((name, value): (&'static str, String)) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value);
    pair
}

fn histogram(load: &Load) -> Histogram {
    let buckets = load.latencies.cumulative().map(|(bound, count)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(count);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(load.latencies.count());
    histogram.set_sample_sum(load.latency as f64 / 1e9);
    histogram
}
