//! `POST …/begin`: counts the beginning, asks the aggregator, and shows where it goes on.

use std::fmt::Write as _;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::response::Response;
use url::Url;

use super::pages;
use super::refusal::Refusal;
use super::visit::Visit;
use crate::aggregator::{Beginning, Begun, CallContext, CallError, Repair};
use crate::http::TransientCause;
use crate::limits::requests::Lane;
use crate::secret::Secret;
use crate::store::{InviteState, LinkState, StoreError, TokenHash};

/// How long a customer waits for the aggregator.
const DEADLINE: Duration = Duration::from_secs(20);
/// Random bytes of a context; in hexadecimal digits, because an aggregator may take nothing but letters and digits.
const CONTEXT_BYTES: usize = 32;

pub(super) async fn begin(visit: Visit, body: Result<Bytes, BytesRejection>) -> Response {
    // The form has no fields; a body that is larger than any was not sent by it.
    if body.is_err() {
        return visit.refuse(Refusal::TooLarge);
    }
    if let Some(refusal) = visit.refusal_to_begin() {
        return visit.refuse(refusal);
    }
    match begun(&visit).await {
        Ok(Begun::Widget { token, script, origins }) => pages::widget(&visit, &token, &script, &origins),
        Ok(Begun::Hosted { url }) => pages::leaving(&visit, &url),
        Err(NotBegun::Refused(refusal)) => visit.refuse(refusal),
        Err(NotBegun::Store(error)) => visit.refuse_because(Refusal::Busy, Some(&error)),
        Err(NotBegun::Call(error)) => {
            visit.note(&error.to_string()).await;
            let refusal = if matches!(error, CallError::Gone(_)) { Refusal::Gone } else { Refusal::Busy };
            visit.refuse_because(refusal, Some(&error))
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum NotBegun {
    #[error("refused")]
    Refused(Refusal),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Counts the beginning, then asks.
///
/// After a crash: the beginning counts; the customer begins again.
async fn begun(visit: &Visit) -> Result<Begun, NotBegun> {
    let (Some(source), Some(public)) = (visit.source(), visit.served.public()) else {
        return Err(NotBegun::Refused(Refusal::Busy));
    };
    let context = new_context().ok_or(NotBegun::Refused(Refusal::Busy))?;
    let link = link_to_repair(visit).await?;
    let (invite_id, hash, now) = (visit.invite.invite_id, TokenHash::of(&context), visit.now);
    if !visit.served.engine.store().write(move |txn| txn.begin_invite(invite_id, hash, now)).await? {
        return Err(NotBegun::Refused(refusal_now(visit).await));
    }
    let beginning = Beginning {
        user: &visit.invite.upstream_user_id,
        email: visit.invite.email.as_ref(),
        repair: link.as_ref().map(|link| Repair {
            link: &link.upstream_id,
            access_token: link.access_token.as_ref(),
            attention: link.attention,
        }),
        language: visit.language.tag(),
        callback: &callback(visit, &public.url),
        context: &context,
    };
    let call = CallContext::new(Lane::Person);
    let connect = source.aggregator.connect();
    let begun = tokio::time::timeout(DEADLINE, connect.begin(&call, &beginning)).await;
    let begun = begun.unwrap_or(Err(CallError::Transient { cause: TransientCause::TimedOut, retry_at: None }))?;
    tracing::info!(source = %source.name, invite.id = invite_id, "a customer began to connect a bank");
    Ok(begun)
}

async fn link_to_repair(visit: &Visit) -> Result<Option<LinkState>, StoreError> {
    match visit.invite.link_id {
        None => Ok(None),
        Some(link_id) => visit.served.engine.store().read(move |txn| txn.link_state(link_id)).await.map(Some),
    }
}

/// Why the invite may not be begun any more: somebody else was quicker.
async fn refusal_now(visit: &Visit) -> Refusal {
    let (hash, now) = (TokenHash::of(&visit.token), visit.now);
    let invite = visit.served.engine.store().read(move |txn| txn.invite(hash, now)).await.ok().flatten();
    match invite.map(|invite| invite.state) {
        Some(InviteState::Used) => Refusal::Used,
        Some(InviteState::Revoked) => Refusal::Revoked,
        Some(InviteState::Expired) => Refusal::Expired,
        Some(InviteState::Open | InviteState::Exhausted) | None => Refusal::TooOften,
    }
}

/// Where the browser comes back to. The language is in the path: whoever adds the hints may not expect a query.
fn callback(visit: &Visit, public: &Url) -> Url {
    let mut url = public.clone();
    url.set_path(&format!("{}/return/{}", visit.base(), visit.language.tag()));
    url
}

fn new_context() -> Option<Secret> {
    let mut bytes = [0; CONTEXT_BYTES];
    getrandom::fill(&mut bytes).ok()?;
    let mut digits = String::with_capacity(2 * CONTEXT_BYTES);
    for byte in bytes {
        write!(digits, "{byte:02x}").ok()?;
    }
    Some(Secret::new(digits))
}
