//! One request under the address of an invite: which invite, in which language, how it stands.

use std::fmt;
use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};

use super::MAX_QUERY_BYTES;
use super::language::Language;
use super::refusal::{self, Refusal};
use super::words::Words;
use crate::secret::Secret;
use crate::server::Served;
use crate::server::control::TOKEN_CHARS;
use crate::store::{Invite, InviteState, TokenHash};
use crate::sync::Source;

/// How long what was begun may take, also beyond the end of the invite: the life of what the aggregator gave for it.
const MAX_CONNECTING: SignedDuration = SignedDuration::from_hours(6);

/// A request under the address of an invite that exists.
pub(super) struct Visit {
    pub(super) served: Arc<Served>,
    pub(super) token: Secret,
    pub(super) invite: Invite,
    pub(super) language: Language,
    pub(super) now: Timestamp,
}

/// Whether a text has the form of an invite's token.
fn is_token(text: &str) -> bool {
    text.len() == TOKEN_CHARS && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

impl FromRequestParts<Arc<Served>> for Visit {
    type Rejection = Response;

    /// Finds the invite of an address; the rejection is the page that says why there is none.
    async fn from_request_parts(parts: &mut Parts, served: &Arc<Served>) -> Result<Self, Response> {
        // Whatever is no text is no token either.
        let params = RawPathParams::from_request_parts(parts, served).await.ok();
        let param = |name: &str| params.as_ref()?.iter().find(|(known, _)| *known == name).map(|(_, value)| value);
        let query = parts.uri.query();
        let language = param("language").and_then(Language::from_tag);
        let language = language.unwrap_or_else(|| Language::of(query, &parts.headers));
        if query.is_some_and(|query| query.len() > MAX_QUERY_BYTES) {
            return Err(refusal::plain(served, Refusal::TooLong, language));
        }
        let Some(token) = param("invite").filter(|token| is_token(token)).map(Secret::new) else {
            return Err(refusal::plain(served, Refusal::Unknown, language));
        };
        let (hash, now) = (TokenHash::of(&token), served.engine.clock().now());
        match served.engine.store().read(move |txn| txn.invite(hash, now)).await {
            Ok(Some(invite)) => Ok(Self { served: Arc::clone(served), token, invite, language, now }),
            Ok(None) => Err(refusal::plain(served, Refusal::Unknown, language)),
            Err(error) => {
                tracing::error!(%error, "an invite could not be read");
                Err(refusal::plain(served, Refusal::Busy, language))
            }
        }
    }
}

impl Visit {
    pub(super) fn words(&self) -> &'static Words {
        Words::of(self.language)
    }

    /// The invite's source; `None`: it is not configured any more.
    pub(super) fn source(&self) -> Option<&Source> {
        self.served.engine.source(self.invite.source_id).map(AsRef::as_ref)
    }

    /// The path of the invite's address.
    pub(super) fn base(&self) -> String {
        format!("/connect/{}", self.token.expose())
    }

    /// A path under the invite's address, in the visit's language.
    pub(super) fn path(&self, rest: &str) -> String {
        format!("{}{rest}?lang={}", self.base(), self.language.tag())
    }

    /// Why the invite may not be begun; `None`: it may.
    pub(super) fn refusal_to_begin(&self) -> Option<Refusal> {
        match self.invite.state {
            InviteState::Open => None,
            InviteState::Used => Some(Refusal::Used),
            InviteState::Revoked => Some(Refusal::Revoked),
            InviteState::Expired => Some(Refusal::Expired),
            InviteState::Exhausted => Some(Refusal::TooOften),
        }
    }

    /// Whether the customer is between the beginning and the end: whoever began in time may finish.
    pub(super) fn is_under_way(&self) -> bool {
        let is_begun = self.invite.begun_at.is_some_and(|at| self.now.duration_since(at) < MAX_CONNECTING);
        is_begun && !matches!(self.invite.state, InviteState::Used | InviteState::Revoked)
    }

    /// Refuses the visit: one line of log, one page.
    pub(super) fn refuse(&self, refusal: Refusal) -> Response {
        self.refuse_because(refusal, None)
    }

    /// The same, where an error led to it.
    pub(super) fn refuse_because(&self, refusal: Refusal, error: Option<&dyn fmt::Display>) -> Response {
        refusal.log(Some(self.invite.invite_id), error);
        let again = refusal.lets_retry().then(|| self.path(""));
        refusal::page(&self.served, refusal, self.language, Some(&self.base()), again.as_deref())
    }

    /// Notes what the customer ran into, for whoever looks after the invite.
    pub(super) async fn note(&self, error: &str) {
        let (invite_id, text) = (self.invite.invite_id, error.to_owned());
        if let Err(error) = self.served.engine.store().write(move |txn| txn.invite_failed(invite_id, &text)).await {
            tracing::error!(%error, invite.id = invite_id, "what a customer ran into could not be noted");
        }
    }
}
