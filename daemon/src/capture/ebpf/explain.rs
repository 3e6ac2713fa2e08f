//! Why the kernel refused, in a line for a person.

use std::io;

use mesh_ebpf::LoadError;

pub(super) fn explain(error: &LoadError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        let line = cause_text.lines().next().unwrap_or_default();
        if !text.contains(line) {
            text.push_str(": ");
            text.push_str(line); // more lines are the verifier's log
        }
        source = cause.source();
    }
    let denied = |error: &&io::Error| error.kind() == io::ErrorKind::PermissionDenied;
    if error.io_error().filter(denied).is_some() {
        text.push_str(" (needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON)");
    }
    text
}
