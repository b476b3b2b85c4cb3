//! Connecting on Bridge's hosted pages: users, connect sessions, and what the callback says.
//!
//! Source: upstream/bridge.md sections 5, 6, 7 and 16, page 003.

use serde_json::json;
use serde_json::value::RawValue;
use url::Url;
use url::form_urlencoded;

use super::ask::{Ask, TOKENS, call_error};
use super::{Bridge, USERS, wire};
use crate::aggregator::call::{CallContext, CallError, parse};
use crate::aggregator::connect::{Beginning, Begun, Customer, Returned, Stopped};
use crate::http::{Answer, HttpError, TransientCause, is_loopback};
use crate::model::{Attention, UserRecord};
use crate::secret::Secret;

const SESSIONS: &str = "/v3/aggregation/connect-sessions";
const A_SESSION: &str = "a connect session";

impl Bridge {
    /// Source: section 5: the answer to asking for a token names the user, which is how one that exists is found by its
    /// external id in one documented request.
    pub(in crate::aggregator) async fn find_or_make_user(
        &self,
        context: &CallContext,
        customer: &Customer<'_>,
    ) -> Result<UserRecord, CallError> {
        if let Some(uuid) = customer.known_as {
            match self.ask(context, None, Ask::One(&format!("{USERS}/{uuid}"))).await {
                Ok(answer) => return read_user(&answer, customer.external_id),
                Err(CallError::Gone(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let body = json!({ "external_user_id": customer.external_id });
        match context.counted(self.0.door.post(USERS, &body, context.lane).await) {
            Ok(answer) => match read_user(&answer, customer.external_id) {
                Ok(user) => Ok(user),
                Err(_) => self.adopt(context, customer.external_id, TransientCause::NotJson).await,
            },
            Err(HttpError::Refused { status: 409, .. }) => {
                self.adopt(context, customer.external_id, TransientCause::Status(409)).await
            }
            Err(HttpError::OutcomeUnknown { cause, .. }) => self.adopt(context, customer.external_id, cause).await,
            Err(error) => Err(call_error(error, false)),
        }
    }

    /// Finds the user with an external id by asking for a token, which is not kept.
    ///
    /// No user counts against this request before we know which: the customer is new to us, so there are no others.
    async fn adopt(
        &self,
        context: &CallContext,
        external_id: &str,
        cause: TransientCause,
    ) -> Result<UserRecord, CallError> {
        let body = json!({ "external_user_id": external_id });
        let door = self.token_door(external_id);
        let answer = match context.counted(door.post(TOKENS, &body, context.lane).await) {
            Ok(answer) => answer,
            // Nobody was made after all.
            Err(HttpError::Refused { status: 404, .. }) => return Err(CallError::OutcomeUnknown(cause)),
            Err(HttpError::OutcomeUnknown { cause, .. }) => return Err(CallError::Transient { cause, retry_at: None }),
            Err(error) => return Err(call_error(error, false)),
        };
        // The parser's own words could repeat the token.
        let malformed = || CallError::Malformed { what: "a user's token", reason: "no user".to_owned() };
        let token: wire::Token<'_> =
            std::str::from_utf8(&answer.body).ok().and_then(|body| wire::object(body).ok()).ok_or_else(malformed)?;
        let raw = token.user.raw().ok_or_else(malformed)?;
        user_in(raw, external_id).ok_or_else(malformed)
    }

    pub(in crate::aggregator) async fn begin_connection(
        &self,
        context: &CallContext,
        beginning: &Beginning<'_>,
    ) -> Result<Begun, CallError> {
        let mut body = json!({
            "callback_url": beginning.callback.as_str(), "context": beginning.context.expose(), "account_types": "all",
        });
        if let Some(email) = beginning.email {
            body["user_email"] = json!(email.expose());
        }
        if let Some(repair) = &beginning.repair {
            let item: u64 = repair.link.parse().map_err(|_| CallError::Malformed {
                what: "the link to repair",
                reason: "its id is no number".to_owned(),
            })?;
            body["item_id"] = json!(item);
            if repair.attention == Some(Attention::SecondFactor) {
                body["force_reauthentication"] = json!(true);
            }
        }
        let answer = self.ask(context, Some(beginning.user), Ask::Post(SESSIONS, &body)).await?;
        let session: wire::Session<'_> = parse(A_SESSION, &answer)?;
        let url = session.url.text().and_then(|url| Url::parse(&url).ok());
        let url = url.filter(|url| self.may_send_customers_to(url));
        url.map(|url| Begun::Hosted { url })
            .ok_or_else(|| CallError::Malformed { what: A_SESSION, reason: "its url is no https address".to_owned() })
    }

    fn may_send_customers_to(&self, url: &Url) -> bool {
        let is_plain_local = url.scheme() == "http" && is_loopback(url) && self.0.door.is_local();
        (url.scheme() == "https" || is_plain_local) && url.username().is_empty() && url.password().is_none()
    }
}

/// Source: section 7.2; page 003 calls the user `uuid`.
pub(in crate::aggregator) fn read_return(query: &str) -> Returned {
    let mut returned = Returned::default();
    let (mut success, mut step) = (None, None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let value = value.into_owned();
        match name.as_ref() {
            "context" => returned.context = Some(Secret::new(value)),
            "user_uuid" | "uuid" => returned.user = Some(value.to_ascii_lowercase()),
            "item_id" => returned.link = Some(value),
            "success" => success = Some(value),
            "step" => step = Some(value),
            _ => {}
        }
    }
    if success.as_deref() != Some("true") {
        returned.stopped = Some(stopped_at(step.as_deref()));
    }
    returned
}

fn stopped_at(step: Option<&str>) -> Stopped {
    match step {
        Some("highlighted_banks" | "list_banks" | "sub_banks_list" | "link_iban_error") => Stopped::Choosing,
        Some("bank_creds_form" | "edit_bank_creds_form") => Stopped::Login,
        Some("otp_form") => Stopped::SecondFactor,
        Some("pro_validation_form" | "email_validation_form") => Stopped::Confirmation,
        Some("sync_in_progress" | "sync_pending" | "sync_success") => Stopped::Reading,
        Some("sync_error") => Stopped::Failed,
        _ => Stopped::Elsewhere,
    }
}

/// The user in an answer; one with another external id is somebody else.
fn read_user(answer: &Answer, external_id: &str) -> Result<UserRecord, CallError> {
    let raw: &RawValue = parse("a user", answer)?;
    user_in(raw.get(), external_id)
        .ok_or_else(|| CallError::Malformed { what: "a user", reason: "no uuid, or another external id".to_owned() })
}

fn user_in(raw: &str, external_id: &str) -> Option<UserRecord> {
    let user: wire::User<'_> = wire::object(raw).ok()?;
    let named = user.external_user_id.text();
    if named.is_some_and(|named| named != external_id) {
        return None;
    }
    Some(UserRecord { upstream_id: user.uuid.text()?, external_id: Some(external_id.to_owned()) })
}
