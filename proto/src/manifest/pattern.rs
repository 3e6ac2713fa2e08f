//! Regular expressions in matches: the linear-time engine, whole value, bounded size.

use regex::bytes::{Regex, RegexBuilder};

/// Compiled size above which an expression is refused.
const MOST_BYTES: usize = 256 * 1024;

/// Compiles an expression that must match a whole value, as Envoy has it.
///
/// # Errors
/// When it is malformed, or too large once compiled.
pub fn full_regex(pattern: &str) -> Result<Regex, regex::Error> {
    // On its own first, so that an unbalanced `)` cannot end our group.
    RegexBuilder::new(pattern).size_limit(MOST_BYTES).build()?;
    RegexBuilder::new(&format!(r"\A(?:{pattern})\z")).size_limit(MOST_BYTES).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_match_whole_values() {
        let regex = full_regex("/v[0-9]+|/old").unwrap();
        assert!(regex.is_match(b"/v2") && regex.is_match(b"/old"));
        assert!(!regex.is_match(b"/v2/x") && !regex.is_match(b"x/old"));
    }

    #[test]
    fn what_is_malformed_or_huge_is_refused() {
        for pattern in ["(", "a)(b", r"(a)\1", "(?=a)", "[[:alpha:]]{999}{999}"] {
            assert!(full_regex(pattern).is_err(), "{pattern}");
        }
    }
}
