//! Header fields: which ones concern a proxy, and what their names and values may hold.

/// Fields a forwarding proxy acts upon (RFC 9110 §7.6.1); everything else is [`Field::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    /// `Keep-Alive`, `Proxy-Connection`, `HTTP2-Settings`.
    HopByHop,
    KeepAlive,
    Te,
    Upgrade,
    Expect,
    RequestId,
    Traceparent,
    Tracestate,
    /// Says who the caller is; only we may, so it never passes.
    Identity,
    /// `Transfer_Encoding`: some servers read `_` as `-`.
    Lookalike,
    Other,
}

pub(super) fn classify(name: &str) -> Field {
    let of_this_length: &[(&str, Field)] = match name.len() {
        2 => &[("te", Field::Te)],
        4 => &[("host", Field::Host)],
        6 => &[("expect", Field::Expect)],
        7 => &[("upgrade", Field::Upgrade)],
        10 => &[
            ("connection", Field::Connection),
            ("keep-alive", Field::KeepAlive),
            ("tracestate", Field::Tracestate),
        ],
        11 => &[("traceparent", Field::Traceparent)],
        12 => &[("x-request-id", Field::RequestId)],
        14 => &[
            ("content-length", Field::ContentLength),
            ("http2-settings", Field::HopByHop),
            ("content_length", Field::Lookalike),
        ],
        16 => &[("proxy-connection", Field::HopByHop)],
        17 => &[
            ("transfer-encoding", Field::TransferEncoding),
            ("transfer_encoding", Field::Lookalike),
        ],
        _ => &[],
    };
    let known = of_this_length.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
    match known {
        Some((_, field)) => *field,
        None if is_identity(name.as_bytes()) => Field::Identity,
        None => Field::Other,
    }
}

/// What only meshd may say: `x-mesh-*` and `x-forwarded-client-cert`, with `_` read as `-`.
fn is_identity(name: &[u8]) -> bool {
    matches!(name.first(), Some(b'x' | b'X'))
        && (name.get(..7).is_some_and(|start| same(start, "x-mesh-"))
            || same(name, "x-forwarded-client-cert"))
}

/// Equal without case and with `_` equal to `-`; `known` is written in lower case with `-`.
fn same(name: &[u8], known: &str) -> bool {
    let folded = |&byte: &u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.len() == known.len() && name.iter().map(folded).eq(known.bytes())
}

/// Naming one of these in `Connection` would take away what routing, framing or trust rest on.
pub(super) fn must_stay(name: &[u8]) -> bool {
    const KEPT: [&str; 7] = [
        "host",
        "content-length",
        "transfer-encoding",
        "authorization",
        "x-request-id",
        "traceparent",
        "tracestate",
    ];
    KEPT.iter().any(|kept| same(name, kept))
        || is_identity(name)
        || name.get(..12).is_some_and(|start| same(start, "x-forwarded-"))
}

/// May stand after a body (RFC 9110 §6.5.1): not what frames, routes, authenticates or controls.
pub(super) fn may_trail(name: &[u8]) -> bool {
    const NEVER: [&str; 17] = [
        "authorization",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "cookie",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    !NEVER.iter().any(|never| same(name, never))
        && !is_identity(name)
        && !name.get(..12).is_some_and(|start| same(start, "x-forwarded-"))
}

pub(super) fn is_token(name: &[u8]) -> bool {
    !name.is_empty()
        && name.iter().all(|&b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Visible characters, spaces, tabs and bytes above 0x7f.
pub(super) fn is_value(value: &[u8]) -> bool {
    value.iter().all(|&b| b == b'\t' || b >= b' ' && b != 0x7f)
}

/// The members of a comma-separated list, without the space around them.
pub(super) fn members(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&b| b == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// Digits only, at most 18 of them: no sign, no list, no overflow.
pub(super) fn length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 18 {
        return None;
    }
    value.iter().try_fold(0_u64, |sum, &digit| {
        digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0'))
    })
}

/// `Host` as RFC 9110 §7.2 has it, less what no resolver takes: empty, a name of letters, digits
/// and `-._~%XX`, or an IP literal; each with an optional port.
pub(super) fn is_host(host: &[u8]) -> bool {
    if let Some(literal) = host.strip_prefix(b"[") {
        let Some(end) = memchr::memchr(b']', literal) else { return false };
        let (inside, after) = literal.split_at_checked(end).unwrap_or_default();
        return inside.iter().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
            && !inside.is_empty()
            && is_port(after.strip_prefix(b"]").unwrap_or_default());
    }
    let end = memchr::memchr(b':', host).unwrap_or(host.len());
    let (name, port) = host.split_at_checked(end).unwrap_or_default();
    let mut rest = name;
    while let Some((&first, after)) = rest.split_first() {
        rest = match (first, after) {
            (b'%', [high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                after
            }
            (b'-' | b'.' | b'_' | b'~', _) => after,
            _ if first.is_ascii_alphanumeric() => after,
            _ => return false,
        };
    }
    is_port(port)
}

/// Nothing, or a colon and at most five digits.
fn is_port(text: &[u8]) -> bool {
    text.is_empty()
        || text
            .strip_prefix(b":")
            .is_some_and(|digits| digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_cannot_be_claimed_in_any_spelling() {
        for name in
            ["x-mesh-error", "X_Mesh_Source", "x-forwarded-client-cert", "X_FORWARDED-client_cert"]
        {
            assert_eq!(classify(name), Field::Identity, "{name}");
        }
        for name in ["x-meshy", "x-mesh", "my-x-mesh-a", "x-forwarded-for"] {
            assert_eq!(classify(name), Field::Other, "{name}");
        }
        assert_eq!(classify("Transfer_Encoding"), Field::Lookalike);
        assert_eq!(classify("X_Custom"), Field::Other);
    }

    #[test]
    fn a_host_is_a_name_or_a_literal_with_an_optional_port() {
        for host in ["", "web.mesh", "WEB.mesh.:80", "a_b~c%20", "[::1]:8080", "127.0.0.1:1"] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in ["a@evil", "web.mesh, evil", "a b", "a%zz", "[::1", "[]", "a:b", "a:1:2", "a/b"]
        {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn lengths_are_digits() {
        assert_eq!(length(b"0"), Some(0));
        assert_eq!(length(b"999999999999999999"), Some(999_999_999_999_999_999));
        for value in ["", "+5", "-5", "5 0", "0x5", "5, 5", "18446744073709551621"] {
            assert_eq!(length(value.as_bytes()), None, "{value}");
        }
    }
}
