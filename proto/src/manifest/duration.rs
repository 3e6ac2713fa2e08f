//! Durations as the Gateway API writes them (GEP-2257): `2s`, `500ms`, `1m30s`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

/// The same as a regular expression, for schemas.
pub(super) const PATTERN: &str = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";

const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads `([0-9]{1,5}(h|m|s|ms)){1,4}`; `None` for anything else.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut millis = 0;
    for _ in 0..UNITS.len() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(letters)?;
        if number.len() > 5 {
            return None;
        }
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        millis += number.parse::<u64>().ok()? * factor;
        rest = tail;
        if rest.is_empty() {
            return Some(Duration::from_millis(millis));
        }
    }
    None
}

/// Prints what [`parse`] reads, largest unit first; parts of a millisecond are dropped.
#[must_use]
pub fn print(duration: Duration) -> String {
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, factor) in UNITS {
        if millis >= factor {
            text.push_str(&format!("{}{unit}", millis / factor));
            millis %= factor;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

pub(super) fn serialize<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => serializer.serialize_str(&print(*duration)),
        None => serializer.serialize_none(),
    }
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    parse(&text).map(Some).ok_or_else(|| D::Error::custom(format!("{text:?} is no duration")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_whole_numbers_with_units() {
        for (text, millis) in
            [("2s", 2_000), ("25ms", 25), ("1m30s", 90_000), ("1h", 3_600_000), ("0s", 0)]
        {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
            assert_eq!(print(Duration::from_millis(millis)), text);
        }
        for text in ["", "2", "s", "1.5s", "-1s", "2 s", "2d", "123456s", "1s1s1s1s1s", "1sm"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
