//! What an aggregator sends by itself: whether it is the aggregator's, and what it says.
//!
//! Both sign the raw body with HMAC-SHA-256 and write `v1=` and the digits in hexadecimal, several values divided by commas
//! while a secret is being replaced. A value of another scheme is passed over: whoever could make us believe a weaker one
//! could forge. Nothing in what is signed says when it was sent, so an old webhook may come again: what it says is only ever
//! a hint to look.
//! Source: upstream/truv.md section 13, upstream/bridge.md section 12.

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderMap;
use jiff::Timestamp;
use sha2::Sha256;
use url::Url;

use super::truv::Truv;
use super::{CallContext, CallError, Kind, bridge, truv};
use crate::model::EndpointState;
use crate::secret::Secret;

/// Bytes of a signature.
const SIGNATURE_BYTES: usize = 32;
/// Values of one request that are looked at: two secrets are in use at most, and each costs a digest.
const MAX_VALUES: usize = 4;

/// Reads what the aggregator sends by itself.
pub struct Webhooks<'a>(pub(super) &'a Kind);

/// Asks the aggregator where it sends webhooks, and tells it where to.
pub struct WebhookEndpoints<'a>(pub(super) &'a Truv);

/// Why a signature does not prove that a body is the aggregator's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureError {
    /// There is no secret to check it with.
    NoSecret,
    /// The request carries none.
    Missing,
    /// What it carries is none of the scheme that counts.
    Unreadable,
    /// It was made with another secret or for another body.
    Wrong,
}

impl SignatureError {
    /// For the log, and for whoever sent it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSecret => "no webhook secret is configured for this source; put it into webhook_secrets",
            Self::Missing => "it carries no signature",
            Self::Unreadable => "it carries no signature of scheme v1",
            Self::Wrong => "its signature was made with another secret or for another body",
        }
    }
}

/// One webhook, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Upstream's word; empty where there is none.
    pub event_type: String,
    /// When it happened, as upstream says.
    pub announced_at: Option<Timestamp>,
    /// The upstream id of the customer it is about.
    pub user: Option<String>,
    /// What it says.
    pub news: News,
}

impl Announcement {
    /// The upstream id of the link it is about, where it says.
    pub fn link(&self) -> Option<&str> {
        match &self.news {
            News::LinkChanged { link } | News::RefreshStatus { link, .. } => link.as_deref(),
            News::LinkRead { link } => Some(link),
            News::UserDeleted | News::Nothing => None,
        }
    }
}

/// What a webhook says, with upstream ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A task that reads a bank stands at a status: a refresh of ours, a first connection, or somebody else's.
    RefreshStatus {
        /// The task.
        task: String,
        /// The aggregator's word.
        status: String,
        /// The link it reads, where it says.
        link: Option<String>,
    },
    /// A link is new, was connected, lost or deleted.
    LinkChanged {
        /// The link, where it says.
        link: Option<String>,
    },
    /// The aggregator has read a link's bank, with or without success.
    LinkRead {
        /// The link.
        link: String,
    },
    /// The customer was deleted.
    UserDeleted,
    /// Nothing that is kept here, or nothing that is known.
    Nothing,
}

/// One address to which the aggregator sends webhooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookEndpoint {
    /// The aggregator's id.
    pub upstream_id: String,
    /// The address.
    pub url: String,
    /// Whether anything is sent there.
    pub is_enabled: bool,
}

/// What registering an address did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// It was not listed and is now.
    Created,
    /// It was switched off and is on again.
    Enabled,
    /// It was listed and on.
    WasThere,
}

impl Webhooks<'_> {
    /// Whether `body`, byte for byte as it came, was signed with one of the secrets in use.
    ///
    /// The time this takes does not depend on how much of a signature is right.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), SignatureError> {
        match self.0 {
            Kind::Truv(truv) => verify(headers, truv::SIGNATURE_HEADER, truv.webhook_secrets(), body),
            Kind::Bridge(bridge) => verify(headers, bridge::SIGNATURE_HEADER, bridge.webhook_secrets(), body),
        }
    }

    /// Reads a webhook; whether it is the aggregator's is for [`Webhooks::verify`] to say.
    ///
    /// Shape: `None` for what is no JSON object. Unknown events and missing members are no errors.
    pub fn read(&self, body: &[u8]) -> Option<Announcement> {
        match self.0 {
            Kind::Truv(_) => truv::read_webhook(body),
            Kind::Bridge(_) => bridge::read_webhook(body),
        }
    }

    /// What a person does in the aggregator's dashboard so that webhooks come.
    pub fn instructions(&self) -> &'static str {
        match self.0 {
            Kind::Truv(_) => truv::WEBHOOK_INSTRUCTIONS,
            Kind::Bridge(_) => bridge::WEBHOOK_INSTRUCTIONS,
        }
    }
}

impl WebhookEndpoints<'_> {
    /// Lists the addresses that belong to this credential's environment.
    pub async fn list(&self, context: &CallContext) -> Result<Vec<WebhookEndpoint>, CallError> {
        self.0.webhook_endpoints(context).await
    }

    /// How the aggregator lists an address.
    pub async fn state(&self, context: &CallContext, address: &Url) -> Result<EndpointState, CallError> {
        Ok(match self.find(context, address).await? {
            Some(endpoint) if endpoint.is_enabled => EndpointState::Enabled,
            Some(_) => EndpointState::Disabled,
            None => EndpointState::Missing,
        })
    }

    /// Makes sure that webhooks are sent to an address: lists it if it is not, switches it on if it is off.
    ///
    /// Errors: after one whose fate is unknown, do it again: it makes no second one.
    pub async fn register(&self, context: &CallContext, address: &Url) -> Result<Registered, CallError> {
        if let Some(endpoint) = self.find(context, address).await? {
            return self.switch_on(context, &endpoint).await;
        }
        if self.0.create_webhook_endpoint(context, address).await? {
            return Ok(Registered::Created);
        }
        // Somebody was faster.
        match self.find(context, address).await? {
            Some(endpoint) => self.switch_on(context, &endpoint).await,
            None => Ok(Registered::WasThere),
        }
    }

    async fn find(&self, context: &CallContext, address: &Url) -> Result<Option<WebhookEndpoint>, CallError> {
        let listed = self.list(context).await?;
        Ok(listed.into_iter().find(|endpoint| endpoint.url.parse().is_ok_and(|url: Url| url == *address)))
    }

    async fn switch_on(&self, context: &CallContext, endpoint: &WebhookEndpoint) -> Result<Registered, CallError> {
        if endpoint.is_enabled {
            return Ok(Registered::WasThere);
        }
        self.0.enable_webhook_endpoint(context, &endpoint.upstream_id).await?;
        Ok(Registered::Enabled)
    }
}

fn verify(headers: &HeaderMap, header: &str, secrets: &[Secret], body: &[u8]) -> Result<(), SignatureError> {
    if secrets.is_empty() {
        return Err(SignatureError::NoSecret);
    }
    let mut lines = headers.get_all(header).iter().peekable();
    if lines.peek().is_none() {
        return Err(SignatureError::Missing);
    }
    let values = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    let signatures: Vec<_> = values.filter_map(signature).take(MAX_VALUES).collect();
    if signatures.is_empty() {
        return Err(SignatureError::Unreadable);
    }
    let mut is_ours = false;
    for secret in secrets {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else { continue };
        mac.update(body);
        for signature in &signatures {
            is_ours |= mac.clone().verify_slice(signature).is_ok();
        }
    }
    if is_ours { Ok(()) } else { Err(SignatureError::Wrong) }
}

/// The bytes of one value of the scheme that counts; `None` for any other scheme and for what is no signature.
fn signature(value: &str) -> Option<[u8; SIGNATURE_BYTES]> {
    let digits = value.trim().strip_prefix("v1=")?.as_bytes();
    if digits.len() != 2 * SIGNATURE_BYTES {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = [0; SIGNATURE_BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
