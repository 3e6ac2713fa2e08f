//! HTTP/1.1 and 1.0 between a captured client and the endpoints, by our own core.
//!
//! hyper's header map and its task hops cost more than the whole rest of the path; forwarding
//! needs neither. Heads are parsed by httparse, checked strictly and forwarded as runs of the
//! original bytes.

mod body;
mod chunk;
mod field;
mod head;
mod ids;
mod reply;
mod request;
mod response;
