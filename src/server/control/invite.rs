//! Making invites: the address under which a customer connects a bank or repairs a link, and taking it back.
//!
//! Who may make one may open banks in customers' names, so the address is a secret: it is answered once to whoever asked, and
//! of its token only the hash is kept.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::links::find;
use super::{Done, OrderError};
use crate::aggregator::{CallContext, Customer};
use crate::config::PublicConfig;
use crate::limits::requests::Lane;
use crate::secret::Secret;
use crate::store::{NewInvite, TokenHash};
use crate::sync::{Engine, Source};

/// Random bytes of an invite's token.
const TOKEN_BYTES: usize = 32;
/// Characters of an invite's token, which are letters, digits, `-` and `_`.
pub(crate) const TOKEN_CHARS: usize = (TOKEN_BYTES * 8).div_ceil(6);
/// No address is longer (RFC 5321).
const MAX_EMAIL_BYTES: usize = 254;
/// No aggregator takes longer ids or names.
const MAX_NAME_CHARS: usize = 128;

/// What an order says about a person: it is passed on, and not shown.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct Private(pub String);

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[withheld]")
    }
}

/// Why no invite was made or taken back.
#[derive(Debug, thiserror::Error)]
pub enum InviteError {
    /// Nothing answers an invite's address.
    #[error(
        "nothing would answer the address: set public_listen and public_url in [server], and run `passbook reload`"
    )]
    NoPublicSide,
    /// No customer is named, or by what can be no id.
    #[error("name the customer with --user, by your own id: 1 to 128 characters")]
    NoSuchUser,
    /// The link is another customer's, or at another source.
    #[error("link {link} is of the customer {user:?} at the source {source_name:?}; leave --user and --source out")]
    NotTheirLink {
        /// The link.
        link: i64,
        /// Its customer.
        user: String,
        /// Its source.
        source_name: String,
    },
    /// The link's source is not in the configuration any more.
    #[error("the source {0:?} of this link is not configured any more")]
    SourceNotConfigured(String),
    /// The aggregator does not connect banks without the customer's address.
    #[error("this aggregator writes to customers about their connection: give the customer's address with --email")]
    EmailNeeded,
    /// Not an e-mail address.
    #[error("that is not an e-mail address")]
    NotAnEmail,
    /// No invite that could be taken back.
    #[error("no open invite has this address: it was used, taken back, or is not complete")]
    NoSuchInvite,
    /// The system gave no random bytes.
    #[error("no random bytes from the system: {0}")]
    NoRandomness(#[from] getrandom::Error),
}

/// For whom an invite is, as it was asked for.
pub(super) struct Wish {
    pub(super) source: Option<String>,
    pub(super) user: Option<String>,
    pub(super) link: Option<String>,
    pub(super) email: Option<Private>,
    pub(super) first_name: Option<Private>,
    pub(super) last_name: Option<Private>,
}

/// Whom an invite turned out to be for.
struct Invitee<'e> {
    source: &'e Source,
    user_id: i64,
    link_id: Option<i64>,
}

/// Finds or makes the customer at the aggregator, and makes an invite.
///
/// After a crash: the customer may be known by then, which asking again finds; no invite was made that anybody has.
pub(super) async fn invite(engine: &Engine, wish: Wish) -> Result<Done, OrderError> {
    let public = engine.public().ok_or(InviteError::NoPublicSide)?;
    let email = wish.email.as_ref().map(|email| read_email(&email.0)).transpose()?;
    let invitee = match &wish.link {
        Some(link) => invitee_of_link(engine, &wish, link).await?,
        None => invitee_of_user(engine, &wish, email.is_some()).await?,
    };
    let token = new_token()?;
    let now = engine.clock().now();
    let expires_at = now.saturating_add(public.invite_lifetime).unwrap_or(now);
    let address = address(public, &token);
    let (source_id, user_id, link_id) = (invitee.source.source_id, invitee.user_id, invitee.link_id);
    let new = NewInvite { token: TokenHash::of(&token), source_id, user_id, link_id, email, expires_at };
    let invite_id = engine.store().write(move |txn| txn.make_invite(&new, now)).await?;
    tracing::info!(
        source = %invitee.source.name, user.id = user_id, link.id = link_id, invite.id = invite_id,
        good_until = %expires_at, "invite made"
    );
    let what = if link_id.is_some() { "repair the link" } else { "connect a bank" };
    Ok(Done {
        links: link_id.into_iter().collect(),
        message: format!("invite {invite_id} to {what}, good for one use"),
        address: Some(address),
        good_until: Some(expires_at),
        erasures: Vec::new(),
    })
}

/// The customer of a link that is to be repaired.
async fn invitee_of_link<'e>(engine: &'e Engine, wish: &Wish, link: &str) -> Result<Invitee<'e>, OrderError> {
    let link_id = find(engine, link).await?;
    let detail = engine.store().read(move |txn| txn.link_detail(link_id)).await?;
    let is_other_user = |user: &String| *user != detail.user && *user != detail.state.upstream_user_id;
    let is_other_source = |source: &String| *source != detail.source;
    if wish.user.as_ref().is_some_and(is_other_user) || wish.source.as_ref().is_some_and(is_other_source) {
        return Err(InviteError::NotTheirLink { link: link_id, user: detail.user, source_name: detail.source }.into());
    }
    let source = engine.source(detail.state.source_id).ok_or(InviteError::SourceNotConfigured(detail.source))?;
    Ok(Invitee { source, user_id: detail.state.user_id, link_id: Some(link_id) })
}

/// The customer who is to connect a bank.
async fn invitee_of_user<'e>(engine: &'e Engine, wish: &Wish, has_email: bool) -> Result<Invitee<'e>, OrderError> {
    let source = super::source_named(engine, wish.source.clone())?;
    let external_id =
        wish.user.as_deref().map(str::trim).filter(|user| is_name(user)).ok_or(InviteError::NoSuchUser)?;
    let connect = source.aggregator.connect();
    if connect.needs_email() && !has_email {
        return Err(InviteError::EmailNeeded.into());
    }
    let (source_id, wanted) = (source.source_id, external_id.to_owned());
    let known_as = engine.store().read(move |txn| txn.user_by_external_id(source_id, &wanted)).await?;
    let name = |name: &Option<Private>| name.as_ref().map(|name| name.0.trim()).filter(|n| is_name(n)).map(Secret::new);
    let (first_name, last_name) = (name(&wish.first_name), name(&wish.last_name));
    let customer = Customer {
        external_id,
        known_as: known_as.as_deref(),
        first_name: first_name.as_ref(),
        last_name: last_name.as_ref(),
    };
    let user = connect.user(&CallContext::new(Lane::Person), &customer).await?;
    let now = engine.clock().now();
    let user_id = engine
        .store()
        .write(move |txn| {
            let user_id = txn.put_user(source_id, &user, now)?;
            txn.user_is_there(user_id)?;
            Ok(user_id)
        })
        .await?;
    Ok(Invitee { source, user_id, link_id: None })
}

/// Takes back the invite of an address.
pub(super) async fn revoke(engine: &Engine, address: &Private) -> Result<Done, OrderError> {
    let token = address.0.trim().trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let (token, now) = (TokenHash::of(&Secret::new(token)), engine.clock().now());
    if !engine.store().write(move |txn| txn.revoke_invite(token, now)).await? {
        return Err(InviteError::NoSuchInvite.into());
    }
    Ok(Done { message: "the invite is taken back; its address opens nothing any more".to_owned(), ..Done::default() })
}

/// Where the invite with a token is answered.
fn address(public: &PublicConfig, token: &Secret) -> String {
    format!("{}/connect/{}", public.url.as_str().trim_end_matches('/'), token.expose())
}

fn new_token() -> Result<Secret, InviteError> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(bytes)))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= MAX_NAME_CHARS && !text.contains(char::is_control)
}

/// Reads an address as far as it must be one: the aggregator writes to it, we never do.
fn read_email(text: &str) -> Result<Secret, InviteError> {
    let text = text.trim();
    let is_plain = text.len() <= MAX_EMAIL_BYTES && !text.contains(|c: char| c.is_control() || c.is_whitespace());
    let has_both = text.rsplit_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    if is_plain && has_both { Ok(Secret::new(text)) } else { Err(InviteError::NotAnEmail) }
}
