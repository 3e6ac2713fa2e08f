//! `--fail-if`: a line the numbers must not cross, such as `success<99` or `p99>250ms`.

use std::fmt;
use std::str::FromStr;

use mesh_proto::v1::Numbers;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Gate {
    text: String,
    measure: Measure,
    below: bool,
    limit: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Measure {
    /// Percent.
    Success,
    Rate,
    P50,
    P95,
    P99,
}

#[derive(Debug, thiserror::Error)]
#[error("write success<99, rps<10, p50>MS, p95>MS or p99>250ms")]
pub(crate) struct NotAGate;

impl FromStr for Gate {
    type Err = NotAGate;

    fn from_str(text: &str) -> Result<Self, NotAGate> {
        let place = text.find(['<', '>']).ok_or(NotAGate)?;
        let (name, rest) = text.split_at(place);
        let below = rest.starts_with('<');
        let value = rest.get(1..).unwrap_or_default().trim();
        let measure = match name.trim() {
            "success" => Measure::Success,
            "rps" => Measure::Rate,
            "p50" => Measure::P50,
            "p95" => Measure::P95,
            "p99" => Measure::P99,
            _ => return Err(NotAGate),
        };
        let number = match measure {
            Measure::Success => value.trim_end_matches('%'),
            Measure::Rate => value,
            Measure::P50 | Measure::P95 | Measure::P99 => value.trim_end_matches("ms"),
        };
        let limit = number.parse().map_err(|_not_a_number| NotAGate)?;
        Ok(Self { text: text.to_owned(), measure, below, limit })
    }
}

impl Gate {
    /// Without requests there is nothing to judge, except their rate.
    pub(crate) fn is_crossed(&self, numbers: &Numbers) -> bool {
        match self.value(numbers) {
            None => false,
            Some(value) if self.below => value < self.limit,
            Some(value) => value > self.limit,
        }
    }

    fn value(&self, numbers: &Numbers) -> Option<f64> {
        match self.measure {
            Measure::Success => numbers.success.map(|share| share * 100.0),
            Measure::Rate => Some(numbers.rps),
            Measure::P50 => numbers.p50_ms,
            Measure::P95 => numbers.p95_ms,
            Measure::P99 => numbers.p99_ms,
        }
    }

    /// The value as it was, with its unit.
    pub(crate) fn measured(&self, numbers: &Numbers) -> String {
        let value = self.value(numbers).unwrap_or_default();
        match self.measure {
            Measure::Success => format!("{value:.2}%"),
            Measure::Rate => format!("{value:.1} req/s"),
            Measure::P50 | Measure::P95 | Measure::P99 => format!("{value:.1}ms"),
        }
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crossed(gate: &str, numbers: &Numbers) -> bool {
        gate.parse::<Gate>().unwrap().is_crossed(numbers)
    }

    #[test]
    fn a_gate_is_crossed_by_a_value_on_its_wrong_side() {
        let numbers =
            Numbers { success: Some(0.95), p99_ms: Some(300.0), rps: 5.0, ..Numbers::default() };
        assert!(crossed("success<99", &numbers));
        assert!(!crossed("success<90%", &numbers));
        assert!(crossed("p99>250ms", &numbers));
        assert!(crossed("rps<10", &numbers));
        assert!(!crossed("success<99", &Numbers::default()));
        for wrong in ["success", "success=99", "x<1", "p99>fast"] {
            assert!(wrong.parse::<Gate>().is_err(), "{wrong}");
        }
    }
}
