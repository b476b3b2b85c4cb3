//! The context and the errors of calls to an aggregator.

use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;
use serde::Deserialize;

use super::complaint::complaint;
use crate::http::{Answer, ErrorDocument, HttpError, NotSentReason, TransientCause};
use crate::limits::requests::Lane;
use crate::model::Attention;

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

    /// Counts what a call took, however it ended.
    pub(super) fn counted(&self, result: Result<Answer, HttpError>) -> Result<Answer, HttpError> {
        let attempts = match &result {
            Ok(answer) => answer.attempts,
            Err(error) => error.attempts(),
        };
        self.requests.fetch_add(attempts, Ordering::Relaxed);
        result
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
    /// The link or user is unknown to the aggregator, or belongs to somebody else.
    #[error("the aggregator does not know this link or user: {0}")]
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
    #[error("the aggregator refuses the source's credentials: {0}; check its ids and secrets in the configuration")]
    Unauthorized(Box<ErrorDocument>),
    /// Tried and tried; later.
    #[error("{cause}")]
    Transient {
        /// What went wrong the last time.
        cause: TransientCause,
        /// When the aggregator wants to be asked again, where it said so.
        retry_at: Option<Timestamp>,
    },
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

/// Reads an answer as JSON.
pub(super) fn parse<'a, T: Deserialize<'a>>(what: &'static str, answer: &'a Answer) -> Result<T, CallError> {
    serde_json::from_slice(&answer.body).map_err(|e| CallError::Malformed { what, reason: complaint(&e) })
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
            HttpError::Transient { cause, retry_at, .. } => Self::Transient { cause, retry_at },
            HttpError::OutcomeUnknown { cause, .. } => Self::OutcomeUnknown(cause),
            HttpError::ForeignOrigin { .. } => Self::ForeignOrigin,
            HttpError::TooLarge { cap_bytes, .. } => Self::TooLarge { cap_bytes },
            HttpError::NotSent { reason, .. } => Self::NotSent(reason),
        }
    }
}
