//! How a request or connection that did not end well is called: one code, one reason and one
//! error type each, here and nowhere else.

/// Why a request or connection did not end well; Envoy's response flags where one exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flag {
    None,
    UpstreamConnect,
    NoEndpoint,
    /// The route's timeout.
    UpstreamTimeout,
    /// The upstream closed or reset before the answer was whole.
    UpstreamClosed,
    UpstreamProtocol,
    DownstreamClosed,
    /// The client broke the protocol: refused by our own parser.
    DownstreamProtocol,
    NoRoute,
    /// Idle, or a body that stalled.
    StreamIdle,
    /// Refused for lack of resources.
    Overload,
    Draining,
    Panic,
    /// The request came back to us through ourselves.
    Loop,
    /// It leads out of the mesh, where this workload may not go.
    Egress,
    /// It came from outside the mesh to a service that wants none of that.
    Unmeshed,
}

/// The values of the metric label `error_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorType {
    Timeout,
    Connect,
    Reset,
    Tls,
    Dns,
    NoEndpoint,
    RateLimited,
    Denied,
    BreakerOpen,
    Panic,
}

impl Flag {
    /// In the order of their numbers.
    pub(crate) const ALL: [Self; 16] = [
        Self::None,
        Self::UpstreamConnect,
        Self::NoEndpoint,
        Self::UpstreamTimeout,
        Self::UpstreamClosed,
        Self::UpstreamProtocol,
        Self::DownstreamClosed,
        Self::DownstreamProtocol,
        Self::NoRoute,
        Self::StreamIdle,
        Self::Overload,
        Self::Draining,
        Self::Panic,
        Self::Loop,
        Self::Egress,
        Self::Unmeshed,
    ];

    /// Envoy's short code, or a word of ours where Envoy has none; empty for `None`.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::None => "",
            Self::UpstreamConnect => "UF",
            Self::NoEndpoint => "UH",
            Self::UpstreamTimeout => "UT",
            Self::UpstreamClosed => "UC",
            Self::UpstreamProtocol => "UPE",
            Self::DownstreamClosed => "DC",
            Self::DownstreamProtocol => "DPE",
            Self::NoRoute => "NR",
            Self::StreamIdle => "SI",
            Self::Overload => "DO",
            Self::Draining => "DR",
            Self::Panic => "PANIC",
            Self::Loop => "LOOP",
            Self::Egress => "EGRESS",
            Self::Unmeshed => "UNMESHED",
        }
    }

    /// For people; empty for `None`.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::None => "",
            Self::UpstreamConnect => "could not connect to the endpoint",
            Self::NoEndpoint => "the service has no endpoint to send to",
            Self::UpstreamTimeout => "the route's timeout was reached",
            Self::UpstreamClosed => "the endpoint closed before the answer was whole",
            Self::UpstreamProtocol => "the endpoint's answer broke the protocol",
            Self::DownstreamClosed => "the client went away",
            Self::DownstreamProtocol => "the client's request broke the protocol",
            Self::NoRoute => "no route matched",
            Self::StreamIdle => "nothing moved for too long",
            Self::Overload => "refused for lack of resources",
            Self::Draining => "meshd is stopping",
            Self::Panic => "a fault inside meshd",
            Self::Loop => "the request came back to meshd through meshd",
            Self::Egress => "the workload may not go there",
            Self::Unmeshed => "the client is not in the mesh",
        }
    }

    /// What `mesh_errors_total` counts it as; `None` for what ended well.
    pub(crate) const fn error_type(self) -> Option<ErrorType> {
        Some(match self {
            Self::None => return None,
            Self::UpstreamConnect => ErrorType::Connect,
            Self::NoEndpoint | Self::NoRoute => ErrorType::NoEndpoint,
            Self::UpstreamTimeout | Self::StreamIdle => ErrorType::Timeout,
            Self::UpstreamClosed | Self::UpstreamProtocol | Self::DownstreamClosed => {
                ErrorType::Reset
            }
            Self::DownstreamProtocol
            | Self::Draining
            | Self::Loop
            | Self::Egress
            | Self::Unmeshed => ErrorType::Denied,
            Self::Overload => ErrorType::RateLimited,
            Self::Panic => ErrorType::Panic,
        })
    }
}

impl ErrorType {
    /// In the order of their numbers.
    pub(crate) const ALL: [Self; 10] = [
        Self::Timeout,
        Self::Connect,
        Self::Reset,
        Self::Tls,
        Self::Dns,
        Self::NoEndpoint,
        Self::RateLimited,
        Self::Denied,
        Self::BreakerOpen,
        Self::Panic,
    ];

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::Reset => "reset",
            Self::Tls => "tls",
            Self::Dns => "dns",
            Self::NoEndpoint => "no_endpoint",
            Self::RateLimited => "rate_limited",
            Self::Denied => "denied",
            Self::BreakerOpen => "breaker_open",
            Self::Panic => "panic",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    // covers: X-093, MET-04
    #[test]
    fn every_failure_has_one_code_of_its_own_a_reason_and_an_error_type() {
        let failures = Flag::ALL.iter().filter(|flag| **flag != Flag::None);
        let codes: HashSet<_> = failures.clone().map(|flag| flag.code()).collect();
        assert_eq!(codes.len(), Flag::ALL.len() - 1);
        for flag in failures {
            assert!(!flag.reason().is_empty() && flag.error_type().is_some(), "{flag:?}");
        }
        assert_eq!((Flag::None.code(), Flag::None.error_type()), ("", None));
    }

    #[test]
    fn the_documentation_lists_every_code_with_its_reason_and_error_type() {
        let page = include_str!("../../../docs/metrics.md");
        for flag in Flag::ALL {
            let Some(kind) = flag.error_type() else { continue };
            let row = format!("| `{}` | {} | `{}` |", flag.code(), flag.reason(), kind.label());
            assert!(page.contains(&row), "{row}");
        }
    }

    #[test]
    fn numbers_follow_the_tables() {
        assert!(Flag::ALL.iter().enumerate().all(|(number, &flag)| flag as usize == number));
        assert!(ErrorType::ALL.iter().enumerate().all(|(number, &kind)| kind as usize == number));
    }
}
