//! What can come of a request, named for what the caller does next.

use std::fmt;

use jiff::Timestamp;
use thiserror::Error;

use super::document::ErrorDocument;

/// Why there is no answer. Everything in it may be shown and stored: it holds no header, no query, no body.
#[derive(Debug, Error)]
pub enum HttpError {
    /// The aggregator throttles this credential, or only what the request counts against: try again at `until`, not
    /// before. Nothing was executed, and it is not a failure. `attempts` is 0 when the limiter was held already and
    /// nothing was sent.
    #[error("{call}: rate limited until {until}")]
    RateLimited {
        /// When the hold ends.
        until: Timestamp,
        /// Whether it holds everyone who uses the credential; if not, only who counts against the same keys.
        is_shared: bool,
        /// The aggregator's words, if this call drew them.
        document: Option<Box<ErrorDocument>>,
        /// The request.
        call: Call,
    },
    /// The aggregator understood and said no, with a 4xx: what that means is for the caller to read. A 429 here is a
    /// quota that is used up, not the request throttle.
    #[error("{call}: refused with {status}: {document}")]
    Refused {
        /// The HTTP status, 400 to 499, or a redirect that a POST met.
        status: u16,
        /// The aggregator's words.
        document: Box<ErrorDocument>,
        /// The request.
        call: Call,
    },
    /// Nothing was changed and the next try may succeed: try later.
    #[error("{call}: {cause}, after {attempts} attempts", attempts = call.attempts)]
    Transient {
        /// What went wrong the last time.
        cause: TransientCause,
        /// When the aggregator wants to be asked again, where it said so.
        retry_at: Option<Timestamp>,
        /// The aggregator's words, if it had any.
        document: Option<Box<ErrorDocument>>,
        /// The request.
        call: Call,
    },
    /// A request that changes something was sent and may have been executed: find out before sending it again.
    #[error("{call}: {cause}, and whether it was executed is unknown")]
    OutcomeUnknown {
        /// What went wrong.
        cause: TransientCause,
        /// The aggregator's words, if it had any.
        document: Option<Box<ErrorDocument>>,
        /// The request.
        call: Call,
    },
    /// A link or redirect leaves the aggregator's origin; nothing was sent there. Someone should look at it.
    #[error("{call}: the address to follow is outside the aggregator's origin")]
    ForeignOrigin {
        /// The request that led there.
        call: Call,
    },
    /// The answer to a GET is larger than anything expected: ask for smaller pages.
    #[error("{call}: the answer is larger than {cap_bytes} bytes")]
    TooLarge {
        /// The cap.
        cap_bytes: usize,
        /// The request.
        call: Call,
    },
    /// The request could not even be built; trying again does not help.
    #[error("{call}: not sent, {reason}")]
    NotSent {
        /// What is wrong with it.
        reason: NotSentReason,
        /// The request.
        call: Call,
    },
}

impl HttpError {
    /// The request it is about.
    pub fn call(&self) -> &Call {
        match self {
            Self::RateLimited { call, .. }
            | Self::Refused { call, .. }
            | Self::Transient { call, .. }
            | Self::OutcomeUnknown { call, .. }
            | Self::ForeignOrigin { call }
            | Self::TooLarge { call, .. }
            | Self::NotSent { call, .. } => call,
        }
    }

    /// How many requests were sent.
    pub fn attempts(&self) -> u32 {
        self.call().attempts
    }

    /// The aggregator's words, if it had any.
    pub fn document(&self) -> Option<&ErrorDocument> {
        match self {
            Self::Refused { document, .. } => Some(document),
            Self::RateLimited { document, .. }
            | Self::Transient { document, .. }
            | Self::OutcomeUnknown { document, .. } => document.as_deref(),
            Self::ForeignOrigin { .. } | Self::TooLarge { .. } | Self::NotSent { .. } => None,
        }
    }
}

/// The request an error is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The HTTP method.
    pub method: &'static str,
    /// The path without its query.
    pub path: String,
    /// How many requests were sent, redirects and throttled ones included.
    pub attempts: u32,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// What kept an answer from being usable.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TransientCause {
    /// No connection, so nothing was sent.
    #[error("could not connect ({reason})")]
    Connect {
        /// The innermost reason: name resolution, a refused connection, the certificate.
        reason: Reason,
    },
    /// The deadline for the whole request passed.
    #[error("timed out")]
    TimedOut,
    /// The connection broke before an answer came.
    #[error("connection lost ({reason})")]
    ConnectionLost {
        /// The innermost reason.
        reason: Reason,
    },
    /// The answer broke off, or could not be decompressed.
    #[error("answer cut short")]
    CutShort,
    /// A status that promises no answer: 408, 5xx, or a redirect that leads nowhere.
    #[error("status {0}")]
    Status(u16),
    /// A success without a body.
    #[error("empty answer")]
    Empty,
    /// A success of another content type, such as a proxy's HTML page.
    #[error("answer is not JSON")]
    NotJson,
    /// A success whose JSON does not parse.
    #[error("answer is broken JSON")]
    BrokenJson,
    /// The answer to a request that changes something is larger than the cap.
    #[error("answer too large")]
    TooLarge,
    /// A refusal, with this status, of credentials that the configuration has meanwhile replaced.
    #[error("refused with {0}, under credentials that were replaced meanwhile")]
    Replaced(u16),
}

/// Why a connection failed, in words that are safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(pub(super) String);

impl Reason {
    /// The innermost reason of an error; the outer ones only repeat that a request failed.
    pub(super) fn innermost(error: &dyn std::error::Error) -> Self {
        let mut innermost = error;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        Self(super::shown::shown(&innermost.to_string(), 120))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a request could not be built.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NotSentReason {
    /// The path does not begin with `/`, or has `.` or `..` in it, as an odd upstream id could bring about.
    #[error("the path is not an absolute, plain path")]
    Path,
    /// The body cannot be written as JSON.
    #[error("the body cannot be written as JSON")]
    Body,
    /// The client does not accept URL or headers.
    #[error("the request cannot be built")]
    Request,
}
