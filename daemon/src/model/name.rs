//! What a service is called.

use std::fmt;

/// A service's namespace and name; both are DNS labels (RFC 1123), checked by the manifest.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub(crate) struct ServiceName {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl ServiceName {
    pub(crate) const DEFAULT_NAMESPACE: &'static str = "default";

    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        let namespace = if namespace.is_empty() { Self::DEFAULT_NAMESPACE } else { namespace };
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// What applications ask for: `web.mesh`, or `web.shop.mesh` outside the default namespace.
    pub(crate) fn dns_name(&self) -> String {
        if self.namespace == Self::DEFAULT_NAMESPACE {
            format!("{}.mesh", self.name)
        } else {
            format!("{}.{}.mesh", self.name, self.namespace)
        }
    }
}

/// `web`, or `shop/web` outside the default namespace.
impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace == Self::DEFAULT_NAMESPACE {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}
