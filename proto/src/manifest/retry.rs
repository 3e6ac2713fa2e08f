//! How often and when a rule tries again: the Gateway API's fields, or our short form `3@5xx`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::duration;

/// Attempts beyond the first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Retry {
    pub attempts: u32,
    /// Status codes that deserve another attempt; connect failures always do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<u16>,
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Duration>,
}

/// The Gateway API leaves `attempts` to the implementation.
const DEFAULT_ATTEMPTS: u32 = 1;

impl Retry {
    /// Reads `ATTEMPTS` or `ATTEMPTS@CODE,CODE`, where `5xx` stands for 500, 502, 503 and 504.
    #[must_use]
    pub fn short(text: &str) -> Option<Self> {
        let (attempts, codes) = text.split_once('@').map_or((text, None), |(a, c)| (a, Some(c)));
        let attempts = number(attempts).filter(|attempts| *attempts <= Self::MOST_ATTEMPTS)?;
        let mut all = Vec::new();
        for code in codes.into_iter().flat_map(|codes| codes.split(',')) {
            all.extend(status_codes(code)?);
        }
        Some(Self { attempts, codes: ordered(all), backoff: None })
    }

    pub const MOST_ATTEMPTS: u32 = 100;
}

fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The codes a word stands for: `503`, or `5xx`: those that say the service could not, rather
/// than would not, answer.
#[must_use]
pub fn status_codes(word: &str) -> Option<Vec<u16>> {
    if word == "5xx" {
        return Some(vec![500, 502, 503, 504]);
    }
    let code = number(word).and_then(|code| u16::try_from(code).ok())?;
    (400..=599).contains(&code).then(|| vec![code])
}

fn ordered(mut codes: Vec<u16>) -> Vec<u16> {
    codes.sort_unstable();
    codes.dedup();
    codes
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Short(String),
    Attempts(u32),
    Long {
        attempts: Option<u32>,
        #[serde(default)]
        codes: Vec<Code>,
        #[serde(default, with = "duration")]
        backoff: Option<Duration>,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Code {
    Number(u16),
    Word(String),
}

impl From<Written> for Retry {
    fn from(written: Written) -> Self {
        match written {
            // Validation has refused texts that are no short form.
            Written::Short(text) => Self::short(&text).unwrap_or_default(),
            Written::Attempts(attempts) => Self { attempts, codes: Vec::new(), backoff: None },
            Written::Long { attempts, codes, backoff } => {
                let codes = codes.into_iter().flat_map(|code| match code {
                    Code::Number(code) => vec![code],
                    Code::Word(word) => status_codes(&word).unwrap_or_default(),
                });
                let attempts = attempts.unwrap_or(DEFAULT_ATTEMPTS);
                Self { attempts, codes: ordered(codes.collect()), backoff }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_form_names_attempts_and_codes() {
        let retry = |text| Retry::short(text).map(|retry| (retry.attempts, retry.codes));
        assert_eq!(retry("3"), Some((3, vec![])));
        assert_eq!(retry("3@5xx"), Some((3, vec![500, 502, 503, 504])));
        assert_eq!(retry("2@503,429"), Some((2, vec![429, 503])));
        for wrong in ["", "x", "-1", "+1", "3@", "3@200", "3@6xx", "101", "3@500,", "@5xx"] {
            assert_eq!(retry(wrong), None, "{wrong}");
        }
    }
}
