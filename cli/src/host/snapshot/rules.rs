//! Listings of firewall rules, as what matters in them.

use std::collections::BTreeSet;

use super::timeless;

/// `nft -s list ruleset`: each line with the table and chain it stands in. Tables without a
/// rule, a set or a policy of their own are left out: iptables makes them by looking.
pub(super) fn nft(listing: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut path: Vec<String> = Vec::new();
    for line in listing.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line == "}" {
            path.pop();
        } else if let Some(opened) = line.strip_suffix('{') {
            path.push(opened.trim().to_owned());
            if path.last().is_some_and(|inner| is_user_chain_or_set(inner)) {
                found.insert(path.join(" / "));
            }
        } else if !is_idle_hook(line) {
            found.insert(format!("{}: {}", path.join(" / "), timeless(line)));
        }
    }
    found
}

fn is_user_chain_or_set(opened: &str) -> bool {
    ["set ", "map ", "flowtable ", "counter "].iter().any(|kind| opened.starts_with(kind))
}

/// A hook that lets everything pass does nothing by itself.
fn is_idle_hook(line: &str) -> bool {
    line.starts_with("type ") && line.contains(" hook ") && line.ends_with("policy accept;")
}

/// `iptables-save`: rules, user chains, and policies other than ACCEPT, each with its table.
pub(super) fn iptables(listing: &str) -> BTreeSet<String> {
    let mut table = String::new();
    let mut found = BTreeSet::new();
    for line in listing.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = name.to_owned();
        } else if line.starts_with("-A ") {
            found.insert(format!("{table}: {line}"));
        } else if let Some(chain) = line.strip_prefix(':') {
            let words: Vec<&str> = chain.split(' ').collect();
            if let [name, policy, ..] = words.as_slice()
                && *policy != "ACCEPT"
            {
                found.insert(format!("{table}: chain {name} {policy}"));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_table_is_no_table() {
        let listing = "table ip nat {\n\tchain OUTPUT {\n\t\ttype nat hook output priority -100; \
                       policy accept;\n\t}\n}\n";
        assert!(nft(listing).is_empty());
        let ruled = listing.replace("policy accept;\n", "policy accept;\n\t\ttcp dport 1 drop\n");
        let lines: Vec<String> = nft(&ruled).into_iter().collect();
        assert_eq!(lines, ["table ip nat / chain OUTPUT: tcp dport 1 drop"]);
        assert!(iptables("*nat\n:OUTPUT ACCEPT [3:4]\nCOMMIT\n").is_empty());
    }

    #[test]
    fn rules_and_user_chains_count_and_counters_do_not() {
        let one = "*nat\n:OUTPUT DROP [3:4]\n:DOCKER - [0:0]\n-A OUTPUT -j DOCKER\nCOMMIT\n";
        assert_eq!(iptables(one), iptables(&one.replace("[3:4]", "[9:9]")));
        assert_eq!(iptables(one).len(), 3);
    }
}
