//! What an aggregator can do for us: the contract in prose, its errors, and one enum over the aggregators.
//!
//! Everything above this floor (sync, daemon, commands) speaks to an [`Aggregator`] and never names one. What differs
//! between them is data: whether a refresh can be asked for and what it costs is [`RefreshTerms`].
//!
//! The contract:
//! - An answer is a whole page or an error; a page with malformed rows is whole, the rows set aside in it.
//! - Rows come in no promised order, may come again on a later page, and offsets drift while somebody writes: only a walk
//!   that saw as many distinct rows as the answers counted is complete.
//! - A POST is sent once. Where its fate is unknown the error says so, and [`Aggregator::find_refresh`] looks for it.
//! - Nothing here writes to the store or decides when to try again; `http` repeats reads that failed in passing.

mod truv;

use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;

use crate::http::{ErrorDocument, HttpError, NotSentReason, TransientCause};
use crate::limits::requests::Lane;
use crate::model::{AccountRecord, Attention, LinkHealth, LinkRecord, RejectedRow, TransactionRecord, UserRecord};
use crate::secret::Secret;

pub use truv::{Truv, dialect as truv_dialect, headers as truv_headers, is_development_secret};

/// The context of a series of calls: how urgent they are, and how many requests they took.
#[derive(Debug)]
pub struct CallContext {
    /// Whom the limits let go first.
    pub lane: Lane,
    requests: AtomicU32,
}

impl CallContext {
    /// A context that has sent nothing so far.
    pub fn new(lane: Lane) -> Self {
        Self { lane, requests: AtomicU32::new(0) }
    }

    /// Requests sent since the last call of this function.
    pub fn take_requests(&self) -> u32 {
        self.requests.swap(0, Ordering::Relaxed)
    }

    fn count(&self, attempts: u32) {
        self.requests.fetch_add(attempts, Ordering::Relaxed);
    }
}

/// Why a call brought no answer, named for what the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Not before `until`; not a failure.
    #[error("the aggregator's request limit holds us until {until}")]
    RateLimited {
        /// When to try again.
        until: Timestamp,
        /// Whether it holds everything of the source; if not, only what counts against the same user.
        is_shared: bool,
    },
    /// The aggregator's own count of this link's refreshes is spent; pull without one.
    #[error("the aggregator refuses another refresh now: {0}")]
    RefreshRefused(Box<ErrorDocument>),
    /// The link is unknown to the aggregator, or belongs to somebody else.
    #[error("the aggregator does not know this link: {0}")]
    Gone(Box<ErrorDocument>),
    /// A person must act on this link.
    #[error("{reason}: {document}")]
    NeedsAttention {
        /// What is wrong.
        reason: Attention,
        /// What the aggregator said.
        document: Box<ErrorDocument>,
    },
    /// The credential itself is refused: every link of the source is affected.
    #[error(
        "the aggregator refuses the source's credentials: {0}; check client_id and access_secret in the configuration"
    )]
    Unauthorized(Box<ErrorDocument>),
    /// Tried and tried; later.
    #[error("{0}")]
    Transient(TransientCause),
    /// Sent, fate unknown: never repeat it blindly.
    #[error("no answer to a request that was sent: {0}")]
    OutcomeUnknown(TransientCause),
    /// The aggregator refuses the request as such: our fault, or its interface changed.
    #[error("the aggregator refuses the request (status {status}): {document}")]
    Rejected {
        /// The HTTP status.
        status: u16,
        /// What it said.
        document: Box<ErrorDocument>,
    },
    /// The answer is JSON, but not what the contract describes.
    #[error("the answer to {what} is not what the aggregator's documents describe: {reason}")]
    Malformed {
        /// What was asked.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The answer would not stop.
    #[error("the answer is larger than {cap_bytes} bytes")]
    TooLarge {
        /// The cap.
        cap_bytes: usize,
    },
    /// The request could not be built; our fault.
    #[error("the request was not sent: {0}")]
    NotSent(NotSentReason),
    /// The answer points to somewhere else; nothing was sent there.
    #[error("the answer points away from the aggregator's own address; nothing was sent there")]
    ForeignOrigin,
}

/// What a refresh is and costs at an aggregator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshTerms {
    /// What a successful one is billed as.
    pub price_unit: &'static str,
    /// How many successful ones the credential allows, ever.
    pub lifetime_cap: Option<u32>,
}

/// How a refresh stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefreshProgress {
    /// Not over.
    Running {
        /// The aggregator's word.
        status: Option<String>,
    },
    /// Fresh data is there.
    Done,
    /// Over without fresh data; `health` tells whether a person is needed.
    Failed {
        /// What the status means.
        health: LinkHealth,
    },
    /// The aggregator does not know the task.
    Lost,
}

/// One page of users.
#[derive(Debug)]
pub struct UserPage {
    /// The users.
    pub users: Vec<ListedUser>,
    /// The next page; `None`: this was the last.
    pub next: Option<PageToken>,
}

/// One user as a list shows it.
#[derive(Debug)]
pub struct ListedUser {
    /// The user.
    pub user: UserRecord,
    /// Its bank links with what tells a new token from a stored one; `None`: the list leaves links out, ask per user.
    pub links: Option<Vec<(LinkRecord, Option<String>)>>,
}

/// Where a list continues. Opaque.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageToken(String);

/// The closed stretch of time a walk asks for; no start means the whole history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Rows that happened at or after this instant.
    pub from: Option<Timestamp>,
}

/// One page of transactions.
#[derive(Debug, Default)]
pub struct TransactionPage {
    /// The accounts the aggregator shows beside them.
    pub accounts: Vec<AccountRecord>,
    /// Well-formed rows.
    pub rows: Vec<TransactionRecord>,
    /// Rows set aside.
    pub rejected: Vec<RejectedRow>,
    /// How many rows the whole list has, if the aggregator says.
    pub total: Option<u64>,
    /// The next page; `None`: this was the last.
    pub next: Option<PageToken>,
}

/// One of the aggregators.
#[derive(Clone)]
pub enum Aggregator {
    /// Truv.
    Truv(Truv),
}

impl Aggregator {
    /// What a refresh is and costs here; `None`: the aggregator refreshes by itself.
    pub fn refresh_terms(&self) -> Option<RefreshTerms> {
        match self {
            Self::Truv(truv) => Some(truv.refresh_terms()),
        }
    }

    /// Proves the credential with one cheap request.
    pub async fn check(&self, context: &CallContext) -> Result<(), CallError> {
        match self {
            Self::Truv(truv) => truv.check(context).await,
        }
    }

    /// Lists users with their links, one page.
    pub async fn users(&self, context: &CallContext, page: Option<&PageToken>) -> Result<UserPage, CallError> {
        match self {
            Self::Truv(truv) => truv.users(context, page).await,
        }
    }

    /// Lists one user's links with their access tokens.
    pub async fn user_links(&self, context: &CallContext, user: &str) -> Result<Vec<LinkRecord>, CallError> {
        match self {
            Self::Truv(truv) => truv.user_links(context, user).await,
        }
    }

    /// Reads one link.
    ///
    /// Shape: `None` for a link that holds no bank data.
    pub async fn link(&self, context: &CallContext, link: &str) -> Result<Option<LinkRecord>, CallError> {
        match self {
            Self::Truv(truv) => truv.link(context, link).await,
        }
    }

    /// Asks for a refresh and returns its upstream task id. Costs money; book it in the ledger first.
    pub async fn start_refresh(&self, context: &CallContext, token: &Secret) -> Result<String, CallError> {
        match self {
            Self::Truv(truv) => truv.start_refresh(context, token).await,
        }
    }

    /// Looks at a refresh.
    pub async fn refresh_progress(&self, context: &CallContext, task: &str) -> Result<RefreshProgress, CallError> {
        match self {
            Self::Truv(truv) => truv.refresh_progress(context, task).await,
        }
    }

    /// What an announced task status means; for webhooks, which carry the same words as the task.
    pub fn announced_progress(&self, status: &str) -> RefreshProgress {
        match self {
            Self::Truv(_) => truv::progress(Some(status.to_owned())),
        }
    }

    /// Looks for a refresh of `link` that was sent at `sent_at` or later but never answered.
    ///
    /// Shape: its task id; `None`: the aggregator's list has none.
    pub async fn find_refresh(
        &self,
        context: &CallContext,
        user: &str,
        link: &str,
        sent_at: Timestamp,
    ) -> Result<Option<String>, CallError> {
        match self {
            Self::Truv(truv) => truv.find_refresh(context, user, link, sent_at).await,
        }
    }

    /// Lists a link's accounts with balances, and with their numbers where that is asked and allowed.
    pub async fn accounts(
        &self,
        context: &CallContext,
        link: &str,
        with_numbers: bool,
    ) -> Result<Vec<AccountRecord>, CallError> {
        match self {
            Self::Truv(truv) => truv.accounts(context, link, with_numbers).await,
        }
    }

    /// Reads one page of a link's transactions.
    pub async fn transactions(
        &self,
        context: &CallContext,
        link: &str,
        window: Window,
        page: Option<&PageToken>,
    ) -> Result<TransactionPage, CallError> {
        match self {
            Self::Truv(truv) => truv.transactions(context, link, window, page).await,
        }
    }
}

impl From<HttpError> for CallError {
    /// The meaning that holds for every aggregator; what differs is matched before. A refusal that is no JSON document may
    /// be a proxy's: nothing is concluded from it about the link or the credential.
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::RateLimited { until, is_shared, .. } => Self::RateLimited { until, is_shared },
            HttpError::Refused { status, document, .. } => match status {
                401 if document.is_structured => Self::Unauthorized(document),
                403 if document.is_structured => Self::NeedsAttention { reason: Attention::Access, document },
                404 | 410 if document.is_structured => Self::Gone(document),
                _ => Self::Rejected { status, document },
            },
            HttpError::Transient { cause, .. } => Self::Transient(cause),
            HttpError::OutcomeUnknown { cause, .. } => Self::OutcomeUnknown(cause),
            HttpError::ForeignOrigin { .. } => Self::ForeignOrigin,
            HttpError::TooLarge { cap_bytes, .. } => Self::TooLarge { cap_bytes },
            HttpError::NotSent { reason, .. } => Self::NotSent(reason),
        }
    }
}
