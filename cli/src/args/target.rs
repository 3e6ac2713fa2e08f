//! `KIND[/NAME]` on the command line, in any spelling people use for a kind.

use mesh_proto::manifest::Kind;

use crate::error::{Failure, did_you_mean};

/// What `get`, `describe`, `delete`, `wait` and `export` speak of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The short kind, "service".
    pub(crate) kind: &'static str,
    pub(crate) name: Option<String>,
}

/// What `get` knows beside the kinds of manifests.
const OTHER: [&[&str]; 2] = [&["run", "runs"], &["attachment", "attachments"]];

/// Every kind as its spellings, the short one first.
fn spellings() -> impl Iterator<Item = &'static [&'static str]> {
    Kind::ALL.into_iter().map(Kind::aliases).chain(OTHER)
}

/// Every short kind, for completion and error messages.
pub(crate) fn kinds() -> impl Iterator<Item = &'static str> {
    spellings().filter_map(|spellings| spellings.first().copied())
}

pub(crate) fn kind_of(word: &str) -> Result<&'static str, Failure> {
    let lower = word.to_ascii_lowercase();
    let found = spellings().find(|spellings| spellings.contains(&lower.as_str()));
    if let Some(kind) = found.and_then(|spellings| spellings.first().copied()) {
        return Ok(kind);
    }
    let failure = Failure::usage(format!("unknown kind \"{word}\""));
    Err(match did_you_mean(&lower, spellings().flatten().copied()) {
        Some(guess) => failure.why(guess),
        None => failure.why(format!("known kinds: {}", kinds().collect::<Vec<_>>().join(", "))),
    })
}

/// Reads `KIND`, `KIND/NAME`, `KIND NAME NAME…` or several `KIND/NAME`.
pub(crate) fn targets(words: &[String]) -> Result<Vec<Target>, Failure> {
    let Some(first) = words.first() else {
        return Ok(Vec::new());
    };
    if first.contains('/') || words.len() == 1 {
        return words.iter().map(|word| target(word)).collect();
    }
    let kind = kind_of(first)?;
    let named = |name: &String| Target { kind, name: Some(name.clone()) };
    Ok(words.iter().skip(1).map(named).collect())
}

fn target(word: &str) -> Result<Target, Failure> {
    let (kind, name) = match word.split_once('/') {
        Some((kind, name)) => (kind, Some(name)),
        None => (word, None),
    };
    if name == Some("") {
        return Err(Failure::usage(format!("\"{word}\" lacks a name after the slash")));
    }
    Ok(Target { kind: kind_of(kind)?, name: name.map(str::to_owned) })
}

/// The same, where a name is needed.
pub(crate) fn named_targets(words: &[String]) -> Result<Vec<(&'static str, String)>, Failure> {
    targets(words)?.into_iter().map(needs_name).collect()
}

fn needs_name(target: Target) -> Result<(&'static str, String), Failure> {
    let kind = target.kind;
    let name = target.name.ok_or_else(|| {
        Failure::usage(format!("which {kind}? a name is missing")).fix(format!("write {kind}/NAME"))
    })?;
    Ok((kind, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_kind_is_known_by_every_spelling() {
        for word in ["service", "Services", "svc"] {
            assert_eq!(kind_of(word).unwrap(), "service");
        }
        assert_eq!(kind_of("HTTPRoute").unwrap(), "route");
        let failure = kind_of("servcie").unwrap_err();
        assert!(failure.lines().iter().any(|(_, line)| line.contains("did you mean")));
    }

    #[test]
    fn names_follow_a_slash_or_a_space() {
        let web = Target { kind: "service", name: Some("web".to_owned()) };
        assert_eq!(targets(&words("service/web")).unwrap(), std::slice::from_ref(&web));
        assert_eq!(targets(&words("svc web")).unwrap(), [web]);
        assert_eq!(targets(&words("services")).unwrap(), [Target { kind: "service", name: None }]);
        assert_eq!(targets(&words("service/a route/b")).unwrap().len(), 2);
        assert!(targets(&words("service/")).is_err());
        assert!(named_targets(&words("services")).is_err());
    }
}
