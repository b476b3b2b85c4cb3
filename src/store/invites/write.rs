//! Writing invites: made, begun, used up, taken back.

use jiff::Timestamp;
use rusqlite::named_params;

use super::{MAX_BEGINNINGS, NewInvite, TokenHash};
use crate::secret::Place;
use crate::store::{StoreError, WriteTxn, ms};

impl WriteTxn<'_> {
    /// Stores a new invite and returns our id; those that are over lose what was sealed in them.
    pub fn make_invite(&self, new: &NewInvite, now: Timestamp) -> Result<i64, StoreError> {
        self.tidy_invites(now)?;
        self.execute(
            "INSERT INTO invites (token_hash, source_id, user_id, link_id, created_at, expires_at)
             VALUES (:token, :source_id, :user_id, :link_id, :now, :expires_at)",
            named_params! {
                ":token": new.token.0, ":source_id": new.source_id, ":user_id": new.user_id, ":link_id": new.link_id,
                ":now": ms(now), ":expires_at": ms(new.expires_at),
            },
        )?;
        let invite_id = self.txn.last_insert_rowid();
        if let Some(email) = &new.email {
            let (table, column, row_id) = ("invites", "email_sealed", invite_id);
            let sealed = self
                .sealer
                .seal(Place { table, column, row_id }, email.expose().as_bytes())
                .map_err(|source| StoreError::Sealed { table, column, row_id, source })?;
            self.execute(
                "UPDATE invites SET email_sealed = :sealed WHERE invite_id = :invite_id",
                named_params! { ":sealed": sealed, ":invite_id": invite_id },
            )?;
        }
        Ok(invite_id)
    }

    /// Counts a beginning, before anything is sent for it.
    ///
    /// Shape: whether it may go on; not if the invite is over or was begun too often.
    pub fn begin_invite(&self, invite_id: i64, context: TokenHash, now: Timestamp) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE invites SET begun_at = :now, beginnings = beginnings + 1, context_hash = :context
             WHERE invite_id = :invite_id AND used_at IS NULL AND revoked_at IS NULL AND expires_at > :now
               AND beginnings < :most",
            named_params! {
                ":now": ms(now), ":context": context.0, ":invite_id": invite_id, ":most": MAX_BEGINNINGS,
            },
        )?;
        Ok(changed == 1)
    }

    /// Uses an invite up; called in the transaction that stores the link it led to. What the way back must carry stays until the
    /// invite's time is over: a look may be quicker than the customer, who then comes back to an invite that is used.
    ///
    /// Shape: whether it was still there to be used; not if another connection used it up, or an operator took it back.
    pub fn use_invite(&self, invite_id: i64, now: Timestamp) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE invites SET used_at = :now, email_sealed = NULL, last_error = NULL
             WHERE invite_id = :invite_id AND used_at IS NULL AND revoked_at IS NULL",
            named_params! { ":now": ms(now), ":invite_id": invite_id },
        )?;
        Ok(changed == 1)
    }

    /// Notes which link an invite led to.
    pub fn invite_led_to(&self, invite_id: i64, link_id: i64) -> Result<(), StoreError> {
        self.execute(
            "UPDATE invites SET connected_link_id = :link_id WHERE invite_id = :invite_id",
            named_params! { ":link_id": link_id, ":invite_id": invite_id },
        )?;
        Ok(())
    }

    /// Uses up a customer's invites that a look at the customer's links proves to have worked.
    ///
    /// Shape: how many. One to repair has worked when its link needs nobody since it was begun; one to connect when a link was
    /// first seen since then, and each link counts for one invite.
    pub fn settle_invites(&self, user_id: i64, now: Timestamp) -> Result<usize, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT v.invite_id, coalesce(
                        (SELECT l.link_id FROM links l
                         WHERE l.link_id = v.link_id AND l.attention IS NULL AND l.removed_at IS NULL
                           AND l.condition_at >= v.begun_at),
                        (SELECT min(l.link_id) FROM links l
                         WHERE v.link_id IS NULL AND l.user_id = v.user_id AND l.removed_at IS NULL
                           AND l.first_seen_at >= v.begun_at AND l.first_seen_at < v.expires_at
                           AND NOT EXISTS (SELECT 1 FROM invites o WHERE o.connected_link_id = l.link_id))) AS found
             FROM invites v
             WHERE v.user_id = :user_id AND v.begun_at IS NOT NULL AND v.used_at IS NULL AND v.revoked_at IS NULL
             ORDER BY v.begun_at DESC",
        )?;
        let open: Vec<(i64, Option<i64>)> = select
            .query_map(named_params! { ":user_id": user_id }, |row| Ok((row.get("invite_id")?, row.get("found")?)))?
            .collect::<Result<_, _>>()?;
        let mut taken = Vec::new();
        for (invite_id, found) in open {
            if let Some(link_id) = found.filter(|link_id| !taken.contains(link_id))
                && self.use_invite(invite_id, now)?
            {
                self.invite_led_to(invite_id, link_id)?;
                taken.push(link_id);
            }
        }
        Ok(taken.len())
    }

    /// Notes what the customer ran into.
    pub fn invite_failed(&self, invite_id: i64, error: &str) -> Result<(), StoreError> {
        self.execute(
            "UPDATE invites SET last_error = :error WHERE invite_id = :invite_id AND used_at IS NULL",
            named_params! { ":error": error, ":invite_id": invite_id },
        )?;
        Ok(())
    }

    /// Takes back the invite that a token opens, if it is neither used nor taken back.
    ///
    /// Shape: whether there was one.
    pub fn revoke_invite(&self, token: TokenHash, now: Timestamp) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE invites SET revoked_at = :now, email_sealed = NULL, context_hash = NULL
             WHERE token_hash = :token AND used_at IS NULL AND revoked_at IS NULL",
            named_params! { ":now": ms(now), ":token": token.0 },
        )?;
        Ok(changed == 1)
    }

    /// Takes back the open invites to repair a link, because an operator took the link out.
    pub fn revoke_invites_of_link(&self, link_id: i64, now: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "UPDATE invites SET revoked_at = :now, email_sealed = NULL, context_hash = NULL
             WHERE link_id = :link_id AND used_at IS NULL AND revoked_at IS NULL",
            named_params! { ":now": ms(now), ":link_id": link_id },
        )?;
        Ok(())
    }

    /// Wipes what was sealed in invites whose time is over.
    ///
    /// Shape: how many had something.
    pub fn tidy_invites(&self, now: Timestamp) -> Result<usize, StoreError> {
        Ok(self.execute(
            "UPDATE invites SET email_sealed = NULL, context_hash = NULL
             WHERE expires_at <= :now AND (email_sealed IS NOT NULL OR context_hash IS NOT NULL)",
            named_params! { ":now": ms(now) },
        )?)
    }
}
