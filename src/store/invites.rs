//! Invites: what a customer was sent to connect a bank or repair a link, and what became of it.
//!
//! An invite is known by the SHA-256 of the token in its address, and by nothing else. What must stay true: it leads to one
//! connection at most, noted in the transaction that stores the link; it is begun at most [`MAX_BEGINNINGS`] times; and
//! what was sealed in it for the way goes when it is over.

mod write;

use jiff::Timestamp;
use rusqlite::{Row, named_params};
use sha2::{Digest as _, Sha256};

use super::{ReadTxn, StoreError, instant, ms};
use crate::secret::Secret;

/// How often an invite may be begun: each time costs requests at the aggregator.
pub const MAX_BEGINNINGS: u32 = 10;

/// Rows of [`ReadTxn::invites`].
const MAX_REPORTED: usize = 1_000;

/// The hash that stands for a token or a context. Compared by the store's index or in constant time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a token.
    pub fn of(token: &Secret) -> Self {
        Self(Sha256::digest(token.expose().as_bytes()).into())
    }

    /// Its bytes, for a comparison that takes as long for every other hash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// An invite to be made.
#[derive(Debug)]
pub struct NewInvite {
    /// The token in its address, hashed.
    pub token: TokenHash,
    /// The source.
    pub source_id: i64,
    /// The customer.
    pub user_id: i64,
    /// The link to repair; `None`: a bank is connected.
    pub link_id: Option<i64>,
    /// The customer's e-mail address.
    pub email: Option<Secret>,
    /// Until when it may be used.
    pub expires_at: Timestamp,
}

/// How an invite stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InviteState {
    /// It may be begun.
    Open,
    /// It led to a connection.
    Used,
    /// An operator took it back.
    Revoked,
    /// Its time is over.
    Expired,
    /// It was begun as often as it may be.
    Exhausted,
}

/// An invite as whoever answers its address needs it.
#[derive(Debug, Clone)]
pub struct Invite {
    /// Our id.
    pub invite_id: i64,
    /// The source.
    pub source_id: i64,
    /// The customer.
    pub user_id: i64,
    /// The aggregator's id of the customer.
    pub upstream_user_id: String,
    /// The link to repair; `None`: a bank is connected.
    pub link_id: Option<i64>,
    /// The name of the bank to repair, where it is known.
    pub institution: Option<String>,
    /// The customer's e-mail address.
    pub email: Option<Secret>,
    /// What the way back must carry, hashed; `None`: not begun, or no such way.
    pub context_hash: Option<Vec<u8>>,
    /// How it stands.
    pub state: InviteState,
    /// Until when it may be used.
    pub expires_at: Timestamp,
    /// When it was last begun.
    pub begun_at: Option<Timestamp>,
}

/// An invite as reports show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteRow {
    /// Our id.
    pub invite_id: i64,
    /// The source's name.
    pub source: String,
    /// The customer: the organisation's id, else the aggregator's.
    pub user: String,
    /// The link to repair; `None`: a bank is connected.
    pub link_id: Option<i64>,
    /// How it stands.
    pub state: InviteState,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it may be used.
    pub expires_at: Timestamp,
    /// When it was last begun.
    pub begun_at: Option<Timestamp>,
    /// How often it was begun.
    pub beginnings: u32,
    /// When it led to a connection.
    pub used_at: Option<Timestamp>,
    /// To which link.
    pub connected_link_id: Option<i64>,
    /// What the customer last ran into.
    pub last_error: Option<String>,
}

/// What the state is told from; `now` is a parameter of the query.
const STATE: &str = "CASE WHEN v.used_at IS NOT NULL THEN 'used' WHEN v.revoked_at IS NOT NULL THEN 'revoked'
          WHEN v.expires_at <= :now THEN 'expired' WHEN v.beginnings >= :most THEN 'exhausted' ELSE 'open' END AS state";

fn state_of(row: &Row<'_>) -> Result<InviteState, StoreError> {
    let word: String = row.get("state")?;
    match word.as_str() {
        "open" => Ok(InviteState::Open),
        "used" => Ok(InviteState::Used),
        "revoked" => Ok(InviteState::Revoked),
        "expired" => Ok(InviteState::Expired),
        "exhausted" => Ok(InviteState::Exhausted),
        _ => Err(StoreError::UnknownWord { column: "invites.state", value: word }),
    }
}

fn maybe_instant(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(instant))
}

impl ReadTxn<'_> {
    /// The invite that a token opens, however it stands; `None`: there is none.
    pub fn invite(&self, token: TokenHash, now: Timestamp) -> Result<Option<Invite>, StoreError> {
        let mut select = self.txn.prepare_cached(&format!(
            "SELECT v.invite_id, v.source_id, v.user_id, u.upstream_id AS upstream_user_id, v.link_id, i.name AS institution,
                    v.email_sealed, v.context_hash, v.expires_at, v.begun_at, {STATE}
             FROM invites v JOIN users u ON u.user_id = v.user_id
             LEFT JOIN links l ON l.link_id = v.link_id
             LEFT JOIN institutions i ON i.institution_id = l.institution_id
             WHERE v.token_hash = :token"
        ))?;
        let mut rows = select.query(named_params! { ":token": token.0, ":now": ms(now), ":most": MAX_BEGINNINGS })?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let invite_id: i64 = row.get("invite_id")?;
        let sealed: Option<Vec<u8>> = row.get("email_sealed")?;
        let email = sealed.map(|s| self.unseal("invites", "email_sealed", invite_id, &s)).transpose()?.flatten();
        Ok(Some(Invite {
            invite_id,
            source_id: row.get("source_id")?,
            user_id: row.get("user_id")?,
            upstream_user_id: row.get("upstream_user_id")?,
            link_id: row.get("link_id")?,
            institution: row.get("institution")?,
            email,
            context_hash: row.get("context_hash")?,
            state: state_of(row)?,
            expires_at: instant(row.get("expires_at")?),
            begun_at: maybe_instant(row, "begun_at")?,
        }))
    }

    /// The invites made last, the newest first.
    ///
    /// Shape: at most a thousand; with `link_id` only those to repair that link.
    pub fn invites(&self, link_id: Option<i64>, now: Timestamp) -> Result<Vec<InviteRow>, StoreError> {
        let mut select = self.txn.prepare_cached(&format!(
            "SELECT v.invite_id, s.name AS source, coalesce(u.external_id, u.upstream_id) AS user, v.link_id, v.created_at,
                    v.expires_at, v.begun_at, v.beginnings, v.used_at, v.connected_link_id, v.last_error, {STATE}
             FROM invites v JOIN users u ON u.user_id = v.user_id JOIN sources s ON s.source_id = v.source_id
             WHERE :link_id IS NULL OR v.link_id = :link_id
             ORDER BY v.invite_id DESC LIMIT :limit"
        ))?;
        let mut rows = select.query(named_params! {
            ":link_id": link_id, ":limit": MAX_REPORTED, ":now": ms(now), ":most": MAX_BEGINNINGS,
        })?;
        let mut invites = Vec::new();
        while let Some(row) = rows.next()? {
            invites.push(InviteRow {
                invite_id: row.get("invite_id")?,
                source: row.get("source")?,
                user: row.get("user")?,
                link_id: row.get("link_id")?,
                state: state_of(row)?,
                created_at: instant(row.get("created_at")?),
                expires_at: instant(row.get("expires_at")?),
                begun_at: maybe_instant(row, "begun_at")?,
                beginnings: row.get("beginnings")?,
                used_at: maybe_instant(row, "used_at")?,
                connected_link_id: row.get("connected_link_id")?,
                last_error: row.get("last_error")?,
            });
        }
        Ok(invites)
    }

    /// A customer's links that an invite begun at `begun_at` can have led to: (the aggregator's id, is it news).
    ///
    /// Shape: every stored link of the customer; news is what was first seen since then.
    pub fn links_known_to(&self, user_id: i64, begun_at: Timestamp) -> Result<Vec<(String, bool)>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT upstream_id, first_seen_at >= :begun_at AS is_news FROM links WHERE user_id = :user_id ORDER BY link_id",
        )?;
        let rows = select.query_map(named_params! { ":user_id": user_id, ":begun_at": ms(begun_at) }, |row| {
            Ok((row.get("upstream_id")?, row.get("is_news")?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
