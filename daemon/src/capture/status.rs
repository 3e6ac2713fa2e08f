//! How capture is doing, and what of it is in the kernel.

/// Which backend captures, and how it is doing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Status {
    /// "ebpf", "nft" or "none".
    pub(crate) backend: &'static str,
    /// Why this backend, and why not the one before it.
    pub(crate) notes: Vec<String>,
    /// BPF programs attached, or rules loaded.
    pub(crate) programs: u32,
    /// What keeps capture from doing all it should; empty when all is well.
    pub(crate) problems: Vec<String>,
    pub(crate) counters: Counters,
}

/// Since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) connections: u64,
    /// DNS sockets and datagrams.
    pub(crate) questions: u64,
    /// Connects to a port its virtual address does not declare.
    pub(crate) refused: u64,
    // The rest only some backends count.
    /// UDP sockets connected, and datagrams of others, taken to the proxy.
    pub(crate) datagrams: u64,
    /// Connections and datagrams that came in and were taken.
    pub(crate) inbound: u64,
    /// Sent to an endpoint without the proxy, as its service says.
    pub(crate) balanced: u64,
    /// Left alone because the settings say so.
    pub(crate) excluded: u64,
    /// Left alone, or sent to an endpoint, because meshd did not answer.
    pub(crate) bypassed: u64,
}

impl std::ops::AddAssign for Counters {
    fn add_assign(&mut self, more: Self) {
        self.connections += more.connections;
        self.questions += more.questions;
        self.refused += more.refused;
        self.datagrams += more.datagrams;
        self.inbound += more.inbound;
        self.balanced += more.balanced;
        self.excluded += more.excluded;
        self.bypassed += more.bypassed;
    }
}

impl Counters {
    /// Each with the name people know it by.
    pub(crate) fn named(&self) -> [(&'static str, u64); 8] {
        [
            ("connections", self.connections),
            ("questions", self.questions),
            ("refused", self.refused),
            ("datagrams", self.datagrams),
            ("inbound", self.inbound),
            ("balanced", self.balanced),
            ("excluded", self.excluded),
            ("bypassed", self.bypassed),
        ]
    }
}

/// What is in the kernel right now.
#[derive(Debug, Default)]
pub(crate) struct InForce {
    /// Tables, chains, policy rules and routes, as their programs print them.
    pub(crate) rules: String,
    pub(crate) programs: Vec<mesh_ebpf::Report>,
    pub(crate) counters: Counters,
}
