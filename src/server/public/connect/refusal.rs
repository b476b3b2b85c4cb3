//! Refusals: one friendly page and one line of log each.

use std::fmt;

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use super::language::Language;
use super::pages::{self, Tone};
use super::words::Words;
use crate::server::Served;

/// Why a request leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No invite has this address.
    Unknown,
    /// The invite led to a connection already.
    Used,
    /// An operator took it back.
    Revoked,
    /// Its time is over.
    Expired,
    /// It was begun as often as it may be.
    TooOften,
    /// It was not begun, or too long ago.
    NotBegun,
    /// The way back does not belong to what was begun here.
    NotOurs,
    /// The customer or the link is gone at the aggregator.
    Gone,
    /// The aggregator or the store does not answer as it should.
    Busy,
    /// What the widget handed over is expired or was used.
    TokenExpired,
    /// The new link is another customer's.
    NotTheirs,
    /// What was sent is not what the page sends.
    Malformed,
    /// The query is too long.
    TooLong,
    /// The body is too large.
    TooLarge,
    /// The body is no JSON.
    NotJson,
    /// The address does not answer this method.
    WrongMethod,
}

impl Refusal {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Unknown => StatusCode::NOT_FOUND,
            Self::Used | Self::Revoked | Self::Expired | Self::Gone | Self::TokenExpired => StatusCode::GONE,
            Self::TooOften => StatusCode::TOO_MANY_REQUESTS,
            Self::NotBegun => StatusCode::CONFLICT,
            Self::NotOurs | Self::NotTheirs => StatusCode::FORBIDDEN,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::TooLong => StatusCode::URI_TOO_LONG,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    /// The word for the log and for our own script.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown invite",
            Self::Used => "used invite",
            Self::Revoked => "revoked invite",
            Self::Expired => "expired invite",
            Self::TooOften => "invite begun too often",
            Self::NotBegun => "invite not begun",
            Self::NotOurs => "a way back that does not belong to what was begun",
            Self::Gone => "customer or link gone at the aggregator",
            Self::Busy => "aggregator or store not available",
            Self::TokenExpired => "public token expired, used or unknown",
            Self::NotTheirs => "a link that is not this customer's",
            Self::Malformed => "malformed request",
            Self::TooLong => "query too long",
            Self::TooLarge => "body too large",
            Self::NotJson => "body is no JSON",
            Self::WrongMethod => "method not allowed",
        }
    }

    /// Whether beginning anew may help.
    pub(super) fn lets_retry(self) -> bool {
        matches!(self, Self::NotBegun | Self::NotOurs | Self::Busy | Self::TokenExpired | Self::Malformed)
    }

    /// The one line of log; `error` is what led to it.
    pub(super) fn log(self, invite_id: Option<i64>, error: Option<&dyn fmt::Display>) {
        let error = error.map(tracing::field::display);
        tracing::warn!(reason = self.as_str(), invite.id = invite_id, error, "a connect request was refused");
    }

    /// Title and text of its page.
    pub(super) fn text(self, words: &'static Words) -> (&'static str, &'static str) {
        match self {
            Self::Unknown | Self::WrongMethod | Self::TooLong => words.unknown,
            Self::Used => words.used,
            Self::Revoked => words.revoked,
            Self::Expired => words.expired,
            Self::TooOften => words.too_often,
            Self::NotBegun | Self::TokenExpired => words.begin_anew,
            Self::NotOurs | Self::NotTheirs | Self::Malformed | Self::TooLarge | Self::NotJson => words.not_ours,
            Self::Gone => words.gone,
            Self::Busy => words.busy,
        }
    }
}

/// Refuses a request that names no invite.
pub(super) fn plain(served: &Served, refusal: Refusal, language: Language) -> Response {
    refusal.log(None, None);
    page(served, refusal, language, None, None)
}

/// The page of a refusal, with where its other languages are and where to try again.
pub(super) fn page(
    served: &Served,
    refusal: Refusal,
    language: Language,
    here: Option<&str>,
    again: Option<&str>,
) -> Response {
    let words = Words::of(language);
    let tone = if refusal == Refusal::Used { Tone::Good } else { Tone::Stopped };
    let text = refusal.text(words);
    pages::notice(served, language, refusal.status(), tone, text, here, again).into_response()
}
