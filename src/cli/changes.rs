//! `passbook changes`: what changed in transactions, as JSON lines, for other systems.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Exit;
use super::context::Context;
use super::run::stop_on_signals;
use crate::store::{Access, FeedChange};

/// How often the store is looked at for what is new.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Lines read at once.
const PAGE: usize = 1_000;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Begin after this change, the last one you have.
    #[arg(long, value_name = "CHANGE_ID", default_value_t = 0)]
    since: i64,
    /// Go on as changes are made, until interrupted.
    #[arg(long)]
    follow: bool,
    /// Only those of this source.
    #[arg(long)]
    source: Option<String>,
    /// End after so many lines.
    #[arg(long)]
    limit: Option<usize>,
}

/// One line.
#[derive(Serialize)]
struct Line<'c> {
    change_id: i64,
    kind: &'c str,
    changed_at: Timestamp,
    source: &'c str,
    account_id: i64,
    #[serde(flatten)]
    of: Option<Of<'c>>,
}

/// What a line says about a transaction.
#[derive(Serialize)]
struct Of<'c> {
    aggregator: &'c str,
    user: &'c str,
    link_id: i64,
    upstream_link_id: &'c str,
    upstream_account_id: &'c str,
    transaction_id: i64,
    upstream_id: &'c str,
    before: Option<&'c Map<String, Value>>,
    after: &'c Map<String, Value>,
}

impl<'c> From<&'c FeedChange> for Line<'c> {
    fn from(change: &'c FeedChange) -> Self {
        Self {
            change_id: change.change_id,
            kind: &change.kind,
            changed_at: change.changed_at,
            source: &change.source,
            account_id: change.account_id,
            of: change.of.as_ref().map(|of| Of {
                aggregator: &of.aggregator,
                user: &of.user,
                link_id: of.link_id,
                upstream_link_id: &of.upstream_link_id,
                upstream_account_id: &of.upstream_account_id,
                transaction_id: of.transaction_id,
                upstream_id: &of.upstream_id,
                before: of.before.as_ref(),
                after: &of.after,
            }),
        }
    }
}

pub(super) async fn changes(config: &Path, arguments: Arguments) -> anyhow::Result<Exit> {
    let context = Context::load_to_read(config)?;
    let store = context.open(Access::ReadOnly)?;
    let stop = stop_on_signals()?;
    let next = store.read(|txn| Ok(txn.change_ids()?.end)).await?;
    if arguments.since >= next {
        anyhow::bail!(
            "--since {} is ahead of this store, whose last change is {}: if a backup was restored, ids are given anew; read \
             the whole store again and begin after that",
            arguments.since,
            next - 1
        );
    }
    let (mut since, mut left) = (arguments.since, arguments.limit.unwrap_or(usize::MAX));
    while left > 0 && !stop.is_cancelled() {
        let (source, at_most) = (arguments.source.clone(), left.min(PAGE));
        let page = store.read(move |txn| txn.change_feed(since, source.as_deref(), at_most)).await?;
        if !write(&page.changes)? {
            return Ok(Exit::Done);
        }
        left -= page.changes.len();
        since = since.max(page.read_to);
        if page.changes.len() == at_most {
            continue;
        }
        if !arguments.follow {
            break;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
    Ok(Exit::Done)
}

/// Writes lines and sees them off; `false`: whoever read them went away.
fn write(page: &[FeedChange]) -> anyhow::Result<bool> {
    let mut text = Vec::new();
    for change in page {
        serde_json::to_writer(&mut text, &Line::from(change))?;
        text.push(b'\n');
    }
    let mut out = io::stdout().lock();
    match out.write_all(&text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        other => Ok(other.map(|()| true)?),
    }
}
