//! `meshctl split`: sets what share of a service's traffic each subset gets.

use std::str::FromStr;

use clap_complete::{ArgValueCandidates, ArgValueCompleter};
use mesh_proto::v1::{Share, SplitRequest};

use crate::args::{Change, DryRun};
use crate::command::change::{self, Hint, Made};
use crate::complete;
use crate::context::Context;
use crate::error::{Exit, Failure};

/// Set the weights of a service's subsets
#[derive(clap::Args)]
#[command(before_help = "Examples:
  meshctl split web v1=90 v2=10
  meshctl split web v2=100 --reason 'v2 is good'
  meshctl split web v1=50 v2=50 --rule 1")]
pub(crate) struct Args {
    /// Name of the service
    #[arg(add = ArgValueCandidates::new(complete::services))]
    name: String,
    /// Subsets and their weights
    #[arg(required = true, value_name = "SUBSET=WEIGHT", add = ArgValueCompleter::new(complete::subsets))]
    shares: Vec<SubsetWeight>,
    /// Rule to set, counted from 1 [default: the rule without matches]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rule: Option<u32>,
    /// Accept a subset that has no endpoint yet
    #[arg(long)]
    allow_empty: bool,
    #[command(flatten)]
    change: Change,
}

#[derive(Clone, Debug, PartialEq)]
struct SubsetWeight(Share);

#[derive(Debug, thiserror::Error)]
#[error("write SUBSET=WEIGHT, such as v1=90")]
struct NotAShare;

impl FromStr for SubsetWeight {
    type Err = NotAShare;

    fn from_str(text: &str) -> Result<Self, NotAShare> {
        let (subset, weight) = text.split_once('=').ok_or(NotAShare)?;
        let weight = weight.trim_end_matches('%').parse().map_err(|_not_a_number| NotAShare)?;
        if subset.is_empty() {
            return Err(NotAShare);
        }
        Ok(Self(Share { subset: subset.to_owned(), weight }))
    }
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let request = SplitRequest {
        mutation: Some(context.mutation(&args.change)),
        namespace: context.namespace.clone(),
        service: args.name.clone(),
        shares: args.shares.iter().map(|SubsetWeight(share)| share.clone()).collect(),
        rule: args.rule.unwrap_or_default(),
        allow_empty: args.allow_empty,
    };
    if args.change.dry_run == Some(DryRun::Client) {
        return super::edit::show_split(&request, context).await;
    }
    let client = context.client().await?;
    let response = client.call(client.manifests().split(request)).await?;
    change::show_one(&response, Made::by(&args.change), Hint::Generation, context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_subset_and_a_weight() {
        let share = |text: &str| {
            text.parse::<SubsetWeight>()
                .ok()
                .map(|SubsetWeight(share)| (share.subset, share.weight))
        };
        assert_eq!(share("v1=90"), Some(("v1".to_owned(), 90)));
        assert_eq!(share("v1=90%"), Some(("v1".to_owned(), 90)));
        for wrong in ["v1", "=1", "v1=", "v1=-1"] {
            assert_eq!(share(wrong), None, "{wrong}");
        }
    }
}
