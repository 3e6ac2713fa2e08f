//! YAML and JSON text as a tree that knows where everything stands.
//!
//! Bounded: text, depth, nodes and what aliases add, so that no text can make a small daemon
//! large. A scalar keeps its text; nothing is guessed about its type here.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput};

use super::error::Problem;
use crate::codes::{self, Code};

pub(super) const MOST_TEXT: usize = 16 << 20;
const MOST_DEPTH: usize = 64;
const MOST_NODES: usize = 1_000_000;
const MOST_ALIASED: usize = 10_000;

/// 1-based.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: u32,
    pub(super) column: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Node<'t> {
    pub(super) place: Place,
    pub(super) content: Content<'t>,
}

#[derive(Clone, Debug)]
pub(super) enum Content<'t> {
    Scalar { text: Cow<'t, str>, quoted: bool },
    List(Vec<Node<'t>>),
    Map(Vec<Entry<'t>>),
}

#[derive(Clone, Debug)]
pub(super) struct Entry<'t> {
    pub(super) key: Cow<'t, str>,
    pub(super) place: Place,
    pub(super) value: Node<'t>,
}

impl Node<'_> {
    /// `null`, `~` or nothing at all.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar { text, quoted: false }
            if matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL"))
    }

    pub(super) fn entry(&self, key: &str) -> Option<&Entry<'_>> {
        let Content::Map(entries) = &self.content else { return None };
        entries.iter().find(|entry| entry.key == key)
    }

    /// Where `path` (`spec.rules[0].matches`) stands, or the nearest thing around it.
    pub(super) fn locate(&self, path: &str) -> Place {
        let (mut node, mut place) = (self, self.place);
        for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
            let next = match (&node.content, step.strip_suffix(']')) {
                (Content::List(items), Some(index)) => {
                    index.parse::<usize>().ok().and_then(|at| items.get(at)).map(|n| (n, n.place))
                }
                _ => node.entry(step).map(|entry| (&entry.value, entry.place)),
            };
            let Some((found, at)) = next else { break };
            (node, place) = (found, at);
        }
        place
    }
}

/// The documents of a text, one after the other; ends after the first fault.
pub(super) struct Documents<'t> {
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Node<'t>>,
    nodes: usize,
    aliased: usize,
    ended: bool,
}

/// A text that is no tree, and where it stops being one.
pub(super) type Fault = Box<(Place, Problem)>;

impl<'t> Documents<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let options = granit_parser::options! {
            emit_comments: false,
            flow_nesting_limit: MOST_DEPTH,
            block_nesting_limit: MOST_DEPTH,
        };
        let parser = Parser::new_from_str_with_options(text, options);
        Self { parser, anchors: HashMap::new(), nodes: 0, aliased: 0, ended: false }
    }

    fn event(&mut self) -> Result<Option<(Event<'t>, Span)>, Fault> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok(event)) => Ok(Some(event)),
            Some(Err(error)) => {
                let message = error.info();
                let is_bound = message.contains("nest") || message.contains("limit");
                let code = if is_bound { codes::TOO_LARGE } else { codes::SYNTAX };
                Err(fault(place(*error.marker()), code, message))
            }
        }
    }

    fn document(&mut self) -> Result<Option<Node<'t>>, Fault> {
        while let Some((event, span)) = self.event()? {
            if event.is_node() {
                return self.node(event, span, 0).map(Some);
            }
            if matches!(event, Event::DocumentStart(..)) {
                self.anchors.clear();
            }
        }
        Ok(None)
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "which variants there are depends on features that other crates switch on"
    )]
    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node<'t>, Fault> {
        let place = place(span.start);
        self.count(1, depth, place)?;
        if event.tag().is_some_and(|tag| tag.core_suffix() != Some("str")) {
            return Err(syntax(place, "tags (`!…`) have no meaning here"));
        }
        let (content, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let quoted = tag.is_some() || style != ScalarStyle::Plain;
                (Content::Scalar { text, quoted }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => (Content::List(self.items(depth)?), anchor),
            Event::MappingStart(_, anchor, _) => (Content::Map(self.entries(depth)?), anchor),
            Event::Alias(anchor) => return self.alias(anchor, place, depth),
            _ => return Err(syntax(place, "a value is missing here")),
        };
        let node = Node { place, content };
        if anchor != 0 {
            let size = size(&node);
            self.count_aliased(size, place)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Node<'t>>, Fault> {
        let mut items = Vec::new();
        loop {
            match self.event()? {
                None | Some((Event::SequenceEnd, _)) => return Ok(items),
                Some((event, span)) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<Entry<'t>>, Fault> {
        let mut entries: Vec<Entry<'t>> = Vec::new();
        let mut seen: HashSet<Cow<'t, str>> = HashSet::new();
        loop {
            let (key, at) = match self.event()? {
                None | Some((Event::MappingEnd, _)) => return Ok(entries),
                Some((Event::Scalar(key, _, _, _), span)) => (key, place(span.start)),
                Some((_, span)) => {
                    return Err(syntax(place(span.start), "a field's name must be a plain text"));
                }
            };
            if !seen.insert(key.clone()) {
                let message = format!("field {key:?} is there twice");
                return Err(fault(at, codes::DUPLICATE, message));
            }
            let Some((event, span)) = self.event()? else { return Ok(entries) };
            let value = self.node(event, span, depth + 1)?;
            entries.push(Entry { key, place: at, value });
        }
    }

    fn alias(&mut self, anchor: usize, at: Place, depth: usize) -> Result<Node<'t>, Fault> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err(syntax(at, "an alias cannot contain itself"));
        };
        self.count_aliased(size(&node), at)?;
        self.count(0, depth + levels(&node), at)?;
        Ok(node)
    }

    fn count(&mut self, nodes: usize, depth: usize, at: Place) -> Result<(), Fault> {
        self.nodes += nodes;
        if depth > MOST_DEPTH {
            return Err(too_large(at, format!("more than {MOST_DEPTH} levels")));
        }
        if self.nodes > MOST_NODES {
            return Err(too_large(at, format!("more than {MOST_NODES} values")));
        }
        Ok(())
    }

    fn count_aliased(&mut self, nodes: usize, at: Place) -> Result<(), Fault> {
        self.aliased += nodes;
        if self.aliased > MOST_ALIASED {
            return Err(too_large(at, format!("aliases add more than {MOST_ALIASED} values")));
        }
        Ok(())
    }
}

impl<'t> Iterator for Documents<'t> {
    type Item = Result<Node<'t>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let document = self.document().transpose();
        self.ended = !matches!(document, Some(Ok(_)));
        document
    }
}

fn size(node: &Node<'_>) -> usize {
    match &node.content {
        Content::Scalar { .. } => 1,
        Content::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Content::Map(entries) => 1 + entries.iter().map(|entry| size(&entry.value)).sum::<usize>(),
    }
}

fn levels(node: &Node<'_>) -> usize {
    match &node.content {
        Content::Scalar { .. } => 0,
        Content::List(items) => 1 + items.iter().map(levels).max().unwrap_or_default(),
        Content::Map(entries) => {
            1 + entries.iter().map(|entry| levels(&entry.value)).max().unwrap_or_default()
        }
    }
}

fn place(marker: Marker) -> Place {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Place { line: number(marker.line()), column: number(marker.col() + 1) }
}

fn syntax(place: Place, message: &str) -> Fault {
    fault(place, codes::SYNTAX, message)
}

fn too_large(place: Place, message: String) -> Fault {
    fault(place, codes::TOO_LARGE, message)
}

fn fault(place: Place, code: Code, message: impl Into<String>) -> Fault {
    Box::new((place, Problem::new("", code, message)))
}
