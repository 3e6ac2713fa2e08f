//! Did you mean …?

/// The candidate somebody probably meant by `word`: a letter or two off, or only in letter case.
#[must_use]
pub fn suggest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word = word.to_lowercase();
    let distance = |candidate: &str| strsim::osa_distance(&word, &candidate.to_lowercase());
    let near = candidates.into_iter().map(|candidate| (distance(candidate), candidate));
    let (distance, best) = near.min_by_key(|(distance, _)| *distance)?;
    let allowed = match best.len().min(word.len()) {
        0..=2 => 0,
        3..=5 => 1,
        6..=9 => 2,
        _ => 3,
    };
    (distance <= allowed).then_some(best)
}

/// `a, b, c`
pub(super) fn list(words: &[&str]) -> String {
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let fields = ["ports", "endpoints", "health", "backendRefs"];
        for (word, meant) in [
            ("port", Some("ports")),
            ("Ports", Some("ports")),
            ("backendrefs", Some("backendRefs")),
            ("backendReffs", Some("backendRefs")),
            ("heatlh", Some("health")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(suggest(word, fields), meant, "{word}");
        }
    }
}
