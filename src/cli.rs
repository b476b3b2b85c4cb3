//! The commands: arguments in, an answer for a person or a script out, an exit code at the end.
//!
//! One file per verb in `cli/`. A command that only reads opens the store read-only, also while the daemon runs. One that
//! changes something sends an order to the running daemon, or takes the store's lock and carries it out itself.

#![expect(clippy::print_stderr, reason = "the commands are what speaks on the terminal")]

mod alert;
mod backup;
mod changes;
mod check;
mod completions;
mod context;
mod convert;
mod demo;
mod explain;
mod keygen;
mod links;
mod man;
mod output;
mod progress;
mod query;
mod rekey;
mod reload;
mod restore;
mod run;
mod sandbox;
mod snapshot;
mod status;
mod sync;
mod users;
mod verify;
mod webhooks;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{ConfigErrors, DEFAULT_CONFIG_PATH};
use crate::daemon::{BuildError, ProcessError};
use crate::secret::forbid_dumps;
use crate::server::control::OrderError;
use crate::store::{
    AskError, ConvertError, LockError, OpenError, RekeyError, RestoreError, StoreError, is_sqlite_code,
};

/// Keeps a SQLite file up to date with the bank data that customers have shared through an aggregator.
#[derive(Debug, Parser)]
#[command(name = "passbook", version, max_term_width = 110)]
struct Arguments {
    /// The configuration file.
    #[arg(long, global = true, value_name = "FILE", default_value = DEFAULT_CONFIG_PATH)]
    config: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Keep the store up to date until stopped; with --once, sync everything that is due and exit.
    Run(run::Arguments),
    /// Show it all on a made-up bank: no configuration, no account, files in ./passbook-demo/.
    Demo(demo::Arguments),
    /// Check the configuration; with --online, try every credential too.
    Check(check::Arguments),
    /// Have the running daemon take over a changed configuration. Fails, and says why, if it keeps the one it has.
    Reload,
    /// Sources at a glance, and what needs a person. Exits with 4 if a link or the store does.
    Status(status::Arguments),
    /// Sync links now, or all of them, and wait for the result.
    Sync(sync::Arguments),
    /// List, show, add, pause, resume or remove links; have customers connect them; take apart accounts that were joined.
    #[command(subcommand)]
    Links(links::Verb),
    /// List customers, forget one for good, show the certificates of those who were forgotten.
    #[command(subcommand)]
    Users(users::Verb),
    /// Why has this link not synced, what holds it, until when, and what would free it?
    Explain(explain::Arguments),
    /// What changed in transactions, as JSON lines with increasing ids, for other systems.
    Changes(changes::Arguments),
    /// Does the store keep its promises? Exits with 1 and a list where it does not.
    Verify(verify::Arguments),
    /// Where the aggregators send their news: list it, or register this machine's address.
    #[command(subcommand)]
    Webhooks(webhooks::Verb),
    /// Make a backup now, encrypted and proved; with --list, show those there are.
    Backup(backup::Arguments),
    /// Make a store from a backup; overwrites nothing.
    Restore(restore::Arguments),
    /// Publish a copy of the store for heavy work: one file that opens read-only anywhere.
    Snapshot(snapshot::Arguments),
    /// Try out who is told when something needs a person.
    #[command(subcommand)]
    Alert(alert::Verb),
    /// Ask the store a question in SQL. Reads only, also while the daemon runs and where the whole file is encrypted.
    Query(query::Arguments),
    /// Encrypt the store's whole file, or decrypt it, as `encryption` in the configuration says. Killed at any instant, a rerun finishes.
    Convert,
    /// Change the store's key, from the former one of the configuration to the new one. Killed at any instant, a rerun finishes.
    Rekey,
    /// Print a new key for the store.
    Keygen(keygen::Arguments),
    /// Serve the made-up bank alone, for trying out a configuration.
    Sandbox(sandbox::Arguments),
    /// Print what a shell needs to complete these commands.
    Completions(completions::Arguments),
    /// Print the manual page, or write those of all commands.
    Man(man::Arguments),
}

/// How a command ended, as its exit code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    /// 0
    Done,
    /// 1
    Failed,
    /// 4: a link needs a person, or the daemon cannot work with the store.
    Attention,
}

const EXIT_FAILED: u8 = 1;
const EXIT_USAGE: u8 = 2;
const EXIT_STORE: u8 = 3;
const EXIT_ATTENTION: u8 = 4;

/// Runs the command that the process was called with.
pub fn main() -> ExitCode {
    // Before anything secret is read.
    if let Err(error) = forbid_dumps() {
        eprintln!("passbook: the memory of this process may be dumped to disk: {error}");
    }
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("passbook: cannot start: {error}");
            return ExitCode::from(EXIT_FAILED);
        }
    };
    let result = runtime.block_on(dispatch(arguments));
    // Whatever still runs on a blocking thread is a store transaction: it ends soon, or it is rolled back.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match result {
        Ok(Exit::Done) => ExitCode::SUCCESS,
        Ok(Exit::Failed) => ExitCode::from(EXIT_FAILED),
        Ok(Exit::Attention) => ExitCode::from(EXIT_ATTENTION),
        Err(error) => {
            eprintln!("passbook: {}", said(&error));
            ExitCode::from(exit_code(&error))
        }
    }
}

async fn dispatch(arguments: Arguments) -> anyhow::Result<Exit> {
    let config = arguments.config.as_path();
    match arguments.verb {
        Verb::Run(arguments) => run::run(config, arguments).await,
        Verb::Demo(arguments) => demo::demo(arguments).await,
        Verb::Check(arguments) => check::check(config, arguments).await,
        Verb::Reload => reload::reload(config).await,
        Verb::Status(arguments) => status::status(config, arguments).await,
        Verb::Sync(arguments) => sync::sync(config, arguments).await,
        Verb::Links(verb) => links::links(config, verb).await,
        Verb::Users(verb) => users::users(config, verb).await,
        Verb::Explain(arguments) => explain::explain(config, arguments).await,
        Verb::Changes(arguments) => changes::changes(config, arguments).await,
        Verb::Verify(arguments) => verify::verify(config, arguments).await,
        Verb::Webhooks(verb) => webhooks::webhooks(config, verb).await,
        Verb::Backup(arguments) => backup::backup(config, arguments).await,
        Verb::Restore(arguments) => restore::restore(arguments).await,
        Verb::Snapshot(arguments) => snapshot::snapshot(config, arguments).await,
        Verb::Alert(verb) => alert::run(config, verb).await,
        Verb::Query(arguments) => query::query(config, arguments).await,
        Verb::Convert => convert::convert(config).await,
        Verb::Rekey => rekey::rekey(config).await,
        Verb::Keygen(arguments) => keygen::keygen(config, &arguments),
        Verb::Sandbox(arguments) => sandbox::sandbox(arguments).await,
        Verb::Completions(arguments) => completions::completions(&arguments),
        Verb::Man(arguments) => man::man(&arguments),
    }
}

/// An error and its causes, none of them twice: many an error says its cause itself, and SQLite's says nothing more in numbers.
fn said(error: &anyhow::Error) -> String {
    let mut said = error.to_string();
    for cause in error.chain().skip(1).filter(|cause| !is_sqlite_code(*cause)).map(ToString::to_string) {
        if !said.contains(&cause) {
            said.push_str(&format!(": {cause}"));
        }
    }
    said
}

/// Whether a store is not restored because there is one, or somebody works there.
fn is_occupied(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(RestoreError::Lock(_) | RestoreError::Exists(_)))
}

/// What an open store failed with, if that ended a command.
fn store_error(error: &anyhow::Error) -> Option<&StoreError> {
    match (error.downcast_ref(), error.downcast_ref(), error.downcast_ref(), error.downcast_ref()) {
        (Some(error), ..)
        | (_, Some(BuildError::Store(error)), ..)
        | (_, _, Some(ProcessError::Store(error)), _)
        | (.., Some(OrderError::Store(error))) => Some(error),
        _ => None,
    }
}

/// 2 for usage and configuration, 3 for a refused store, 1 for everything else.
fn exit_code(error: &anyhow::Error) -> u8 {
    let is_wrong = |error: &AskError| matches!(error, AskError::Refused { .. } | AskError::Wrong(_));
    let is_useless = |error: &StoreError| matches!(error, StoreError::Damaged(_) | StoreError::ReadOnly(_));
    if error.is::<ConfigErrors>() || error.downcast_ref().is_some_and(is_wrong) {
        EXIT_USAGE
    } else if error.is::<OpenError>()
        || error.is::<LockError>()
        || is_occupied(error)
        || store_error(error).is_some_and(is_useless)
        || matches!(error.downcast_ref(), Some(ConvertError::Open(_)))
        || matches!(error.downcast_ref(), Some(RekeyError::Open(_) | RekeyError::File(ConvertError::Open(_))))
    {
        EXIT_STORE
    } else {
        EXIT_FAILED
    }
}
