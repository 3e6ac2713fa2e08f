//! One file per command: its flags, the call it makes, what it shows.

pub(crate) mod apply;
pub(crate) mod attach;
pub(crate) mod bypass;
pub(crate) mod change;
pub(crate) mod check;
pub(crate) mod completion;
pub(crate) mod debug;
pub(crate) mod delete;
pub(crate) mod demo;
pub(crate) mod deregister;
pub(crate) mod describe;
pub(crate) mod detach;
pub(crate) mod diff;
pub(crate) mod edit;
pub(crate) mod env;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod files;
pub(crate) mod get;
pub(crate) mod history;
pub(crate) mod install;
pub(crate) mod lint;
pub(crate) mod metrics;
pub(crate) mod numbers;
pub(crate) mod object;
pub(crate) mod register;
pub(crate) mod route;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod split;
pub(crate) mod stat;
pub(crate) mod status;
pub(crate) mod top;
pub(crate) mod trace;
pub(crate) mod undo;
pub(crate) mod uninstall;
pub(crate) mod version;
pub(crate) mod wait;

use crate::args::Command;
use crate::context::{Context, block_on};
use crate::error::{Exit, Failure};

pub(crate) fn dispatch(command: Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Install(args) => install::run(&args, context),
        Command::Uninstall(args) => uninstall::run(&args, context),
        Command::Check(args) => check::run(&args, context),
        Command::Status(_) => block_on(status::run(context)),
        Command::Demo(args) => demo::run(&args, context),
        Command::Completion(args) => completion::run(&args, context),
        Command::Schema(args) => schema::run(&args, context),
        Command::Lint(args) => lint::run(&args, context),
        Command::Explain(args) => explain::run(&args, context),
        Command::Version(_) => block_on(version::run(context)),
        Command::Env(_) => block_on(env::run(context)),
        Command::Register(args) => block_on(register::run(&args, context)),
        Command::Deregister(args) => block_on(deregister::run(&args, context)),
        Command::Run(args) => run::run(&args, context),
        Command::Attach(args) => block_on(attach::run(&args, context)),
        Command::Detach(args) => block_on(detach::run(&args, context)),
        Command::Bypass(args) => block_on(bypass::run(&args, context)),
        Command::Route(args) => block_on(route::run(&args, context)),
        Command::Split(args) => block_on(split::run(&args, context)),
        Command::Top(args) => block_on(top::run(&args, context)),
        Command::Stat(args) => block_on(stat::run(&args, context)),
        Command::Trace(args) => block_on(trace::run(&args, context)),
        Command::Debug(args) => block_on(debug::run(&args, context)),
        Command::Events(args) => block_on(events::run(&args, context)),
        Command::Metrics(_) => block_on(metrics::run(context)),
        Command::Apply(args) => block_on(apply::run(&args, context)),
        Command::Diff(args) => block_on(diff::run(&args, context)),
        Command::Get(args) => block_on(get::run(&args, context)),
        Command::Describe(args) => block_on(describe::run(&args, context)),
        Command::Delete(args) => block_on(delete::run(&args, context)),
        Command::Wait(args) => block_on(wait::run(&args, context)),
        Command::Export(args) => block_on(export::run(&args, context)),
        Command::History(args) => block_on(history::run(&args, context)),
        Command::Undo(args) => block_on(undo::run(&args, context)),
    }
}
