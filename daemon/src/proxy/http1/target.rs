//! The request target: which forms are taken, and what no path may hold.

use super::reply::Refusal;

/// The target without scheme and authority, and that authority.
pub(super) fn origin_form<'b>(
    method: &str,
    target: &'b [u8],
) -> Result<(&'b [u8], Option<&'b [u8]>), Refusal> {
    if method == "CONNECT" {
        return Err(Refusal::no_connect());
    }
    let (target, authority) = match target {
        [b'/', ..] => (target, None),
        b"*" if method == "OPTIONS" => return Ok((target, None)),
        _ => absolute_form(target)?,
    };
    let path = target.split(|&b| b == b'?').next().unwrap_or_default();
    if memchr::memchr(b'#', target).is_some() {
        return Err(Refusal::malformed("the target has a fragment"));
    }
    // Some servers read `\` as `/`, some end a path at NUL: neither has an honest use.
    if memchr::memchr(b'\\', path).is_some() || has_encoded(path, b"%00") {
        return Err(Refusal::malformed("the path has a backslash or NUL"));
    }
    Ok((target, authority))
}

/// `http://authority/path` as path and authority.
fn absolute_form(target: &[u8]) -> Result<(&[u8], Option<&[u8]>), Refusal> {
    let scheme = [&b"http://"[..], b"https://"].into_iter().find(|scheme| {
        target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    let rest = scheme.and_then(|scheme| target.get(scheme.len()..));
    let rest = rest.ok_or(Refusal::malformed("the target is no path"))?;
    let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or_default();
    match path {
        _ if authority.is_empty() => Err(Refusal::malformed("the target has no host")),
        [] => Ok((b"/", Some(authority))),
        [b'/', ..] => Ok((path, Some(authority))),
        _ => Err(Refusal::malformed("the target has no path")),
    }
}

fn has_encoded(path: &[u8], sequence: &[u8; 3]) -> bool {
    memchr::memchr_iter(b'%', path).any(|at| path.get(at..at + 3) == Some(sequence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_form_becomes_origin_form() {
        for (target, path, authority) in [
            ("/a?b=http://c", "/a?b=http://c", ""),
            ("http://web.mesh/t", "/t", "web.mesh"),
            ("HTTPS://web.mesh:80", "/", "web.mesh:80"),
        ] {
            let (got, host) = origin_form("GET", target.as_bytes()).unwrap();
            assert_eq!((got, host.unwrap_or_default()), (path.as_bytes(), authority.as_bytes()));
        }
        assert!(origin_form("OPTIONS", b"*").is_ok());
    }

    #[test]
    fn what_servers_read_differently_is_refused_in_the_path_alone() {
        for target in ["*", "web.mesh:80", "http:///x", "/t#x", "/a\\b", "/a%00", "http://a?b"] {
            assert_eq!(origin_form("GET", target.as_bytes()).unwrap_err().status, 400, "{target}");
        }
        assert!(origin_form("GET", b"/a/..%2f;b?c\\d=%00").is_ok());
        assert_eq!(origin_form("CONNECT", b"a:22").unwrap_err().status, 405);
    }
}
