//! The kinds of objects and what people call them.

use std::fmt;

/// A kind of object. The order is the one in which objects are listed and exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Service,
    HttpRoute,
    TcpRoute,
}

pub const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";

impl Kind {
    pub const ALL: [Self; 3] = [Self::Service, Self::HttpRoute, Self::TcpRoute];

    /// As manifests write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::HttpRoute => "HTTPRoute",
            Self::TcpRoute => "TCPRoute",
        }
    }

    /// As tables and messages write it: `route/web`.
    #[must_use]
    pub fn short(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::HttpRoute => "route",
            Self::TcpRoute => "tcproute",
        }
    }

    /// Accepted values of `apiVersion`; the first is the one we print.
    #[must_use]
    pub fn api_versions(self) -> &'static [&'static str] {
        match self {
            Self::Service => &["mesh/v1"],
            Self::HttpRoute => {
                &["gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1"]
            }
            Self::TcpRoute => {
                &["gateway.networking.k8s.io/v1alpha2", "gateway.networking.k8s.io/v1"]
            }
        }
    }

    #[must_use]
    pub fn api_version(self) -> &'static str {
        self.api_versions().first().copied().unwrap_or_default()
    }

    /// Every word `meshctl get` takes for it, in lower case.
    #[must_use]
    pub fn aliases(self) -> &'static [&'static str] {
        match self {
            Self::Service => &["service", "services", "svc"],
            Self::HttpRoute => &["route", "routes", "httproute", "httproutes"],
            Self::TcpRoute => &["tcproute", "tcproutes"],
        }
    }

    /// The kind a person means; letter case does not matter.
    #[must_use]
    pub fn find(word: &str) -> Option<Self> {
        let word = word.to_ascii_lowercase();
        Self::ALL.into_iter().find(|kind| kind.aliases().contains(&word.as_str()))
    }
}

/// The manifest's own word.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
