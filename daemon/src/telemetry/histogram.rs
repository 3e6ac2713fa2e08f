//! Latencies counted in fixed buckets: the Prometheus bounds, each interval cut into equal parts.
//!
//! One set of buckets serves both views: sums over whole intervals are exact Prometheus classic
//! buckets, and the parts (at most 6.25 % wide above 10 µs) give quantiles within 5 %.

/// Upper bounds of the intervals, nanoseconds; above the last one everything is one bucket.
const BOUNDS: [u64; 23] = [
    0,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    25_000_000_000,
    50_000_000_000,
    100_000_000_000,
];
/// Equal parts of each interval.
const PARTS: usize = 24;
/// The bounds up to this one are too fine to be worth a Prometheus series.
const FIRST_EXPORTED: usize = 6;
const LAST_EXPORTED: usize = 19;

/// How many counters a histogram needs.
pub(crate) const BUCKETS: usize = (BOUNDS.len() - 1) * PARTS + 1;

/// The bucket that `nanos` belongs to; a value equal to a bound belongs below it.
pub(crate) fn bucket(nanos: u64) -> usize {
    let interval = BOUNDS.partition_point(|&bound| bound < nanos).saturating_sub(1);
    let (Some(&low), Some(&high)) = (BOUNDS.get(interval), BOUNDS.get(interval + 1)) else {
        return BUCKETS - 1;
    };
    let above = nanos.saturating_sub(low).saturating_sub(1);
    interval * PARTS + (above * PARTS as u64 / (high - low)) as usize
}

/// Counted latencies, added up from any number of shards or seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Histogram {
    /// Empty until something was counted: most rows of most seconds are.
    counts: Vec<u64>,
}

impl Histogram {
    pub(crate) fn add(&mut self, bucket: usize, count: u64) {
        if count == 0 {
            return;
        }
        self.counts.resize(BUCKETS, 0);
        if let Some(place) = self.counts.get_mut(bucket) {
            *place += count;
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.counts.resize(self.counts.len().max(other.counts.len()), 0);
        for (place, count) in self.counts.iter_mut().zip(&other.counts) {
            *place += count;
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Every bucket that grew since `earlier`, and by how much.
    pub(crate) fn grown_since(&self, earlier: &Self) -> impl Iterator<Item = (usize, u64)> {
        let before = |at: usize| earlier.counts.get(at).copied().unwrap_or_default();
        let counts = self.counts.iter().enumerate();
        counts.map(move |(at, now)| (at, now.saturating_sub(before(at)))).filter(|&(_, by)| by > 0)
    }

    /// Upper bound in seconds, and how many were no longer than it.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        (FIRST_EXPORTED..=LAST_EXPORTED).filter_map(|at| {
            let below = self.counts.iter().take(at * PARTS).sum();
            Some((*BOUNDS.get(at)? as f64 / 1e9, below))
        })
    }

    /// The latency, in nanoseconds, that the share `q` (0 to 1) of all did not exceed.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        let total = self.count();
        if total == 0 {
            return None;
        }
        let rank = (q * total as f64).ceil().clamp(1.0, total as f64);
        let mut below = 0;
        let at = self.counts.iter().position(|&count| {
            below += count;
            below as f64 >= rank
        })?;
        Some(middle(at))
    }
}

fn middle(bucket: usize) -> f64 {
    let (interval, part) = (bucket / PARTS, bucket % PARTS);
    let low = BOUNDS.get(interval).copied().unwrap_or_default() as f64;
    let Some(&high) = BOUNDS.get(interval + 1) else { return low };
    low + (high as f64 - low) * (part as f64 + 0.5) / PARTS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(latencies: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::default();
        latencies.into_iter().for_each(|nanos| histogram.add(bucket(nanos), 1));
        histogram
    }

    // covers: MET-10
    #[test]
    fn quantiles_are_within_five_percent_of_exact() {
        // A long-tailed load from 20 µs to 40 s, without a random number generator.
        let mut exact: Vec<u64> =
            (0..10_000_u32).map(|i| (20_000.0 * 1.00146_f64.powi(i as i32)) as u64).collect();
        exact.sort_unstable();
        let histogram = of(exact.iter().copied());
        for q in [0.01, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999] {
            let wanted = exact[(q * 10_000.0_f64).ceil() as usize - 1] as f64;
            let got = histogram.quantile(q).unwrap();
            assert!((got - wanted).abs() / wanted < 0.05, "q{q}: {got} for {wanted}");
        }
    }

    // covers: MET-09, MET-41
    #[test]
    fn a_latency_equal_to_a_bound_counts_below_it() {
        let histogram = of([1_000_000, 2_000_000, 5_000_000, 5_000_001, 10_000_000]);
        let at = |le| histogram.cumulative().find(|&(bound, _)| bound == le).unwrap().1;
        assert_eq!((at(0.005), at(0.01), at(0.05), histogram.count()), (3, 5, 5, 5));
    }

    #[test]
    fn extremes_have_a_bucket() {
        assert_eq!(bucket(0), 0);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert_eq!(of([]).quantile(0.5), None);
    }
}
