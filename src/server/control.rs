//! Control: what commands ask of whoever works on the store, and the local socket they ask it through.
//!
//! A command that changes something is an [`Order`]. While a daemon runs it is sent over a Unix socket beside the store and
//! carried out by the daemon; otherwise the command takes the store's lock and carries it out itself, by the same
//! [`carry_out`]. Who may ask is decided by the socket's file permissions: only the daemon's own user.

mod forget;
mod invite;
mod links;
mod reload;
mod socket;
mod trouble;

use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::aggregator::CallError;
use crate::server::erasure::ErasureJson;
use crate::store::StoreError;
use crate::sync::{Engine, Source};

pub(crate) use invite::TOKEN_CHARS;
pub use invite::{InviteError, Private};
pub use links::Unsyncable;
pub use reload::{Reloaded, Reloader};
pub(super) use socket::attend;
pub use socket::{send, serve, socket_path};
pub use trouble::ask as ask_for_trouble;

/// What a command asks for. Links are named by our id or by the aggregator's.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case", deny_unknown_fields)]
pub enum Order {
    /// Make links due now; none named means every link that is neither paused nor removed.
    Sync {
        /// The links.
        links: Vec<String>,
        /// Walk whole histories.
        full: bool,
    },
    /// Stop syncing a link until it is resumed.
    Pause {
        /// The link.
        link: String,
    },
    /// Go on syncing a paused link, or take back one that an operator removed.
    Resume {
        /// The link.
        link: String,
    },
    /// Take a link out for good; its history stays.
    Remove {
        /// The link.
        link: String,
    },
    /// Take two accounts apart that were joined because the bank was connected anew.
    Split {
        /// Our id of the account.
        account: i64,
    },
    /// Store a link that discovery has not found yet.
    Add {
        /// The source's name; may be left out where there is only one.
        source: Option<String>,
        /// The aggregator's id of the customer.
        user: String,
        /// The aggregator's id of the link.
        link: String,
    },
    /// List users and links now.
    Discover {},
    /// Make an address under which a customer connects a bank, or repairs a link.
    Invite {
        /// The source's name; may be left out where there is only one, and with a link.
        source: Option<String>,
        /// The organisation's own id of the customer; may be left out with a link.
        user: Option<String>,
        /// The link to repair; left out, a bank is connected.
        link: Option<String>,
        /// The customer's e-mail address, which some aggregators need.
        email: Option<Private>,
        /// The customer's first name, for aggregators that keep it.
        first_name: Option<Private>,
        /// The customer's last name.
        last_name: Option<Private>,
    },
    /// Take an invite back.
    Revoke {
        /// Its address.
        address: Private,
    },
    /// Read the configuration anew; only a running daemon can.
    Reload {},
    /// Delete a customer at the aggregator, and every row of theirs here.
    Forget {
        /// The source's name; may be left out where there is only one.
        source: Option<String>,
        /// The customer: the organisation's own id or the aggregator's.
        user: Private,
        /// The aggregator is not asked to delete anything.
        only_here: bool,
    },
    /// Forget everybody again of whom these certificates are, because an older backup was restored.
    ForgetAgain {
        /// As `users erasures --json` wrote them.
        certificates: Vec<ErasureJson>,
        /// Nobody of them is deleted at the aggregator; otherwise only whoever was left there then is not.
        only_here: bool,
    },
    /// Make a backup now, and prove it.
    Backup {},
}

impl Order {
    /// The word for its kind, as it is sent: all of an order that a log may hold.
    fn word(&self) -> &'static str {
        match self {
            Self::Sync { .. } => "sync",
            Self::Pause { .. } => "pause",
            Self::Resume { .. } => "resume",
            Self::Remove { .. } => "remove",
            Self::Split { .. } => "split",
            Self::Add { .. } => "add",
            Self::Discover {} => "discover",
            Self::Invite { .. } => "invite",
            Self::Revoke { .. } => "revoke",
            Self::Reload {} => "reload",
            Self::Forget { .. } => "forget",
            Self::ForgetAgain { .. } => "forget_again",
            Self::Backup {} => "backup",
        }
    }
}

/// What came of an order.
#[derive(Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Done {
    /// Our ids of the links it concerns.
    pub links: Vec<i64>,
    /// What to tell the person.
    pub message: String,
    /// The address of an invite: a secret, which opens a bank in the customer's name.
    #[serde(default)]
    pub address: Option<String>,
    /// Until when that is good.
    #[serde(default)]
    pub good_until: Option<Timestamp>,
    /// The erasures that were ordered.
    #[serde(default)]
    pub erasures: Vec<ErasureJson>,
}

impl fmt::Debug for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Done").field("links", &self.links).field("message", &self.message).finish_non_exhaustive()
    }
}

/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// No such link.
    #[error("no link {0:?} in the store; `passbook links list` shows them")]
    NoSuchLink(String),
    /// A link was named to be synced that no sync would come to.
    #[error("link {link_id} cannot be synced: {why}")]
    NotSyncable {
        /// The link.
        link_id: i64,
        /// What keeps it.
        why: Unsyncable,
    },
    /// The account never had another id, or what joined the two was undone before.
    #[error("account {0} does not go on from another link; `passbook links show LINK` lists the accounts that do")]
    NotJoined(i64),
    /// No such source, or none named where there are several.
    #[error("name one of the configured sources with --source: {}", .0.join(", "))]
    NoSuchSource(Vec<String>),
    /// The aggregator does not show this link for this customer.
    #[error("the aggregator shows no bank link {link:?} for the customer {user:?}; check both ids")]
    NotShown {
        /// The link.
        link: String,
        /// The customer.
        user: String,
    },
    /// The changed configuration is not good; the daemon goes on with the one it has.
    #[error("{0}\nthe daemon goes on with the configuration it has")]
    NotReloaded(String),
    /// There is nobody who has a configuration.
    #[error("no daemon is running that could read its configuration anew; the next start reads it")]
    NoDaemon,
    /// Nobody has this id, or had it and was forgotten.
    #[error("no customer with this id is in the store, nor was one forgotten; `passbook users list` shows them")]
    NoSuchUser,
    /// No invite was made or taken back.
    #[error(transparent)]
    Invite(#[from] InviteError),
    /// Nobody said where backups go.
    #[error("no backup can be made: write [backup] with recipients into the configuration")]
    NoBackups,
    /// No backup was made.
    #[error("no backup was made: {0}")]
    Backup(String),
    /// The aggregator.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The daemon carried it out and failed.
    #[error("{0}")]
    Refused(String),
    /// The socket is there but nobody answers properly.
    #[error("the running daemon does not answer on {}: {source}", path.display())]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What happened.
        source: reqwest::Error,
    },
}

/// Carries out an order on an engine's store.
pub async fn carry_out(engine: &Engine, order: Order) -> Result<Done, OrderError> {
    match order {
        Order::Sync { links, full } => links::ask_for_syncs(engine, links, full).await,
        Order::Pause { link } => links::pause(engine, &link).await,
        Order::Resume { link } => links::resume(engine, &link).await,
        Order::Remove { link } => links::remove(engine, &link).await,
        Order::Split { account } => links::split(engine, account).await,
        Order::Add { source, user, link } => links::add(engine, source, user, link).await,
        Order::Discover {} => {
            let now = engine.clock().now();
            let ids: Vec<i64> = engine.sources().map(|source| source.source_id).collect();
            engine
                .store()
                .write(move |txn| ids.iter().try_for_each(|id| txn.bring_discovery_forward(*id, now)))
                .await?;
            Ok(Done { message: "listing users and links".to_owned(), ..Done::default() })
        }
        Order::Invite { source, user, link, email, first_name, last_name } => {
            invite::invite(engine, invite::Wish { source, user, link, email, first_name, last_name }).await
        }
        Order::Revoke { address } => invite::revoke(engine, &address).await,
        Order::Reload {} => Err(OrderError::NoDaemon),
        Order::ForgetAgain { certificates, only_here } => forget::forget_again(engine, certificates, only_here).await,
        Order::Forget { source, user, only_here } => forget::forget(engine, source, &user.0, only_here).await,
        Order::Backup {} => back_up(engine).await,
    }
}

async fn back_up(engine: &Engine) -> Result<Done, OrderError> {
    let config = engine.backup().ok_or(OrderError::NoBackups)?;
    let directory = config.directory.clone();
    // Whoever asked may hang up meanwhile, and the process may end: both leave nothing behind but what the next sweeps up.
    let backup = engine.store().back_up(config, engine.clock().clone(), CancellationToken::new()).await?;
    if let Some(error) = backup.error {
        return Err(OrderError::Backup(error));
    }
    let file = directory.join(backup.file_name.unwrap_or_default());
    Ok(Done { message: format!("{} is made and proved", file.display()), ..Done::default() })
}

/// The source with a name, or the only one.
fn source_named(engine: &Engine, name: Option<String>) -> Result<&Source, OrderError> {
    let mut names: Vec<String> = engine.sources().map(|s| s.name.clone()).collect();
    names.sort();
    let wanted = name.or_else(|| (names.len() == 1).then(|| names[0].clone()));
    let source = engine.sources().find(|s| Some(&s.name) == wanted.as_ref());
    source.map(AsRef::as_ref).ok_or(OrderError::NoSuchSource(names))
}
