//! How a plain scalar would be read by one YAML program or another.

/// What `text` means, unquoted, to a YAML 1.1 or 1.2 reader, when that is not a string: `no` is a
/// boolean to one and a string to the other, so neither reading is taken.
pub(super) fn reads_as(text: &str) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "" | "~" | "null" => return Some("nothing"),
        "yes" | "no" | "on" | "off" | "true" | "false" => return Some("a boolean"),
        ".inf" | "-.inf" | "+.inf" | ".nan" => return Some("a number"),
        _ => {}
    }
    let unsigned = lower.strip_prefix(['-', '+']).unwrap_or(&lower);
    let radix = |prefix: &str, digits: fn(char) -> bool| {
        let rest = unsigned.strip_prefix(prefix);
        rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(digits))
    };
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        None
    } else if radix("0x", |c| c.is_ascii_hexdigit() || c == '_')
        || radix("0o", |c| c.is_digit(8) || c == '_')
        || radix("0b", |c| c.is_digit(2) || c == '_')
        || is_decimal(unsigned)
    {
        Some("a number")
    } else if is_sexagesimal(unsigned) {
        Some("a number in base 60")
    } else if is_date(unsigned) {
        Some("a date")
    } else {
        None
    }
}

/// Digits with `_` between, at most one point, perhaps an exponent.
fn is_decimal(text: &str) -> bool {
    let (mantissa, exponent) = text.split_once('e').map_or((text, None), |(m, e)| (m, Some(e)));
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit() || c == '_');
    let any = |text: &str| text.contains(|c: char| c.is_ascii_digit());
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_holds = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        any(exponent) && digits(exponent)
    });
    digits(whole) && digits(part) && any(mantissa) && exponent_holds
}

/// `22:22`, `1:30:00`.
fn is_sexagesimal(text: &str) -> bool {
    let mut parts = text.split(':');
    let digits = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    let first = parts.next().is_some_and(digits);
    let mut rest = 0;
    let sixty = |part: &str| {
        rest += 1;
        let part = part.split('.').next().unwrap_or_default();
        digits(part) && part.len() <= 2 && part.parse::<u8>().is_ok_and(|n| n < 60)
    };
    first && parts.all(sixty) && rest > 0
}

/// `2026-11-21`, perhaps with a time.
fn is_date(text: &str) -> bool {
    let date = text.split(['t', ' ']).next().unwrap_or_default();
    let parts: Vec<&str> = date.split('-').collect();
    let digits = |part: &&str, least: usize, most: usize| {
        (least..=most).contains(&part.len()) && part.chars().all(|c| c.is_ascii_digit())
    };
    matches!(parts.as_slice(), [year, month, day]
        if digits(year, 4, 4) && digits(month, 1, 2) && digits(day, 1, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_program_reads_differently_is_no_string() {
        // `y` and `n` are strings to every parser in use, though YAML 1.1 has them as booleans.
        // `y` and `n` are strings to every parser in use, though YAML 1.1 calls them booleans.
        for text in ["no", "Yes", "ON", "true", "~", "", "null", "NULL"] {
            assert!(reads_as(text).is_some(), "{text}");
        }
        for text in [
            "1",
            "-1",
            "+1",
            "1e3",
            "0o17",
            "017",
            "0x1F",
            "0b1",
            "1_000",
            "1.5",
            ".5",
            "1.",
            "22:22",
            "1:30:00",
            "-.inf",
            ".NaN",
            "2026-11-21",
            "2026-11-21T10:00:00Z",
            "1.0e+3",
        ] {
            assert!(reads_as(text).is_some(), "{text}");
        }
        for text in [
            "web", "y", "v1", "1.2.3", "10.0.0.1", "1m30s", "2s", "nope", "0x", "-", ".", "..",
            "/a", "e3", "1e", "22:61", "8080-tcp", "::1", "a:1", "2026-11", "*.a.test", "infinity",
        ] {
            assert_eq!(reads_as(text), None, "{text}");
        }
    }
}
