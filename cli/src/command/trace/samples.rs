//! `--samples N`: how the times of each step spread over many requests.

use std::collections::BTreeMap;

use serde_json::json;

use super::story::Story;
use crate::output::table::{Table, left, right};
use crate::output::{Answer, Human, number};

pub(super) fn answer(stories: &[Story]) -> Answer {
    let mut statuses: BTreeMap<u32, usize> = BTreeMap::new();
    for story in stories {
        *statuses.entry(story.status).or_default() += 1;
    }
    let mut names: Vec<&str> = Vec::new();
    for step in stories.iter().flat_map(|story| &story.steps) {
        if !names.contains(&step.name.as_str()) {
            names.push(&step.name);
        }
    }
    let mut table =
        Table::new([left("STEP"), right("COUNT"), right("P50"), right("P99"), right("MAX")]);
    let mut documents = Vec::new();
    let totals = stories.iter().map(|story| story.total).collect();
    let spreads = names.iter().map(|name| (*name, times_of(name, stories)));
    for (name, mut times) in spreads.chain([("total", totals)]) {
        times.sort_unstable();
        let [p50, p99, max] = [50, 99, 100].map(|percent| percentile(&times, percent));
        let cell = |micros| number::step(micros).into();
        table.push(vec![
            name.into(),
            times.len().to_string().into(),
            cell(p50),
            cell(p99),
            cell(max),
        ]);
        documents.push(
            json!({"name": name, "count": times.len(), "p50Us": p50, "p99Us": p99, "maxUs": max}),
        );
    }
    Answer {
        document: json!({
            "apiVersion": "mesh/v1",
            "kind": "TraceSamples",
            "samples": stories.len(),
            "statuses": statuses.iter().map(|(status, count)| (status.to_string(), json!(count))).collect::<serde_json::Map<_, _>>(),
            "steps": documents,
            "traceIds": stories.iter().map(|story| story.trace.as_str()).collect::<Vec<_>>(),
        }),
        names: stories.iter().map(|story| format!("trace/{}", story.trace)).collect(),
        human: Human::Table(table),
    }
}

fn times_of(name: &str, stories: &[Story]) -> Vec<u64> {
    let steps = stories.iter().flat_map(|story| &story.steps);
    steps.filter(|step| step.name == name).map(|step| step.micros).collect()
}

/// The smallest value that at least `percent` of the sorted values do not exceed.
fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let sorted: Vec<u64> = (1..=100).collect();
        assert_eq!(percentile(&sorted, 50), 50);
        assert_eq!(percentile(&sorted, 99), 99);
        assert_eq!(percentile(&[7], 99), 7);
        assert_eq!(percentile(&[], 99), 0);
    }
}
