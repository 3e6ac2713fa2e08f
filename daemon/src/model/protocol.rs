//! What a service says it speaks.

/// The protocol declared for a service port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Declared {
    /// Undeclared: the first bytes decide, and a server that speaks first is not kept waiting.
    #[default]
    Detect,
    Tcp,
    Http,
    Grpc,
}

/// How HTTP that is wrong but harmless is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compat {
    /// Refused with the reason.
    #[default]
    Strict,
    /// Repaired and forwarded clean, never passed on as it came.
    Lenient,
}
