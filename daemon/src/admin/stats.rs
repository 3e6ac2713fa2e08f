//! Every counter as `name: value`, or as JSON: the samples of the metrics without the buckets.

use regex::Regex;
use serde_json::{Value, json};

/// Name with labels, and the value as the exposition writes it.
type Stat<'a> = (&'a str, &'a str);

/// The samples whose name the pattern finds.
pub(super) fn filtered<'a>(
    exposition: &'a str,
    pattern: Option<&str>,
) -> Result<Vec<Stat<'a>>, regex::Error> {
    let pattern = pattern.map(Regex::new).transpose()?;
    let samples = exposition.lines().filter(|line| !line.starts_with('#'));
    let stats = samples.filter_map(|line| line.rsplit_once(' '));
    let stats = stats.filter(|(name, _)| !name.contains("_bucket{"));
    Ok(stats.filter(|(name, _)| pattern.as_ref().is_none_or(|p| p.is_match(name))).collect())
}

pub(super) fn text(stats: &[Stat<'_>]) -> String {
    stats.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
}

pub(super) fn json(stats: &[Stat<'_>]) -> String {
    let number = |value: &str| {
        let whole = value.parse::<u64>().map(Value::from);
        whole.unwrap_or_else(|_| value.parse::<f64>().map_or(Value::Null, Value::from))
    };
    let stats: Vec<Value> =
        stats.iter().map(|(name, value)| json!({ "name": name, "value": number(value) })).collect();
    json!({ "stats": stats }).to_string()
}

/// Undoes percent-encoding; what is not valid stays as it is.
pub(super) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = (first == b'%').then(|| after.get(..2)).flatten();
        let value = escaped
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = match value {
            Some(_) => after.get(2..).unwrap_or_default(),
            None => after,
        };
        bytes.push(value.unwrap_or(if first == b'+' { b' ' } else { first }));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: &str = "# HELP m_total Help.\n# TYPE m_total counter\n\
        m_total{service=\"a b\"} 5\nh_bucket{le=\"0.1\"} 1\nh_sum 0.25\nh_count 1\n";

    // covers: ADM-01
    #[test]
    fn every_sample_is_one_line_and_can_be_filtered() {
        let all = filtered(METRICS, None).unwrap();
        assert_eq!(text(&all), "m_total{service=\"a b\"}: 5\nh_sum: 0.25\nh_count: 1\n");
        let some = filtered(METRICS, Some("^h_")).unwrap();
        assert_eq!(
            json(&some),
            r#"{"stats":[{"name":"h_sum","value":0.25},{"name":"h_count","value":1}]}"#
        );
        assert!(filtered(METRICS, Some("(")).is_err());
    }

    #[test]
    fn queries_are_decoded_and_broken_escapes_kept() {
        assert_eq!(decoded("a%7Cb+c%2"), "a|b c%2");
        assert_eq!(decoded("%zz%F"), "%zz%F");
    }
}
