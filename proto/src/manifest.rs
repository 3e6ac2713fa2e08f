//! The kinds people write: parsing, validation, diff and canonical printing.

/// Whether `text` is an RFC 1123 label: what services, namespaces, nodes and subsets are called.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}
