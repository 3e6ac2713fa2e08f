//! From texts to objects, or to everything that is wrong with them.

use std::collections::HashMap;

use super::check::Checker;
use super::error::{ManifestError, Problem};
use super::suggest::{list, suggest};
use super::tree::{Content, Documents, Fault, MOST_TEXT, Node, Place};
use super::{Key, Kind, Object, canonical, rules, shape, to_yaml};
use crate::codes;
use crate::v1::Document;

/// Mistakes after which reading stops: nobody reads more.
const MOST_ERRORS: usize = 100;

/// Reads every object in `documents`: YAML or JSON, several per text, single or in lists.
///
/// # Errors
/// Everything that is wrong, in the order of the texts; then no object is to be used.
pub fn parse(documents: &[Document]) -> Result<Vec<Object>, Vec<ManifestError>> {
    let mut reading = Reading::default();
    for document in documents {
        reading.text(document);
    }
    if reading.errors.is_empty() {
        reading.circles();
    }
    if reading.errors.is_empty() { Ok(reading.objects) } else { Err(reading.errors) }
}

/// Validates objects that no text was written for (an edit made them), and routes of `all` there
/// will be.
///
/// # Errors
/// Everything a text with these objects would be refused for; errors have a path, no position.
pub fn validate<'a>(
    changed: impl IntoIterator<Item = &'a Object>,
    all: impl IntoIterator<Item = &'a Object>,
) -> Result<(), Vec<ManifestError>> {
    let mut reading = Reading::default();
    for object in changed {
        reading.text(&Document { file: String::new(), text: to_yaml(object) });
    }
    if let Some((_, problem)) = rules::circle(all) {
        reading.error("", Place::default(), problem);
    }
    for error in &mut reading.errors {
        (error.line, error.column) = (0, 0);
    }
    if reading.errors.is_empty() { Ok(()) } else { Err(reading.errors) }
}

#[derive(Default)]
struct Reading {
    objects: Vec<Object>,
    errors: Vec<ManifestError>,
    /// Where each object was declared.
    seen: HashMap<Key, (String, Place)>,
}

impl Reading {
    fn text(&mut self, document: &Document) {
        let file = &document.file;
        if document.text.len() > MOST_TEXT {
            let message = format!("{} bytes, at most {MOST_TEXT} are read", document.text.len());
            let start = Place { line: 1, column: 1 };
            return self.error(file, start, Problem::new("", codes::TOO_LARGE, message));
        }
        for tree in Documents::new(&document.text) {
            match tree {
                Ok(tree) if tree.is_null() => {}
                Ok(tree) => self.document(file, &tree),
                Err(fault) => self.error(file, fault.0, fault.1),
            }
            if self.errors.len() >= MOST_ERRORS {
                return;
            }
        }
    }

    fn document(&mut self, file: &str, tree: &Node<'_>) {
        let kind = tree.entry("kind").and_then(|entry| text(&entry.value)).unwrap_or_default();
        let items = tree.entry("items").map(|entry| &entry.value.content);
        match items {
            Some(Content::List(items)) if kind.ends_with("List") => {
                items.iter().for_each(|item| self.object(file, item));
            }
            _ => self.object(file, tree),
        }
    }

    fn object(&mut self, file: &str, tree: &Node<'_>) {
        let kind = match kind(tree) {
            Ok(kind) => kind,
            Err(fault) => return self.error(file, fault.0, fault.1),
        };
        let mut checker = Checker::default();
        let json = checker.object(tree, shape::of(kind));
        if !checker.faults.is_empty() {
            let faults = checker.faults.into_iter();
            return faults.for_each(|(place, problem)| self.error(file, place, problem));
        }
        let object = match Object::from_json(json) {
            Ok(object) => canonical::canonical(object),
            Err(error) => {
                let problem = Problem::new("", codes::INVALID_VALUE, error.to_string());
                return self.error(file, tree.place, problem);
            }
        };
        for problem in rules::problems(&object) {
            self.error(file, tree.locate(&problem.path), problem);
        }
        self.declare(file, tree.place, object);
    }

    fn declare(&mut self, file: &str, place: Place, object: Object) {
        if let Some((first, at)) = self.seen.get(&object.key()) {
            let message = format!("{} is declared twice", object.key());
            let why = format!("the first is at {first}:{}:{}", at.line, at.column);
            let problem = Problem::new("metadata.name", codes::DUPLICATE, message).why(why);
            return self.error(file, place, problem);
        }
        self.seen.insert(object.key(), (file.to_owned(), place));
        self.objects.push(object);
    }

    fn circles(&mut self) {
        let Some((key, problem)) = rules::circle(&self.objects) else { return };
        if let Some((file, place)) = self.seen.get(&key).cloned() {
            self.error(&file, place, problem);
        }
    }

    fn error(&mut self, file: &str, place: Place, problem: Problem) {
        if self.errors.len() < MOST_ERRORS {
            self.errors.push(problem.at(file, place.line, place.column));
        }
    }
}

fn text<'n>(node: &'n Node<'_>) -> Option<&'n str> {
    match &node.content {
        Content::Scalar { text, .. } => Some(text),
        Content::List(_) | Content::Map(_) => None,
    }
}

/// The kind that `kind` and `apiVersion` name together.
fn kind(tree: &Node<'_>) -> Result<Kind, Fault> {
    if !matches!(tree.content, Content::Map(_)) {
        let problem = Problem::new("", codes::WRONG_TYPE, "an object with fields is wanted here");
        return Err(Box::new((tree.place, problem.hint("start with apiVersion: and kind:"))));
    }
    let field = |name: &str| {
        tree.entry(name)
            .and_then(|entry| Some((entry.value.place, text(&entry.value)?)))
            .ok_or_else(|| {
                let message = format!("every object needs {name:?}");
                Box::new((tree.place, Problem::new(name, codes::MISSING_FIELD, message)))
            })
    };
    let (version_place, version) = field("apiVersion")?;
    let (kind_place, word) = field("kind")?;
    let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == word) else {
        let message = format!("unknown kind {word:?}");
        let known = Kind::ALL.map(Kind::name);
        let hint = match suggest(word, known) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => format!("known kinds: {}", list(&known)),
        };
        let problem = Problem::new("kind", codes::UNKNOWN_KIND, message).hint(hint);
        return Err(Box::new((kind_place, problem)));
    };
    if !kind.api_versions().contains(&version) {
        let message = format!("{version:?} has no kind {word} here");
        let hint = format!("write apiVersion: {}", list(kind.api_versions()));
        let problem = Problem::new("apiVersion", codes::UNKNOWN_KIND, message).hint(hint);
        return Err(Box::new((version_place, problem)));
    }
    Ok(kind)
}
