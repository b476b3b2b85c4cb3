//! `GET …/return`: the way back from the aggregator's pages.
//!
//! Whoever has the address of a way back can open it, and its parameters are plain text. So it must carry the context that was
//! given along at the beginning, and what it says is only a hint at what to read back.

use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse as _, Redirect, Response};
use subtle::ConstantTimeEq as _;

use super::pages::{self, Tone};
use super::refusal::Refusal;
use super::settle::{self, Settled, Sought};
use super::visit::Visit;
use crate::aggregator::{Returned, Stopped};
use crate::store::{InviteState, StoreError, TokenHash};

pub(super) async fn come_back(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let connect = visit.source().map(|source| source.aggregator.connect());
    let Some(returned) = connect.and_then(|connect| connect.read_return(query.as_deref().unwrap_or_default())) else {
        return visit.refuse(Refusal::NotOurs);
    };
    if !is_ours(&visit, &returned) {
        return visit.refuse(Refusal::NotOurs);
    }
    match visit.invite.state {
        // The page was reloaded, or a look was quicker.
        InviteState::Used => return to_done(&visit),
        InviteState::Revoked => return visit.refuse(Refusal::Revoked),
        InviteState::Open | InviteState::Exhausted | InviteState::Expired if !visit.is_under_way() => {
            return visit.refuse(Refusal::NotBegun);
        }
        InviteState::Open | InviteState::Exhausted | InviteState::Expired => {}
    }
    match returned.stopped {
        Some(stopped) if stopped != Stopped::Reading => stopped_page(&visit, stopped).await,
        Some(_) | None => match settled(&visit, returned).await {
            Ok(_) => to_done(&visit),
            Err(error) => visit.refuse_because(Refusal::Busy, Some(&error)),
        },
    }
}

/// Leads on, so that the hints stay neither in the address nor in the browser's history. The page says what came of it.
fn to_done(visit: &Visit) -> Response {
    ([(CACHE_CONTROL, "no-store")], Redirect::to(&visit.path("/done"))).into_response()
}

/// Whether the way back carries what was given along, and speaks of the customer who was invited.
fn is_ours(visit: &Visit, returned: &Returned) -> bool {
    let (Some(expected), Some(context)) = (&visit.invite.context_hash, &returned.context) else {
        return false;
    };
    let is_context = bool::from(TokenHash::of(context).as_bytes().ct_eq(expected));
    let is_user = returned.user.as_ref().is_none_or(|user| visit.invite.upstream_user_id.eq_ignore_ascii_case(user));
    is_context && is_user
}

/// Reads back what the customer connected. What is not there yet is looked for again.
async fn settled(visit: &Visit, returned: Returned) -> Result<Settled, StoreError> {
    let Some(source) = visit.source() else {
        return settle::later(visit).await;
    };
    match settle::settle(visit, source, Sought::Hinted(returned.link)).await? {
        Settled::Nothing => {
            tracing::warn!(
                source = %source.name, invite.id = visit.invite.invite_id,
                "a customer came back and the aggregator shows nothing new yet; it is looked for again"
            );
            settle::later(visit).await
        }
        settled @ (Settled::Connected | Settled::UsedAlready | Settled::NotTheirs | Settled::Later) => Ok(settled),
    }
}

/// Says in words what happened, and offers to try again; the invite stays good.
async fn stopped_page(visit: &Visit, stopped: Stopped) -> Response {
    visit.note(stopped.as_str()).await;
    tracing::info!(
        invite.id = visit.invite.invite_id,
        reason = stopped.as_str(),
        "a customer came back without a bank"
    );
    let again = visit.refusal_to_begin().is_none().then(|| visit.path(""));
    let text = visit.words().stopped(stopped);
    let (here, status) = (visit.base(), StatusCode::OK);
    pages::notice(&visit.served, visit.language, status, Tone::Stopped, text, Some(&here), again.as_deref())
        .into_response()
}
