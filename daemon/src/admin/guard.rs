//! Who may ask: nobody who sends more than a plain GET, and no web page.
//!
//! A page of another site can make its browser send requests here, and by rebinding its own name
//! to our address even read the answers. Such a request names a foreign host or origin.

use std::net::IpAddr;

use hyper::Method;
use hyper::header::{HOST, HeaderMap, ORIGIN};

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("only GET and HEAD: nothing is changed here")]
    Method,
    #[error("the Host header must be an IP address or localhost")]
    Host,
    #[error("not for pages of other sites")]
    Origin,
}

pub(super) fn admit(method: &Method, headers: &HeaderMap) -> Result<(), Refused> {
    if method != Method::GET && method != Method::HEAD {
        return Err(Refused::Method);
    }
    let host = headers.get(HOST).map(|host| host.to_str().unwrap_or_default());
    if !host.is_none_or(is_here) {
        return Err(Refused::Host);
    }
    let foreign = match headers.get(ORIGIN) {
        None => false,
        Some(origin) => {
            let origin = origin.to_str().unwrap_or_default();
            origin.strip_prefix("http://") != host || host.is_none()
        }
    };
    let cross_site = headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    if foreign || cross_site { Err(Refused::Origin) } else { Ok(()) }
}

/// A name could be made to point here by anyone; an address could not.
fn is_here(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(method: &Method, headers: &[(&'static str, &str)]) -> Result<(), Refused> {
        let headers = headers.iter().map(|(name, value)| {
            (name.parse::<hyper::header::HeaderName>().unwrap(), value.parse().unwrap())
        });
        admit(method, &headers.collect())
    }

    // covers: ADM-07
    #[test]
    fn only_plain_local_reads_are_answered() {
        for host in ["127.0.0.1:15020", "localhost", "LOCALHOST:80", "[::1]:15020", "10.0.0.9"] {
            assert_eq!(verdict(&Method::GET, &[("host", host)]), Ok(()), "{host}");
        }
        assert_eq!(verdict(&Method::HEAD, &[]), Ok(()));
        assert_eq!(verdict(&Method::POST, &[("host", "localhost")]), Err(Refused::Method));
        for host in ["evil.example", "localhost.evil.example:80", "127.0.0.1.evil.example", ""] {
            assert_eq!(verdict(&Method::GET, &[("host", host)]), Err(Refused::Host), "{host}");
        }
    }

    // covers: ADM-07
    #[test]
    fn pages_of_other_sites_are_refused() {
        let from =
            |origin| verdict(&Method::GET, &[("host", "127.0.0.1:15020"), ("origin", origin)]);
        assert_eq!(from("http://127.0.0.1:15020"), Ok(()));
        for origin in ["http://evil.example", "null", "http://127.0.0.1:3000"] {
            assert_eq!(from(origin), Err(Refused::Origin), "{origin}");
        }
        let fetched = [("host", "localhost"), ("sec-fetch-site", "cross-site")];
        assert_eq!(verdict(&Method::GET, &fetched), Err(Refused::Origin));
    }
}
