//! Connecting through Truv's widget: users, bridge tokens, and the exchange of public tokens.
//!
//! Source: upstream/truv.md sections 4, 5, 6, 15 and 20 (1, 2, 9, 10), page 000.

use serde_json::json;
use url::Url;

use super::{PRODUCT, Truv, normalize, wire};
use crate::aggregator::call::{CallContext, CallError, parse};
use crate::aggregator::connect::{Beginning, Begun, Customer, ExchangeError, Exchanged, Repair};
use crate::http::{HttpError, TransientCause};
use crate::model::UserRecord;
use crate::secret::Secret;

const USERS: &str = "/v1/users/";
/// What Truv's own pages and scripts come from. Source: section 15 names only the script's host.
const TRUV_DOMAIN: &str = "truv.com";

/// The widget as a source is configured to open it.
#[derive(Clone, Debug)]
pub(in crate::aggregator) struct Widget {
    script: Url,
    origins: Vec<String>,
}

impl Widget {
    /// The widget of `script`, which talks to the API at `api`.
    pub(in crate::aggregator) fn new(script: Url, api: &Url) -> Self {
        let mut origins: Vec<String> = [&script, api].map(|url| url.origin().ascii_serialization()).into();
        if script.domain().is_some_and(|d| d == TRUV_DOMAIN || d.ends_with(&format!(".{TRUV_DOMAIN}"))) {
            origins.push(format!("https://*.{TRUV_DOMAIN}"));
        }
        origins.dedup();
        Self { script, origins }
    }
}

impl Truv {
    pub(in crate::aggregator) fn glue(&self) -> &'static str {
        include_str!("connect.js")
    }

    /// Source: section 20 (9): what a second user with the same external id leads to is not documented, so it is looked for
    /// first, and again when making one was refused or not answered.
    pub(in crate::aggregator) async fn find_or_make_user(
        &self,
        context: &CallContext,
        customer: &Customer<'_>,
    ) -> Result<UserRecord, CallError> {
        if let Some(user) = self.user_known_as(context, customer.external_id).await? {
            return Ok(user);
        }
        let mut body = json!({ "external_user_id": customer.external_id });
        for (name, value) in [("first_name", customer.first_name), ("last_name", customer.last_name)] {
            if let Some(value) = value {
                body[name] = json!(value.expose());
            }
        }
        let error = match context.counted(self.0.door.post(USERS, &body, context.lane).await) {
            Ok(answer) => match parse::<wire::User<'_>>("a user", &answer) {
                Ok(user) => return Ok(normalize::user(&user)),
                Err(_) => CallError::OutcomeUnknown(TransientCause::NotJson),
            },
            Err(error @ (HttpError::OutcomeUnknown { .. } | HttpError::Refused { status: 400 | 409, .. })) => {
                error.into()
            }
            Err(error) => return Err(error.into()),
        };
        self.user_known_as(context, customer.external_id).await?.ok_or(error)
    }

    /// The user with this external id; compared here too, in case the filter is not honoured.
    async fn user_known_as(&self, context: &CallContext, external_id: &str) -> Result<Option<UserRecord>, CallError> {
        let filter = [("external_user_id", external_id), ("list_links", "false")];
        let mut found = None;
        self.list(context, USERS, &filter, "the list of users", |raw| {
            if let Ok(user) = serde_json::from_str::<wire::User<'_>>(raw.get())
                && user.external_user_id.text().as_deref() == Some(external_id)
            {
                found.get_or_insert(normalize::user(&user));
            }
        })
        .await?;
        Ok(found)
    }

    pub(in crate::aggregator) async fn begin_connection(
        &self,
        context: &CallContext,
        beginning: &Beginning<'_>,
    ) -> Result<Begun, CallError> {
        let mut body = json!({ "product_type": PRODUCT, "locale": beginning.language });
        if let Some(repair) = &beginning.repair {
            body["access_token"] = json!(self.token_of(context, beginning.user, repair).await?.expose());
        }
        let path = format!("{USERS}{}/tokens/", beginning.user);
        let answer = context.counted(self.0.door.post(&path, &body, context.lane).await)?;
        // The parser's own words could repeat the token.
        let malformed = |_| CallError::Malformed { what: "a bridge token", reason: "no bridge_token".to_owned() };
        let token = serde_json::from_slice::<wire::BridgeToken>(&answer.body).map_err(malformed)?.bridge_token;
        let widget = &self.0.widget;
        Ok(Begun::Widget { token: Secret::new(token), script: widget.script.clone(), origins: widget.origins.clone() })
    }

    /// The access token of a link: the stored one, else the one that the list of the user's links shows.
    async fn token_of(&self, context: &CallContext, user: &str, repair: &Repair<'_>) -> Result<Secret, CallError> {
        if let Some(token) = repair.access_token {
            return Ok(token.clone());
        }
        let links = self.user_links(context, user).await?;
        let token = links.into_iter().find(|link| link.upstream_id == repair.link).and_then(|link| link.access_token);
        token.ok_or_else(|| CallError::Malformed {
            what: "the links of a user",
            reason: "the link to repair is not shown with its access token".to_owned(),
        })
    }

    /// Source: section 20 (1, 2): the statuses of a token that is expired, used or unknown differ between documents.
    pub(in crate::aggregator) async fn exchange(
        &self,
        context: &CallContext,
        public_token: &Secret,
    ) -> Result<Exchanged, ExchangeError> {
        let body = json!({ "public_token": public_token.expose() });
        let sent = context.counted(self.0.door.post("/v1/link-access-tokens/", &body, context.lane).await);
        let answer = sent.map_err(|error| match error {
            HttpError::Refused { status, document, .. } if is_expired(status, document.code.as_deref()) => {
                ExchangeError::Expired
            }
            HttpError::OutcomeUnknown { cause, .. } => ExchangeError::OutcomeUnknown(cause),
            error => ExchangeError::Call(error.into()),
        })?;
        // An answer that cannot be read was given all the same: the token is used up.
        let unreadable = |_| ExchangeError::OutcomeUnknown(TransientCause::NotJson);
        let exchanged: wire::Exchange = serde_json::from_slice(&answer.body).map_err(unreadable)?;
        Ok(Exchanged { link: exchanged.link_id, access_token: Secret::new(exchanged.access_token) })
    }
}

fn is_expired(status: u16, code: Option<&str>) -> bool {
    status == 410 || code == Some("expired_token") || (status == 403 && code == Some("incorrect_token"))
}
