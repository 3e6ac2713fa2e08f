//! The part of jsonpath that `kubectl wait` users write: fields, indexes, `[*]`, and
//! `[?(@.field=="value")]`.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

#[derive(Clone, Debug)]
pub(crate) struct Path {
    text: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    /// Counted from the end when negative.
    Index(i64),
    Every,
    /// Elements whose field equals the value.
    Having(Vec<String>, String),
}

#[derive(Debug, thiserror::Error)]
#[error(
    "not a jsonpath at \"{0}\": write it as {{.status.ready}} or {{.status.endpoints[0].state}}"
)]
pub(crate) struct InvalidPath(String);

impl FromStr for Path {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
        let mut rest = inner.strip_prefix('$').unwrap_or(inner);
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, after) = first_step(rest)?;
            steps.push(step);
            rest = after;
        }
        if steps.is_empty() {
            return Err(InvalidPath(text.to_owned()));
        }
        Ok(Self { text: text.to_owned(), steps })
    }
}

fn first_step(text: &str) -> Result<(Step, &str), InvalidPath> {
    let wrong = || InvalidPath(text.to_owned());
    if let Some(rest) = text.strip_prefix('.') {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        return match name {
            "" => Err(wrong()),
            "*" => Ok((Step::Every, after)),
            name => Ok((Step::Field(name.to_owned()), after)),
        };
    }
    let rest = text.strip_prefix('[').ok_or_else(wrong)?;
    let end = if rest.starts_with('?') {
        rest.find(")]").ok_or_else(wrong)? + 1
    } else {
        rest.find(']').ok_or_else(wrong)?
    };
    let (inside, after) = rest.split_at(end);
    let after = after.strip_prefix(']').ok_or_else(wrong)?;
    Ok((bracketed(inside).ok_or_else(wrong)?, after))
}

fn bracketed(inside: &str) -> Option<Step> {
    if inside == "*" {
        return Some(Step::Every);
    }
    if let Some(filter) = inside.strip_prefix("?(@.") {
        let (path, value) = filter.strip_suffix(')')?.split_once("==")?;
        let path = path.trim().split('.').map(str::to_owned).collect();
        return Some(Step::Having(path, unquoted(value.trim()).to_owned()));
    }
    match inside.parse() {
        Ok(index) => Some(Step::Index(index)),
        Err(_not_a_number) => {
            let name = unquoted(inside);
            (name.len() + 2 == inside.len()).then(|| Step::Field(name.to_owned()))
        }
    }
}

fn unquoted(text: &str) -> &str {
    let within = |quote| text.strip_prefix(quote).and_then(|rest: &str| rest.strip_suffix(quote));
    within('\'').or_else(|| within('"')).unwrap_or(text)
}

impl Path {
    /// Every value the path leads to.
    pub(crate) fn select<'a>(&self, root: &'a Value) -> Vec<&'a Value> {
        let mut values = vec![root];
        for step in &self.steps {
            values = values.into_iter().flat_map(|value| step.from(value)).collect();
        }
        values
    }
}

impl Step {
    fn from<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        match self {
            Self::Field(name) => value.get(name).into_iter().collect(),
            Self::Index(index) => {
                let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
                let from_end = usize::try_from(index.unsigned_abs()).ok();
                let place = match usize::try_from(*index) {
                    Ok(place) => Some(place),
                    Err(_negative) => from_end.and_then(|back| items.len().checked_sub(back)),
                };
                place.and_then(|place| items.get(place)).into_iter().collect()
            }
            Self::Every => match value {
                Value::Array(items) => items.iter().collect(),
                Value::Object(fields) => fields.values().collect(),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
            },
            Self::Having(path, wanted) => {
                let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
                items.iter().filter(|item| reads(item, path, wanted)).collect()
            }
        }
    }
}

fn reads(item: &Value, path: &[String], wanted: &str) -> bool {
    let found = path.iter().try_fold(item, |value, name| value.get(name));
    found.is_some_and(|value| match value.as_str() {
        Some(text) => text == wanted,
        None => {
            let text = value.to_string();
            text == wanted
        }
    })
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn selected(path: &str) -> Vec<Value> {
        let object = json!({"status": {"ready": 2, "endpoints": [
            {"state": "healthy", "port": 1}, {"state": "unhealthy", "port": 2}]},
            "metadata": {"labels": {"a.b/c": "d"}}});
        path.parse::<Path>().unwrap().select(&object).into_iter().cloned().collect()
    }

    #[test]
    fn paths_lead_where_kubectls_do() {
        assert_eq!(selected("{.status.ready}"), [json!(2)]);
        assert_eq!(selected(".status.ready"), [json!(2)]);
        assert_eq!(selected("{.status.endpoints[1].port}"), [json!(2)]);
        assert_eq!(selected("{.status.endpoints[-1].port}"), [json!(2)]);
        assert_eq!(selected("{.status.endpoints[*].port}"), [json!(1), json!(2)]);
        assert_eq!(selected("{.status.endpoints[?(@.state==\"healthy\")].port}"), [json!(1)]);
        assert_eq!(selected("{.metadata.labels['a.b/c']}"), [json!("d")]);
        assert!(selected("{.nothing}").is_empty());
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for wrong in ["", "{}", "{.}", "status", "{.a[}", "{.a[x]}", "{..a}"] {
            assert!(wrong.parse::<Path>().is_err(), "{wrong}");
        }
    }
}
