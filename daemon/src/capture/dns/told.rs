//! Which names led a workload to which addresses, for lists of names it may reach.

use std::time::Duration;

use hickory_proto::op::Message;

use super::Shared;
use super::answer::Question;
use super::report::Asked;

/// Remembers the addresses in another resolver's answer. To be called before the program gets it:
/// it may connect at once.
pub(super) fn remember(shared: &Shared, asked: &Asked, question: &Question, reply: &[u8]) {
    let Some(workload) = asked.origin.workload else { return };
    let snapshot = shared.snapshot();
    let restricted = snapshot.workloads.get(&workload);
    if !restricted.is_some_and(|workload| workload.egress.is_restricted()) {
        return;
    }
    let Ok(reply) = Message::from_vec(reply) else { return };
    for record in &reply.answers {
        let Some(ip) = record.data.ip_addr() else { continue };
        let ttl = Duration::from_secs(record.ttl.into());
        shared.names.learn(workload, &question.name, ip, ttl);
    }
}
