//! What a question is, and the answer where it is ours to give: pure.

mod find;

use hickory_proto::op::{
    Edns, Header, Message, MessageType, Metadata, OpCode, Query, ResponseCode,
};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{DNSClass, Name, RData, Record};
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder};

use crate::state::Snapshot;
use find::{Found, Records, find, records};

/// The zone that is ours.
const ZONE: &str = "mesh";
/// How long applications may keep an answer, "no such name" included, in seconds.
const TTL: u32 = 5;
/// What we say we take over UDP (RFC 9715).
const UDP_PAYLOAD: u16 = 1232;

/// What to do about a message.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Not a question at all.
    Drop,
    Forward(Question),
    Answer(Answer),
}

/// A question for another resolver.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) name: String,
    /// Where the question section ends in the message.
    end: usize,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) message: Vec<u8>,
    /// What was asked, as it was written.
    pub(super) name: String,
    /// For people: the addresses, or why there are none.
    pub(super) text: String,
    /// Interned id of the service found.
    pub(super) service: u32,
}

/// Reads `message` and decides; mesh names come from `snapshot`.
pub(super) fn consider(message: &[u8], snapshot: &Snapshot) -> Verdict {
    let mut decoder = BinDecoder::new(message);
    let Ok(header) = Header::read(&mut decoder) else { return Verdict::Drop };
    if header.metadata.message_type == MessageType::Response {
        return Verdict::Drop;
    }
    let question = match header.counts.queries {
        1 => Query::read(&mut decoder).ok(),
        _ => None,
    };
    let Some(question) = question else {
        let message = failure(message, HEADER, ResponseCode::FormErr);
        let (name, text) = (String::new(), "FORMERR".to_owned());
        return Verdict::Answer(Answer { message, name, text, service: 0 });
    };
    let name = question.name().to_ascii();
    let Some(labels) = labels_in_zone(question.name()) else {
        return Verdict::Forward(Question { name, end: decoder.index() });
    };
    let wants_edns = header.counts.additionals > 0
        && Message::from_vec(message).is_ok_and(|message| message.edns.is_some());
    let found = find(&labels, snapshot);
    let (code, records) = match &found {
        _ if header.metadata.op_code != OpCode::Query => (ResponseCode::NotImp, Records::default()),
        _ if question.query_class() != DNSClass::IN => (ResponseCode::Refused, Records::default()),
        Found::Nothing => (ResponseCode::NXDomain, Records::default()),
        Found::Name(_) | Found::Ports(..) | Found::Inside => {
            (ResponseCode::NoError, records(&question, &found))
        }
    };
    let text = describe(code, &records.answers);
    let service = match found {
        Found::Name(named) | Found::Ports(named, _) => named.service.id,
        Found::Inside | Found::Nothing => 0,
    };
    match response(&header.metadata, question, code, records, wants_edns) {
        Some(message) => Verdict::Answer(Answer { message, name, text, service }),
        None => Verdict::Drop,
    }
}

/// The labels before `mesh.` in lower case; `None` for names of others.
fn labels_in_zone(name: &Name) -> Option<Vec<String>> {
    let mut labels: Vec<String> =
        name.iter().map(|label| String::from_utf8_lossy(label).to_ascii_lowercase()).collect();
    (labels.pop()? == ZONE).then_some(labels)
}

fn describe(code: ResponseCode, answers: &[Record]) -> String {
    let text = |record: &Record| {
        if let RData::SRV(srv) = &record.data {
            return format!("{}:{}", srv.target, srv.port);
        }
        record.data.ip_addr().map(|ip| ip.to_string()).unwrap_or_default()
    };
    let addresses: Vec<String> = answers.iter().map(text).collect();
    if code == ResponseCode::NXDomain {
        "NXDOMAIN".to_owned()
    } else if code != ResponseCode::NoError {
        code.to_string()
    } else if addresses.is_empty() {
        "NODATA".to_owned()
    } else {
        addresses.join(" ")
    }
}

fn response(
    asked: &Metadata,
    question: Query,
    code: ResponseCode,
    records: Records,
    wants_edns: bool,
) -> Option<Vec<u8>> {
    let mut message = Message::response(asked.id, asked.op_code);
    message.metadata = Metadata::response_from_request(asked);
    message.metadata.authoritative = true;
    message.metadata.recursion_available = true;
    message.metadata.response_code = code;
    message.add_query(question);
    if records.answers.is_empty() {
        message.add_authority(start_of_authority()?);
    }
    message.add_answers(records.answers);
    message.add_additionals(records.additional);
    if wants_edns {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_PAYLOAD);
        message.set_edns(edns);
    }
    message.to_vec().ok()
}

/// Its minimum is how long a "no" may be kept (RFC 2308).
fn start_of_authority() -> Option<Record> {
    let name = |text: &str| Name::from_ascii(text).ok();
    let soa = SOA::new(name("ns.mesh.")?, name("hostmaster.mesh.")?, 1, 3600, 600, 86400, TTL);
    Some(Record::from_rdata(name("mesh.")?, TTL, RData::SOA(soa)))
}

const HEADER: usize = 12;

impl Question {
    /// The question as it was asked, with SERVFAIL for an answer.
    pub(super) fn server_failure(&self, message: &[u8]) -> Vec<u8> {
        failure(message, self.end, ResponseCode::ServFail)
    }

    /// `reply` has the id and the question of `message`; letters may differ in case.
    pub(super) fn is_answered_by(&self, message: &[u8], reply: &[u8]) -> bool {
        let same_id = message.get(..2) == reply.get(..2);
        let is_response = reply.get(2).is_some_and(|flags| flags & 0x80 != 0);
        let asked = message.get(HEADER..self.end);
        let echoed = reply.get(HEADER..self.end);
        let same_question = match (asked, echoed) {
            (Some(asked), Some(echoed)) => asked.eq_ignore_ascii_case(echoed),
            _ => false,
        };
        // A resolver that could not read the question may leave it out.
        let has_question = reply.get(4..6).is_some_and(|count| count != [0, 0]);
        same_id && is_response && (same_question || !has_question)
    }
}

/// An answer without any record, made of the question's own bytes up to `end`.
fn failure(message: &[u8], end: usize, code: ResponseCode) -> Vec<u8> {
    let mut reply = message.get(..end).unwrap_or(message).to_vec();
    let questions = u8::from(end > HEADER);
    // Response, the same operation, recursion as desired and available.
    let fields = [(3, 0x80 | code.low()), (4, 0), (5, questions)];
    for (place, value) in fields.into_iter().chain((6..HEADER).map(|place| (place, 0))) {
        if let Some(byte) = reply.get_mut(place) {
            *byte = value;
        }
    }
    if let Some(flags) = reply.get_mut(2) {
        *flags = 0x80 | (*flags & 0x79);
    }
    reply
}

#[cfg(test)]
mod tests;
