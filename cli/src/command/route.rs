//! `meshctl route`: sets or removes one rule of a service's route.

use std::str::FromStr;

use clap_complete::ArgValueCandidates;
use mesh_proto::v1::{BackendRef, EditRouteRequest, Retry, RuleMatch};

use crate::args::duration::Limit;
use crate::args::{Change, DryRun, help};
use crate::command::change::{self, Hint, Made};
use crate::command::register::Pair;
use crate::complete;
use crate::context::Context;
use crate::error::{Exit, Failure};

/// Set match rules, timeouts and retries of a service
#[derive(clap::Args)]
#[command(before_help = "Examples:
  meshctl route web --path-prefix /v2 --to web:v2 --timeout 2s
  meshctl route web --header x-beta=1 --to web:v2 --retry 2@5xx
  meshctl route web --to web:v1=90 --to web:v2=10
  meshctl route web --delete-rule 1")]
pub(crate) struct Args {
    /// Name of the service
    #[arg(add = ArgValueCandidates::new(complete::services))]
    name: String,
    /// Match paths below this one, segment by segment
    #[arg(long, value_name = "PATH", group = "matched_path")]
    path_prefix: Option<String>,
    /// Match this path exactly
    #[arg(long, value_name = "PATH", group = "matched_path")]
    path: Option<String>,
    /// Match paths by a regular expression over the whole path
    #[arg(long, value_name = "REGEX", group = "matched_path")]
    path_regex: Option<String>,
    /// Match the method
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// Match a header (repeatable, all must match)
    #[arg(long = "header", value_name = "NAME=VALUE")]
    headers: Vec<Pair>,
    /// Match a query parameter (repeatable, all must match)
    #[arg(long = "query", value_name = "NAME=VALUE")]
    query: Vec<Pair>,
    /// Where matching requests go (repeatable)
    #[arg(long, value_name = "SVC[:SUBSET][=WEIGHT]")]
    to: Vec<Backend>,
    /// Longest time a request may take, answered 504 when reached
    #[arg(id = help::OWN_TIMEOUT, long = "timeout", value_name = "DUR")]
    request_timeout: Option<Limit>,
    /// Attempts after the first, and on which answers; connect errors always count
    #[arg(long, value_name = "N[@CODES]")]
    retry: Option<Retries>,
    /// Change this rule, counted from 1, whatever it matches
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rule: Option<u32>,
    /// Remove this rule, counted from 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..),
          conflicts_with_all = ["rule", "to", "matched_path", "method", "headers", "query", "retry",
                                help::OWN_TIMEOUT])]
    delete_rule: Option<u32>,
    #[command(flatten)]
    change: Change,
}

#[derive(Clone, Debug, PartialEq)]
struct Backend(BackendRef);

#[derive(Debug, thiserror::Error)]
#[error("write SERVICE, SERVICE:SUBSET or SERVICE:SUBSET=WEIGHT")]
struct NotABackend;

impl FromStr for Backend {
    type Err = NotABackend;

    fn from_str(text: &str) -> Result<Self, NotABackend> {
        let (target, weight) = match text.split_once('=') {
            Some((target, weight)) => {
                (target, Some(weight.parse().map_err(|_not_a_number| NotABackend)?))
            }
            None => (text, None),
        };
        let (service, subset) = target.split_once(':').unwrap_or((target, ""));
        if service.is_empty() || (subset.is_empty() && target.contains(':')) {
            return Err(NotABackend);
        }
        Ok(Self(BackendRef { service: service.to_owned(), subset: subset.to_owned(), weight }))
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Retries(Retry);

#[derive(Debug, thiserror::Error)]
#[error("write N, N@5xx or N@502,503")]
struct NotRetries;

impl FromStr for Retries {
    type Err = NotRetries;

    fn from_str(text: &str) -> Result<Self, NotRetries> {
        let (attempts, codes) = text.split_once('@').unwrap_or((text, ""));
        let attempts = attempts.parse().map_err(|_not_a_number| NotRetries)?;
        let codes = match codes {
            "" if text.contains('@') => return Err(NotRetries),
            "" => Vec::new(),
            "5xx" => vec![500, 502, 503, 504],
            codes => codes.split(',').map(status).collect::<Result<_, _>>()?,
        };
        Ok(Self(Retry { attempts, codes }))
    }
}

fn status(text: &str) -> Result<u32, NotRetries> {
    text.parse().ok().filter(|code| (400..=599).contains(code)).ok_or(NotRetries)
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let request = args.request(context);
    if args.delete_rule.is_none() && args.to.is_empty() && args.changes_nothing() {
        return Err(Failure::usage("nothing to set")
            .why("neither a destination, a timeout nor a retry was given")
            .fix(format!("meshctl route {0} --path-prefix / --to {0}", args.name)));
    }
    if args.change.dry_run == Some(DryRun::Client) {
        return super::edit::show_route(&request, context).await;
    }
    let client = context.client().await?;
    let response = client.call(client.manifests().edit_route(request)).await?;
    change::show_one(&response, Made::by(&args.change), Hint::Undo, context)
}

impl Args {
    fn changes_nothing(&self) -> bool {
        self.request_timeout.is_none() && self.retry.is_none()
    }

    fn request(&self, context: &Context) -> EditRouteRequest {
        EditRouteRequest {
            mutation: Some(context.mutation(&self.change)),
            namespace: context.namespace.clone(),
            service: self.name.clone(),
            r#match: self.rule_match(),
            to: self.to.iter().map(|Backend(backend)| backend.clone()).collect(),
            timeout: self.request_timeout.and_then(|timeout| timeout.0.try_into().ok()),
            rule: self.rule.or(self.delete_rule).unwrap_or_default(),
            delete: self.delete_rule.is_some(),
            retry: self.retry.as_ref().map(|Retries(retry)| retry.clone()),
        }
    }

    fn rule_match(&self) -> Option<RuleMatch> {
        let pairs = |pairs: &[Pair]| {
            pairs.iter().map(|Pair(name, value)| (name.clone(), value.clone())).collect()
        };
        let given = RuleMatch {
            path_prefix: self.path_prefix.clone().unwrap_or_default(),
            path_exact: self.path.clone().unwrap_or_default(),
            path_regex: self.path_regex.clone().unwrap_or_default(),
            method: self.method.clone().unwrap_or_default(),
            headers: pairs(&self.headers),
            query: pairs(&self.query),
        };
        (given != RuleMatch::default()).then_some(given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_has_a_service_and_may_have_a_subset_and_a_weight() {
        let backend = |text: &str| text.parse::<Backend>().ok().map(|backend| backend.0);
        let web = backend("web:v2=10").unwrap();
        assert_eq!(
            (web.service.as_str(), web.subset.as_str(), web.weight),
            ("web", "v2", Some(10))
        );
        assert_eq!(backend("web").unwrap().weight, None);
        for wrong in ["", ":v2", "web:", "web=x"] {
            assert_eq!(backend(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn retries_name_the_answers_they_follow() {
        let retries = |text: &str| text.parse::<Retries>().ok().map(|Retries(retry)| retry);
        assert_eq!(retries("3@5xx").unwrap().codes, [500, 502, 503, 504]);
        assert_eq!(retries("2@502,503").unwrap().codes, [502, 503]);
        assert!(retries("1").unwrap().codes.is_empty());
        for wrong in ["", "x@5xx", "2@", "2@200"] {
            assert_eq!(retries(wrong), None, "{wrong}");
        }
    }
}
