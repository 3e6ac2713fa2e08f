//! Rules of one match: paths, expressions, names of headers and parameters.

use super::super::error::Problem;
use super::super::{HttpMatch, PathKind, PathMatch, ValueKind, ValueMatch, full_regex};
use super::repeated;
use crate::codes;

pub(super) fn problems(conditions: &HttpMatch, path: &str) -> Vec<Problem> {
    let HttpMatch { path: wanted, headers, query_params, method: _ } = conditions;
    let mut problems: Vec<Problem> =
        wanted.iter().filter_map(|wanted| path_problem(wanted, path)).collect();
    let header = |at: usize| format!("{path}.headers[{at}].name");
    let names = headers.iter().map(|header| header.name.to_ascii_lowercase());
    problems.extend(repeated(names, header, "this header"));
    let query = |at: usize| format!("{path}.queryParams[{at}].name");
    problems.extend(repeated(query_params.iter().map(|q| &q.name), query, "this parameter"));
    for (at, wanted) in headers.iter().enumerate() {
        if !is_token(&wanted.name) {
            let message = format!("{:?} is no header name", wanted.name);
            problems.push(Problem::new(header(at), codes::INVALID_NAME, message).why(TOKEN));
        }
        problems.extend(value_problem(wanted, &format!("{path}.headers[{at}]")));
    }
    for (at, wanted) in query_params.iter().enumerate() {
        if wanted.name.is_empty() {
            problems.push(Problem::new(query(at), codes::INVALID_NAME, "a name is missing"));
        }
        problems.extend(value_problem(wanted, &format!("{path}.queryParams[{at}]")));
    }
    problems
}

const TOKEN: &str = "header names are letters, digits and !#$%&'*+-.^_`|~";

fn is_token(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(inner)
}

fn path_problem(wanted: &PathMatch, path: &str) -> Option<Problem> {
    let path = format!("{path}.path.value");
    let PathMatch { kind, value } = wanted;
    match kind {
        PathKind::RegularExpression => regex_problem(value, path),
        PathKind::Exact | PathKind::PathPrefix => {
            let what =
                if !value.starts_with('/') {
                    "does not start with /"
                } else if let Some(part) = misleading(value) {
                    return Some(Problem::new(
                    path,
                    codes::INVALID_VALUE,
                    format!("{value:?} contains {part:?}, which two programs may read differently"),
                )
                .hint("write the plain path"));
                } else if value.contains(|c: char| !c.is_ascii_graphic()) {
                    "contains characters that a request cannot have there"
                } else {
                    return None;
                };
            let message = format!("{value:?} {what}");
            Some(Problem::new(path, codes::INVALID_VALUE, message).hint("write it like /api"))
        }
    }
}

/// The Gateway API's list of what a path match must not contain.
fn misleading(path: &str) -> Option<&'static str> {
    let inside = ["//", "/./", "/../", "%2f", "%2F", "#", "?"];
    let ends = ["/..", "/."];
    inside
        .into_iter()
        .find(|part| path.contains(part))
        .or_else(|| ends.into_iter().find(|part| path.ends_with(part)))
}

fn value_problem(wanted: &ValueMatch, path: &str) -> Option<Problem> {
    match wanted.kind {
        ValueKind::Exact => None,
        ValueKind::RegularExpression => regex_problem(&wanted.value, format!("{path}.value")),
    }
}

fn regex_problem(pattern: &str, path: String) -> Option<Problem> {
    let error = full_regex(pattern).err()?;
    // The parser's own text spans lines; its last says what is wrong.
    let text = error.to_string();
    let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
    let message = format!("the expression is not valid: {reason}");
    Some(Problem::new(path, codes::INVALID_REGEX, message))
}
