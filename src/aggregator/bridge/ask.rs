//! One request as the application or as one of its users, with the user's token where it takes one.
//!
//! What must stay true: beside what the door repeats, a request goes out at most twice, the second time with a new
//! token; and what a refusal says about a user or the application is decided here and nowhere else.
//! Source: upstream/bridge.md sections 3, 6 and 15.1.

use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderValue};
use serde_json::{Value, json};

use super::token::UserToken;
use super::{Bridge, USER, USER_TOKEN};
use crate::aggregator::call::{CallContext, CallError};
use crate::http::{Answer, Door, HttpError, NotSentReason};
use crate::limits::requests::Claims;

/// The one code that says that a new token will not help. Source: section 3.2.
const BAD_CLIENT: &str = "invalid_client_credentials";
pub(super) const TOKENS: &str = "/v3/aggregation/authorization/token";

/// What is asked of a door.
#[derive(Clone, Copy)]
pub(super) enum Ask<'a> {
    /// The first page of a list.
    List(&'a str, &'a [(&'a str, &'a str)]),
    /// A further page of it, where the page before says.
    Next(&'a str),
    /// One thing by its id.
    One(&'a str),
    /// Something to be made there, which is asked for once.
    Post(&'a str, &'a Value),
    /// Something to be deleted there.
    Delete(&'a str),
}

impl Bridge {
    /// Asks as the application, or as one of its users.
    pub(super) async fn ask(
        &self,
        context: &CallContext,
        user: Option<&str>,
        ask: Ask<'_>,
    ) -> Result<Answer, CallError> {
        let answer = match user {
            Some(user) => self.ask_as(context, user, ask).await?,
            None => send(&self.0.door, context, ask).await,
        };
        // Only the beginning of a walk can tell that something is gone: later it may be the cursor that is.
        let tells_gone = match ask {
            Ask::One(_) | Ask::Delete(_) => true,
            Ask::List(..) | Ask::Post(..) => user.is_some(),
            Ask::Next(_) => false,
        };
        answer.map_err(|error| call_error(error, tells_gone))
    }

    /// Asks with the user's token. A refused one, with which nothing was done, is renewed once. What refuses the new one too
    /// does not mean the credentials, with which that was just granted: it is about this user, and no other waits for it.
    async fn ask_as(
        &self,
        context: &CallContext,
        user: &str,
        ask: Ask<'_>,
    ) -> Result<Result<Answer, HttpError>, CallError> {
        let token = self.token(context, user).await?;
        let answer = send(&self.user_door(user, &token)?, context, ask).await;
        if !answer.as_ref().is_err_and(refuses_token) {
            return Ok(answer);
        }
        self.0.tokens.forget(user, &token).await;
        let token = self.token(context, user).await?;
        match send(&self.user_door(user, &token)?, context, ask).await {
            Err(HttpError::Refused { status, document, .. })
                if status == 401 && document.code.as_deref() != Some(BAD_CLIENT) =>
            {
                Err(CallError::Rejected { status, document })
            }
            answer => Ok(answer),
        }
    }

    async fn token(&self, context: &CallContext, user: &str) -> Result<Arc<UserToken>, CallError> {
        self.0.tokens.get(user, self.new_token(context, user)).await
    }

    /// Source: section 6. Unlike other requests that change something this one may be sent again when its fate is
    /// unknown: a second token harms nothing.
    async fn new_token(&self, context: &CallContext, user: &str) -> Result<UserToken, CallError> {
        let asked_at = self.0.clock.now();
        let body = json!({ "user_uuid": user });
        let door = self.token_door(user);
        let sent = context.counted(door.post(TOKENS, &body, context.lane).await);
        let answer = match sent {
            Err(HttpError::OutcomeUnknown { cause, .. }) => return Err(CallError::Transient { cause, retry_at: None }),
            sent => sent.map_err(|error| call_error(error, true))?,
        };
        UserToken::read(&answer, user, asked_at)
    }

    /// The door for what belongs to a user.
    fn user_door(&self, user: &str, token: &UserToken) -> Result<Door, CallError> {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.secret().expose()))
            .map_err(|_| CallError::NotSent(NotSentReason::Request))?;
        bearer.set_sensitive(true);
        Ok(self.0.door.with_header(AUTHORIZATION, bearer).counting_against(Claims::on(USER, user)))
    }

    /// The door through which a user's token is asked for.
    pub(super) fn token_door(&self, user: &str) -> Door {
        self.0.door.counting_against(Claims::on(USER, user).and(USER_TOKEN, user))
    }
}

async fn send(door: &Door, context: &CallContext, ask: Ask<'_>) -> Result<Answer, HttpError> {
    context.counted(match ask {
        Ask::List(path, query) => door.get(path, query, context.lane).await,
        Ask::Next(uri) => door.get_following(uri, context.lane).await,
        Ask::One(path) => door.get(path, &[], context.lane).await,
        Ask::Post(path, body) => door.post(path, body, context.lane).await,
        Ask::Delete(path) => door.delete(path, context.lane).await,
    })
}

/// Whether a new token may help: it expired, or Bridge dropped it.
fn refuses_token(error: &HttpError) -> bool {
    matches!(error, HttpError::Refused { status: 401, document, .. } if document.code.as_deref() != Some(BAD_CLIENT))
}

/// What a refusal means at Bridge.
///
/// Source: sections 1.1 and 15.1: a 403 is about the application (its products, the addresses it may call from), never
/// about one user.
pub(super) fn call_error(error: HttpError, tells_gone: bool) -> CallError {
    if let HttpError::Refused { status, document, .. } = &error {
        match status {
            403 if document.is_structured => return CallError::Unauthorized(document.clone()),
            404 | 410 if !tells_gone => {
                return CallError::Rejected { status: *status, document: document.clone() };
            }
            _ => {}
        }
    }
    CallError::from(error)
}
