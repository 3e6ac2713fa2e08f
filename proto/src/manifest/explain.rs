//! Field documentation, offline: `meshctl explain HTTPRoute.spec.rules`.

use super::Kind;
use super::shape::{self, Field, Presence, Shape, Type};
use super::suggest::suggest;

/// Why there is nothing to explain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unexplained {
    #[error("unknown kind {word:?}")]
    Kind { word: String, meant: Option<&'static str> },
    #[error("{of} has no field {word:?}")]
    Field { of: String, word: String, meant: Option<&'static str> },
}

/// The documentation of a kind or one of its fields. Kinds may be aliases; list items are not
/// counted: `HTTPRoute.spec.rules.matches`.
///
/// # Errors
/// When there is no such kind or field, with what was probably meant.
pub fn explain(path: &str) -> Result<String, Unexplained> {
    let mut steps = path.split('.');
    let word = steps.next().unwrap_or_default();
    let Some(kind) = Kind::find(word) else {
        let names = Kind::ALL.into_iter().flat_map(|kind| [kind.name(), kind.short()]);
        return Err(Unexplained::Kind { word: word.to_owned(), meant: suggest(word, names) });
    };
    let (mut shape, mut field) = (Some(shape::of(kind)), None::<&Field>);
    let mut walked = kind.name().to_owned();
    for step in steps {
        let step = step.trim_end_matches(|c: char| c == ']' || c == '[' || c.is_ascii_digit());
        let Some(next) = shape.and_then(|shape| shape.field(step)) else {
            let names = shape.into_iter().flat_map(|shape| shown(shape).map(|field| field.name));
            let meant = suggest(step, names);
            return Err(Unexplained::Field { of: walked, word: step.to_owned(), meant });
        };
        walked = format!("{walked}.{}", next.name);
        (shape, field) = (next.kind.shape(), Some(next));
    }
    Ok(page(kind, &walked, field, shape))
}

fn page(kind: Kind, path: &str, field: Option<&Field>, shape: Option<&'static Shape>) -> String {
    let mut text = format!("KIND    {kind} ({})\n", kind.api_version());
    if let Some(field) = field {
        let need = if field.presence == Presence::Required { ", required" } else { "" };
        text.push_str(&format!("FIELD   {path} <{}{need}>\n", type_name(&field.kind)));
    }
    text.push('\n');
    for doc in field.map(|field| field.doc).into_iter().chain(shape.map(|shape| shape.doc)) {
        text.push_str(&format!("{}\n", wrap(doc, "  ")));
    }
    let Some(shape) = shape else { return text };
    text.push_str("\nFIELDS\n");
    for field in shown(shape) {
        let need = match field.presence {
            Presence::Required => ", required",
            Presence::Output => ", output only",
            Presence::Optional | Presence::Ignored => "",
        };
        text.push_str(&format!("  {} <{}{need}>\n", field.name, type_name(&field.kind)));
        text.push_str(&format!("{}\n", wrap(field.doc, "      ")));
    }
    text
}

fn shown(shape: &'static Shape) -> impl Iterator<Item = &'static Field> {
    shape.fields.iter().filter(|field| field.presence != Presence::Ignored)
}

fn type_name(kind: &Type) -> String {
    match kind {
        Type::Text | Type::Short { .. } => "text".to_owned(),
        Type::Name => "name".to_owned(),
        Type::Word(words) => words.join("|"),
        Type::Integer { least, most: u64::MAX } => format!("number, {least} or more"),
        Type::Integer { least, most } => format!("number, {least} to {most}"),
        Type::Port => "port".to_owned(),
        Type::Weight => format!("number, 0 to {}", shape::MOST_WEIGHT),
        Type::Duration => "duration".to_owned(),
        Type::Address => "IP address".to_owned(),
        Type::Host => "host name".to_owned(),
        Type::True => "true".to_owned(),
        Type::Truth => "true|false".to_owned(),
        Type::Status => "status code".to_owned(),
        Type::Labels | Type::Annotations => "map of text".to_owned(),
        Type::Object(shape) => shape.name.to_owned(),
        Type::List(inner, _) => format!("list of {}", type_name(inner)),
        Type::Either(short, long) => format!("{} or {}", type_name(short), type_name(long)),
        Type::Any => "anything".to_owned(),
        Type::Number => "number".to_owned(),
        Type::Time => "time".to_owned(),
        Type::OrNull(inner) => format!("{} or null", type_name(inner)),
    }
}

/// Widest line of a page.
const WIDTH: usize = 88;

fn wrap(doc: &str, indent: &str) -> String {
    let mut text = indent.to_owned();
    let mut column = indent.len();
    for (at, word) in doc.split_whitespace().enumerate() {
        let width = word.chars().count();
        if at > 0 && column + 1 + width > WIDTH {
            text.push('\n');
            text.push_str(indent);
            column = indent.len();
        } else if at > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += width;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_fields_are_explained_by_any_of_their_names() {
        let page = explain("httproute.spec.rules").unwrap();
        assert!(page.starts_with("KIND    HTTPRoute (gateway.networking.k8s.io/v1)\n"));
        assert!(page.contains("FIELD   HTTPRoute.spec.rules <list of rule>"), "{page}");
        assert!(page.contains("  backendRefs <list of backendRef>\n"), "{page}");
        assert!(page.lines().all(|line| line.chars().count() <= WIDTH), "{page}");
        assert_eq!(explain("route.spec.rules[0]"), Ok(page));
        assert!(explain("svc.spec.health.interval").unwrap().contains("<duration>"));
        assert!(!explain("Service.metadata").unwrap().contains("managedFields"));
    }

    #[test]
    fn what_does_not_exist_comes_with_what_was_meant() {
        let wrong = |path: &str| match explain(path) {
            Err(Unexplained::Kind { meant, .. } | Unexplained::Field { meant, .. }) => meant,
            Ok(page) => panic!("{page}"),
        };
        assert_eq!(wrong("Servce"), Some("Service"));
        assert_eq!(wrong("Service.spec.port"), Some("ports"));
        assert_eq!(wrong("Service.spec.ports.port.x"), None);
    }
}
