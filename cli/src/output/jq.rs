//! `--jq`: a jq filter over the answer, without a jq on the host.

use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Vars, data, unwrap_valr};
use jaq_json::{Val, read};
use serde_json::Value;

use crate::error::Failure;

pub(crate) struct Filter(jaq_core::compile::Filter<jaq_core::Native<data::JustLut<Val>>>);

impl Filter {
    pub(crate) fn compile(code: &str) -> Result<Self, Failure> {
        let wrong = || {
            Failure::usage(format!("--jq: cannot understand the filter '{code}'"))
                .fix("meshctl get services --jq '.items[].metadata.name'")
        };
        let arena = Arena::default();
        let definitions = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
        let functions = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
        let modules = Loader::new(definitions).load(&arena, File { code, path: () });
        let modules = modules.map_err(|_places| wrong())?;
        let filter = Compiler::default().with_funs(functions).compile(modules);
        Ok(Self(filter.map_err(|_places| wrong())?))
    }

    /// What the filter makes of `document`, a line per result; strings come without quotes.
    pub(crate) fn apply(&self, document: &Value) -> Result<Vec<String>, Failure> {
        let failed = |why: String| Failure::usage("--jq: the filter failed").why(why);
        let text = document.to_string();
        let input =
            read::parse_single(text.as_bytes()).map_err(|error| failed(error.to_string()))?;
        let context = Ctx::<data::JustLut<Val>>::new(&self.0.lut, Vars::new([]));
        let results = self.0.id.run((context, input)).map(unwrap_valr);
        results
            .map(|result| {
                result.map(|value| line(&value)).map_err(|error| failed(error.to_string()))
            })
            .collect()
    }
}

fn line(value: &Val) -> String {
    let text = value.to_string();
    match serde_json::from_str::<String>(&text) {
        Ok(plain) => plain,
        Err(_not_a_string) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_filter_selects_and_strings_come_bare() {
        let filter = Filter::compile(".items[] | select(.ready==0) | .name").unwrap();
        let document = json!({"items": [{"ready": 0, "name": "db"}, {"ready": 1, "name": "web"}]});
        assert_eq!(filter.apply(&document).unwrap(), ["db"]);
        assert!(filter.apply(&json!({"items": []})).unwrap().is_empty());
    }

    #[test]
    fn numbers_and_objects_stay_json() {
        let filter = Filter::compile(".").unwrap();
        assert_eq!(filter.apply(&json!({"a": [1, 2.5]})).unwrap(), [r#"{"a":[1,2.5]}"#]);
    }

    #[test]
    fn a_broken_filter_is_a_usage_error() {
        assert_eq!(
            Filter::compile(".items[").err().map(|failure| failure.exit),
            Some(crate::error::Exit::USAGE)
        );
    }
}
