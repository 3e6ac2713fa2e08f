//! What changes with a snapshot beside scopes, as commands; and the counters as nft lists them.

use super::super::Counters;
use super::super::plan::Change;
use super::ruleset::TABLE;
use crate::model::{Place, Transport};

/// Adds and takes out destinations and inbound ports.
pub(super) fn change(change: &Change) -> String {
    let mut text = String::new();
    for (verb, places) in [("delete", &change.removed), ("add", &change.added)] {
        for set in ["tcp4", "tcp6", "udp4", "udp6"] {
            let of_it = places.iter().filter(|place| set_of(place) == set);
            text.push_str(&command(verb, set, of_it.map(element)));
        }
    }
    for (verb, ports) in [("delete", &change.closed), ("add", &change.opened)] {
        let ports = ports.iter().map(|(transport, port)| format!("{transport} . {port}"));
        text.push_str(&command(verb, "inbound", ports));
    }
    text
}

fn command(verb: &str, set: &str, elements: impl Iterator<Item = String>) -> String {
    let elements: Vec<String> = elements.collect();
    if elements.is_empty() {
        return String::new();
    }
    format!("{verb} element inet {TABLE} {set} {{ {} }}\n", elements.join(", "))
}

fn set_of(place: &Place) -> &'static str {
    match (place.transport, place.address.is_ipv4()) {
        (Transport::Tcp, true) => "tcp4",
        (Transport::Tcp, false) => "tcp6",
        (Transport::Udp, true) => "udp4",
        (Transport::Udp, false) => "udp6",
    }
}

fn element(place: &Place) -> String {
    format!("{} . {}", place.address.ip(), place.address.port())
}

/// Reads `list counters`.
pub(super) fn counters(listing: &str) -> Counters {
    let packets = |name: &str| {
        let (_, after) = listing.split_once(&format!("counter {name} {{"))?;
        let (_, after) = after.split_once("packets ")?;
        after.split_whitespace().next()?.parse().ok()
    };
    Counters {
        connections: packets("connections").unwrap_or(0),
        questions: packets("questions").unwrap_or(0),
        refused: packets("refused").unwrap_or(0),
        datagrams: packets("datagrams").unwrap_or(0),
        inbound: packets("arrived").unwrap_or(0),
        ..Counters::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_one_command_per_set() {
        let at = |text: &str| Place::tcp(text.parse().unwrap());
        let added = vec![at("10.0.0.1:80"), at("[fd00::1]:80"), at("10.0.0.2:81")];
        let removed = vec![at("10.0.0.3:82"), Place::udp("10.0.0.3:53".parse().unwrap())];
        let opened = vec![(Transport::Udp, 514)];
        let text = change(&Change { added, removed, opened, ..Change::default() });
        assert_eq!(
            text,
            "delete element inet meshd tcp4 { 10.0.0.3 . 82 }\n\
             delete element inet meshd udp4 { 10.0.0.3 . 53 }\n\
             add element inet meshd tcp4 { 10.0.0.1 . 80, 10.0.0.2 . 81 }\n\
             add element inet meshd tcp6 { fd00::1 . 80 }\n\
             add element inet meshd inbound { udp . 514 }\n"
        );
    }

    #[test]
    fn counters_are_read_by_name() {
        let listing = "table inet meshd {\n\tcounter connections {\n\t\tpackets 7 bytes 420\n\t}\n\
                       \tcounter refused {\n\t\tpackets 2 bytes 120\n\t}\n}\n";
        let counters = counters(listing);
        assert_eq!((counters.connections, counters.questions, counters.refused), (7, 0, 2));
    }
}
