//! Which rule of a service port a request meets.
//!
//! Paths are compared as sent: another reading of `%2e%2e` or `//` must not choose another backend
//! than the one the backend itself would serve. Rules come in matching order, so the first that
//! holds is the answer.

use httparse::Header;

use crate::state::{HttpRoute, HttpRule, Matches, PathMatch, StrMatch};

/// What of a request decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    pub(crate) method: &'a str,
    /// As sent: any letter case, perhaps with a port.
    pub(crate) host: &'a [u8],
    /// Path and query in origin form.
    pub(crate) target: &'a [u8],
    pub(crate) fields: &'a [Header<'a>],
}

/// The first rule that holds and its index; `None` is answered with 404.
pub(crate) fn choose<'r>(route: &'r HttpRoute, head: &Head<'_>) -> Option<(usize, &'r HttpRule)> {
    if let [only] = route.rules.as_slice()
        && only.hostnames.is_empty()
        && only.matches.is_empty()
    {
        return Some((0, only));
    }
    let host = without_port(head.host);
    let (path, query) = match memchr::memchr(b'?', head.target) {
        Some(at) => head.target.split_at_checked(at).unwrap_or((head.target, b"")),
        None => (head.target, &b""[..]),
    };
    let query = query.strip_prefix(b"?").unwrap_or_default();
    route.rules.iter().enumerate().find(|(_, rule)| {
        (rule.hostnames.is_empty() || rule.hostnames.iter().any(|name| covers(name, host)))
            && rule.matches.hold(head, path, query)
    })
}

impl Matches {
    fn is_empty(&self) -> bool {
        self.path.is_none()
            && self.method.is_none()
            && self.headers.is_empty()
            && self.query.is_empty()
    }

    fn hold(&self, head: &Head<'_>, path: &[u8], query: &[u8]) -> bool {
        let sent = |name: &str, wanted: &StrMatch| {
            let mut fields = head.fields.iter().filter(|f| f.name.eq_ignore_ascii_case(name));
            fields.any(|field| wanted.holds(field.value))
        };
        self.path.as_ref().is_none_or(|wanted| wanted.holds(path))
            && self.method.as_ref().is_none_or(|wanted| wanted == head.method)
            && self.headers.iter().all(|(name, wanted)| sent(name, wanted))
            && self.query.iter().all(|(name, wanted)| {
                // Gateway API: of a repeated parameter the first counts.
                parameter(query, name.as_bytes()).is_some_and(|value| wanted.holds_encoded(value))
            })
    }
}

impl PathMatch {
    fn holds(&self, path: &[u8]) -> bool {
        match self {
            Self::Exact(wanted) => path == wanted.as_bytes(),
            Self::Prefix(wanted) => {
                let rest = path.strip_prefix(wanted.as_bytes());
                rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
            }
            Self::Regex(wanted) => wanted.is_match(path),
        }
    }
}

impl StrMatch {
    fn holds(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(wanted) => value == wanted.as_bytes(),
            Self::Regex(wanted) => wanted.is_match(value),
        }
    }

    fn holds_encoded(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(wanted) => decoded(value).eq(wanted.bytes()),
            Self::Regex(wanted) => wanted.is_match(&decoded(value).collect::<Vec<u8>>()),
        }
    }
}

/// `*.shop.test` covers any name below `shop.test`, not `shop.test` itself.
fn covers(pattern: &str, host: &[u8]) -> bool {
    let Some(suffix) = pattern.strip_prefix('*') else {
        return host.eq_ignore_ascii_case(pattern.as_bytes());
    };
    let below = host.len().checked_sub(suffix.len()).filter(|&labels| labels > 0);
    below
        .and_then(|at| host.get(at..))
        .is_some_and(|end| end.eq_ignore_ascii_case(suffix.as_bytes()))
}

fn without_port(host: &[u8]) -> &[u8] {
    let bare = match host.iter().rposition(|&b| b == b':' || b == b']') {
        Some(at) if host.get(at) == Some(&b':') => host.get(..at).unwrap_or(host),
        _ => host,
    };
    bare.strip_suffix(b".").unwrap_or(bare)
}

/// The still encoded value of the first `name=value`; a name alone has the value "".
fn parameter<'q>(query: &'q [u8], name: &[u8]) -> Option<&'q [u8]> {
    query.split(|&b| b == b'&').find_map(|pair| {
        let (key, value) = match memchr::memchr(b'=', pair) {
            Some(at) => (pair.get(..at)?, pair.get(at + 1..)?),
            None => (pair, &b""[..]),
        };
        decoded(key).eq(name.iter().copied()).then_some(value)
    })
}

/// `%41` → `A`, `+` → space; a `%` without two hex digits stays as it is.
fn decoded(encoded: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = encoded;
    std::iter::from_fn(move || {
        let (&first, after) = rest.split_first()?;
        rest = after;
        let hex =
            |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        match (first, after) {
            (b'+', _) => Some(b' '),
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    Some(high << 4 | low)
                }
                _ => Some(b'%'),
            },
            _ => Some(first),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: ROUTE-05
    #[test]
    fn a_prefix_ends_at_a_segment() {
        let rules = [path(PathMatch::Prefix("/api".into()))];
        assert_eq!(chosen(&rules, "GET web.mesh /api"), Some(0));
        assert_eq!(chosen(&rules, "GET web.mesh /api/7?x=/y"), Some(0));
        assert_eq!(chosen(&rules, "GET web.mesh /api?x"), Some(0));
        assert_eq!(chosen(&rules, "GET web.mesh /apis"), None);
    }

    // covers: ROUTE-03
    #[test]
    fn paths_are_compared_as_sent() {
        let rules =
            [path(PathMatch::Exact("/admin".into())), path(PathMatch::Prefix(String::new()))];
        for target in ["/./admin", "//admin", "/%61dmin", "/admin/"] {
            assert_eq!(chosen(&rules, &format!("GET web.mesh {target}")), Some(1), "{target}");
        }
        assert_eq!(chosen(&rules, "GET web.mesh /admin?q"), Some(0));
    }

    #[test]
    fn a_regex_is_tried_on_the_path_without_its_query() {
        let rules = [path(PathMatch::Regex(regex("^(?:/v[0-9]+/.*)$")))];
        assert_eq!(chosen(&rules, "GET web.mesh /v2/x?/v3"), Some(0));
        assert_eq!(chosen(&rules, "GET web.mesh /x?/v2/"), None);
    }

    // covers: ROUTE-04
    #[test]
    fn hosts_match_in_any_case_with_any_port() {
        let mut exact = path(PathMatch::Prefix(String::new()));
        exact.hostnames = vec!["shop.test".into(), "*.a.test".into()];
        let rules = [exact];
        for host in ["shop.test", "SHOP.test:8080", "shop.test.", "x.a.test", "y.x.A.test:1"] {
            assert_eq!(chosen(&rules, &format!("GET {host} /")), Some(0), "{host}");
        }
        for host in ["a.test", "xa.test", "shop.test.evil", "[::1]:80"] {
            assert_eq!(chosen(&rules, &format!("GET {host} /")), None, "{host}");
        }
    }

    #[test]
    fn method_header_and_query_must_all_hold() {
        let rules = [HttpRule {
            matches: Matches {
                path: None,
                method: Some("POST".into()),
                headers: vec![("x-variant".into(), StrMatch::Exact("b".into()))],
                query: vec![("q".into(), StrMatch::Exact("a b".into()))],
            },
            ..rule()
        }];
        assert_eq!(chosen(&rules, "POST web.mesh /x?p=1&q=a%20b X-Variant:b"), Some(0));
        assert_eq!(chosen(&rules, "POST web.mesh /x?q=a+b&q=c X-Variant:b"), Some(0));
        assert_eq!(chosen(&rules, "POST web.mesh /x?q=c&q=a+b X-Variant:b"), None);
        assert_eq!(chosen(&rules, "GET web.mesh /x?q=a+b X-Variant:b"), None);
        assert_eq!(chosen(&rules, "POST web.mesh /x?q=a+b X-Variant:c"), None);
        assert_eq!(chosen(&rules, "POST web.mesh /x?q=a+b"), None);
    }

    // covers: ROUTE-08
    #[test]
    fn the_first_rule_that_holds_wins() {
        let rules = [
            path(PathMatch::Exact("/a".into())),
            path(PathMatch::Prefix("/a".into())),
            path(PathMatch::Prefix(String::new())),
        ];
        assert_eq!(chosen(&rules, "GET web.mesh /a"), Some(0));
        assert_eq!(chosen(&rules, "GET web.mesh /a/b"), Some(1));
        assert_eq!(chosen(&rules, "GET web.mesh /c"), Some(2));
    }

    fn rule() -> HttpRule {
        HttpRule {
            route: 0,
            number: 0,
            of: 0,
            hostnames: Vec::new(),
            matches: Matches::default(),
            split: crate::state::Split::default(),
            timeout: None,
            attempt_timeout: None,
            retries: 0,
            retry_codes: Vec::new(),
            retry_backoff: None,
        }
    }

    fn path(path: PathMatch) -> HttpRule {
        HttpRule { matches: Matches { path: Some(path), ..Matches::default() }, ..rule() }
    }

    fn regex(pattern: &str) -> regex::bytes::Regex {
        regex::bytes::Regex::new(pattern).unwrap()
    }

    /// Index of the rule chosen for "METHOD HOST TARGET [NAME:VALUE]".
    fn chosen(rules: &[HttpRule], request: &str) -> Option<usize> {
        let words: Vec<&str> = request.split(' ').collect();
        let fields: Vec<Header<'_>> = words[3..]
            .iter()
            .map(|field| field.split_once(':').unwrap())
            .map(|(name, value)| Header { name, value: value.as_bytes() })
            .collect();
        let head = Head {
            method: words[0],
            host: words[1].as_bytes(),
            target: words[2].as_bytes(),
            fields: &fields,
        };
        let route = HttpRoute { rules: rules.to_vec() };
        choose(&route, &head).map(|(index, _)| index)
    }
}
