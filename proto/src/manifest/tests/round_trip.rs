//! Whatever can be declared is printed and read back as the same, in YAML and in JSON.

use serde_json::{Value, json};

use super::read;
use crate::manifest::{Object, json_to_yaml, to_yaml};

#[test]
fn printing_and_reading_loses_nothing() {
    let mut dice = Dice(7);
    for round in 0..400 {
        let written = if dice.chance(2) { dice.service() } else { dice.route() };
        let objects = read(&written.to_string()).unwrap_or_else(|e| panic!("{written}\n{e}"));
        let text = to_yaml(&objects[0]);
        let again = read(&text).unwrap_or_else(|errors| panic!("round {round}: {errors}\n{text}"));
        assert_eq!(again, objects, "round {round}:\n{text}");
        assert_eq!(to_yaml(&again[0]), text, "round {round}");
        assert_eq!(Object::from_json(objects[0].to_json()).unwrap(), objects[0], "round {round}");
        let lines = text.lines().filter(|line| line.chars().count() > 300);
        assert_eq!(lines.count(), 0, "{text}");
    }
}

/// Texts that other programs would take for something else come back as they were.
#[test]
fn every_text_survives_printing() {
    let mut dice = Dice(11);
    for text in ODD.iter().map(|text| (*text).to_owned()).chain((0..1_000).map(|_| dice.text())) {
        let value = json!({"a": text, "list": [text, 1], "objects": [{"k": text}, {"k": 2}]});
        let yaml = json_to_yaml(&value);
        let document = super::tree::Documents::new(&yaml).next().unwrap().unwrap();
        for entry in ["a", "list", "objects"] {
            let node = &document.entry(entry).unwrap().value;
            let mut scalars = Vec::new();
            texts(node, &mut scalars);
            assert_eq!(scalars.first(), Some(&(text.clone(), true)), "{yaml}");
        }
    }
}

/// Every scalar below, and whether nobody reads it as anything but a string.
fn texts(node: &super::tree::Node<'_>, found: &mut Vec<(String, bool)>) {
    use super::tree::Content;
    match &node.content {
        Content::Scalar { text, quoted } => {
            let certain = *quoted || super::scalar::reads_as(text).is_none();
            found.push((text.to_string(), certain));
        }
        Content::List(items) => items.iter().for_each(|item| texts(item, found)),
        Content::Map(entries) => entries.iter().for_each(|entry| texts(&entry.value, found)),
    }
}

const ODD: &[&str] = &[
    "",
    " ",
    "no",
    "1e3",
    "~",
    "null",
    "- a",
    "a: b",
    "a #b",
    "#",
    "&a",
    "*a",
    "!a",
    "|",
    ">",
    "%",
    "@",
    "`",
    "'",
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ",",
    "?",
    ":",
    "-",
    "---",
    "...",
    "\n",
    "\t",
    "\r\n",
    "a\nb",
    "é",
    "日本",
    "\u{1f600}",
    "\u{feff}",
    "\u{2028}",
    "\u{202e}",
    "\u{7f}",
    "\u{85}",
    "\u{1b}[31m",
    "22:22",
    "2026-11-21",
    "0o17",
    " lead",
    "trail ",
    "/a/b",
    "a,b",
    "=",
    "<<",
];

/// A small xorshift: the same objects in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }

    fn chance(&mut self, of: usize) -> bool {
        self.roll(of) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())].clone()
    }

    fn text(&mut self) -> String {
        let parts = (0..=self.roll(3)).map(|_| self.pick(ODD)).collect::<Vec<_>>();
        parts.join(self.pick(&["", "x", "/", " "]))
    }

    fn name(&mut self) -> String {
        self.pick(&["web", "v1", "no", "1e3", "a-b", "0", "null", "x9"]).to_owned()
    }

    fn maybe(&mut self, object: &mut Value, field: &str, value: impl FnOnce(&mut Self) -> Value) {
        if self.chance(2) {
            object[field] = value(self);
        }
    }

    fn metadata(&mut self) -> Value {
        let mut metadata = json!({"name": self.name()});
        self.maybe(&mut metadata, "namespace", |dice| dice.name().into());
        self.maybe(&mut metadata, "labels", Self::labels);
        metadata
    }

    fn labels(&mut self) -> Value {
        let value = self.pick(&["", "yes", "1.0", "a_b", "x"]);
        json!({"team": value, "app.kubernetes.io/name": self.name()})
    }

    fn duration(&mut self) -> Value {
        self.pick(&["1s", "25ms", "1m30s", "90s", "2h"]).into()
    }

    fn service(&mut self) -> Value {
        let mut spec = json!({"ports": [{"port": 80}]});
        self.maybe(&mut spec, "ports", |dice| {
            json!([{"port": 80, "protocol": dice.pick(&["http", "tcp", "detect"])}, {"port": 8080}])
        });
        self.maybe(&mut spec, "health", |dice| {
            let mut health = json!({"http": "/a%20b?c=d", "interval": dice.duration()});
            dice.maybe(&mut health, "expect", |_| json!([200, 204]));
            dice.pick(&["tcp".into(), "http:/x".into(), health])
        });
        self.maybe(&mut spec, "compat", |dice| dice.pick(&["strict", "lenient"]).into());
        self.maybe(&mut spec, "subsets", |dice| json!([{"name": "c", "labels": dice.labels()}]));
        let endpoint = |at| {
            let mut endpoint = json!({"address": format!("fd00::{at}"), "port": 8080});
            self.maybe(&mut endpoint, "node", |dice| dice.name().into());
            self.maybe(&mut endpoint, "subset", |dice| dice.name().into());
            self.maybe(&mut endpoint, "weight", |dice| dice.roll(5).into());
            self.maybe(&mut endpoint, "labels", Self::labels);
            endpoint
        };
        spec["endpoints"] = (1..4).map(endpoint).collect();
        json!({"apiVersion": "mesh/v1", "kind": "Service", "metadata": self.metadata(), "spec": spec})
    }

    fn route(&mut self) -> Value {
        let rules: Vec<Value> = (0..=self.roll(3)).map(|_| self.rule()).collect();
        let parent = self.pick(&["Service", "Gateway"]);
        let mut spec =
            json!({"parentRefs": [{"kind": parent, "name": self.name()}], "rules": rules});
        self.maybe(&mut spec, "hostnames", |_| json!(["*.a.test", "b.test"]));
        let kind = "gateway.networking.k8s.io/v1";
        json!({"apiVersion": kind, "kind": "HTTPRoute", "metadata": self.metadata(), "spec": spec})
    }

    fn rule(&mut self) -> Value {
        let weights = [1 + self.roll(99), self.roll(3)];
        let mut rule = json!({"backendRefs": [
            {"name": "web", "subset": "a", "weight": weights[0]},
            {"name": "web", "subset": self.name(), "weight": weights[1]},
        ]});
        self.maybe(&mut rule, "matches", |dice| {
            (0..=dice.roll(2)).map(|_| dice.matching()).collect()
        });
        self.maybe(&mut rule, "timeouts", |dice| json!({"request": dice.duration()}));
        self.maybe(&mut rule, "retry", |dice| {
            dice.pick(&["3@5xx".into(), json!({"attempts": 0}), json!({"codes": [503, 429]})])
        });
        rule
    }

    fn matching(&mut self) -> Value {
        let mut matching = json!({});
        self.maybe(&mut matching, "path", |dice| {
            dice.pick(&[
                json!({"value": "/a"}),
                json!({"type": "Exact", "value": "/a,b{}:x"}),
                json!({"type": "RegularExpression", "value": "/[a-z]+(/.*)?#\\d{1,3} |x"}),
            ])
        });
        self.maybe(&mut matching, "method", |dice| dice.pick(&["GET", "DELETE"]).into());
        let value = self.text().replace(char::is_control, "");
        self.maybe(&mut matching, "headers", |_| json!([{"name": "X-A", "value": value}]));
        self.maybe(&mut matching, "queryParams", |dice| {
            json!([{"name": "q", "value": dice.pick(&["1", "no", "a b"])}, {"name": "r", "value": ""}])
        });
        matching
    }
}
