//! Durations as people write them: `2s`, `100ms`, `1m30s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A duration on the command line. `0` needs no unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit(pub(crate) Duration);

#[derive(Debug, thiserror::Error)]
#[error("not a duration: write a number and a unit, such as 2s, 100ms or 1m30s")]
pub(crate) struct NotADuration;

impl Limit {
    /// `0` means no limit.
    pub(crate) fn bound(self) -> Option<Duration> {
        (!self.0.is_zero()).then_some(self.0)
    }
}

impl FromStr for Limit {
    type Err = NotADuration;

    fn from_str(text: &str) -> Result<Self, NotADuration> {
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let mut total = Duration::ZERO;
        let mut rest = text;
        while !rest.is_empty() {
            let (part, after) = first_part(rest)?;
            total = total.checked_add(part).ok_or(NotADuration)?;
            rest = after;
        }
        if text.is_empty() { Err(NotADuration) } else { Ok(Self(total)) }
    }
}

/// The first number with its unit, and what follows it.
fn first_part(text: &str) -> Result<(Duration, &str), NotADuration> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(NotADuration)?;
    let (number, rest) = text.split_at(digits);
    let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (unit, after) = rest.split_at(letters);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => return Err(NotADuration),
    };
    let count: f64 = number.parse().map_err(|_not_a_number| NotADuration)?;
    let part =
        Duration::try_from_secs_f64(count * seconds).map_err(|_out_of_range| NotADuration)?;
    Ok((part, after))
}

impl fmt::Display for Limit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_carry_units() {
        let ms = |text: &str| text.parse::<Limit>().ok().map(|limit| limit.0.as_millis());
        assert_eq!(ms("2s"), Some(2000));
        assert_eq!(ms("100ms"), Some(100));
        assert_eq!(ms("1m30s"), Some(90_000));
        assert_eq!(ms("1.5s"), Some(1500));
        assert_eq!(ms("0"), Some(0));
        for wrong in ["", "2", "s", "2x", "-1s", "1s2", "99999999999999999999d", "1..5s"] {
            assert_eq!(ms(wrong), None, "{wrong}");
        }
    }
}
