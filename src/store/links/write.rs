//! Writing links: what an aggregator says about them.

use jiff::Timestamp;
use rusqlite::{named_params, params};

use super::{NewLink, RemovedBy, Upserted};
use crate::model::{Attention, Condition, InstitutionRecord, LinkHealth, LinkRecord, UserRecord};
use crate::secret::{Place, Secret};
use crate::store::{IdKind, Outcome, StoreError, WriteTxn, ms};

impl WriteTxn<'_> {
    /// Stores a customer and returns our id.
    ///
    /// Errors: [`StoreError::Forgotten`] for one who was forgotten; whoever has a list passes over them.
    pub fn put_user(&self, source_id: i64, user: &UserRecord, now: Timestamp) -> Result<i64, StoreError> {
        if self.is_forgotten(source_id, IdKind::User, &user.upstream_id)? {
            return Err(StoreError::Forgotten);
        }
        let mut upsert = self.txn.prepare_cached(
            "INSERT INTO users (user_id, source_id, upstream_id, external_id, first_seen_at)
             VALUES ((SELECT max(value, (SELECT coalesce(max(user_id), 0) FROM users)) + 1
                      FROM store_meta WHERE name = 'last_user_id'),
                 :source_id, :upstream_id, :external_id, :now)
             ON CONFLICT (source_id, upstream_id) DO UPDATE SET external_id = excluded.external_id
                 WHERE excluded.external_id IS NOT NULL AND external_id IS NOT excluded.external_id",
        )?;
        upsert.execute(named_params! {
            ":source_id": source_id, ":upstream_id": user.upstream_id, ":external_id": user.external_id, ":now": ms(now),
        })?;
        let mut select = self
            .txn
            .prepare_cached("SELECT user_id FROM users WHERE source_id = :source_id AND upstream_id = :upstream_id")?;
        Ok(select
            .query_row(named_params! { ":source_id": source_id, ":upstream_id": user.upstream_id }, |row| row.get(0))?)
    }

    fn put_institution(&self, source_id: i64, institution: &InstitutionRecord) -> Result<i64, StoreError> {
        let mut upsert = self.txn.prepare_cached(
            "INSERT INTO institutions (aggregator, upstream_id, name)
             SELECT aggregator, :upstream_id, :name FROM sources WHERE source_id = :source_id
             ON CONFLICT (aggregator, upstream_id) DO UPDATE SET name = excluded.name
                 WHERE excluded.name IS NOT NULL AND name IS NOT excluded.name",
        )?;
        upsert.execute(named_params! {
            ":source_id": source_id, ":upstream_id": institution.upstream_id, ":name": institution.name,
        })?;
        let mut select = self.txn.prepare_cached(
            "SELECT institution_id FROM institutions
             WHERE upstream_id = :upstream_id AND aggregator = (SELECT aggregator FROM sources WHERE source_id = :source_id)",
        )?;
        Ok(select
            .query_row(named_params! { ":source_id": source_id, ":upstream_id": institution.upstream_id }, |row| {
                row.get(0)
            })?)
    }

    /// Stores what an aggregator says about a link. A new one is due at once for its backfill.
    ///
    /// Shape: an access token that the answer does not carry leaves the stored one alone.
    pub fn put_link(&self, source_id: i64, new: &NewLink, now: Timestamp) -> Result<Upserted, StoreError> {
        let user_id = self.put_user(source_id, &new.user, now)?;
        let institution_id = new.link.institution.as_ref().map(|i| self.put_institution(source_id, i)).transpose()?;
        let upstream_id = &new.link.upstream_id;
        let mut insert = self.txn.prepare_cached(
            "INSERT INTO links (link_id, source_id, user_id, institution_id, upstream_id, due_at, due_cause, first_seen_at)
             VALUES ((SELECT max(value, (SELECT coalesce(max(link_id), 0) FROM links)) + 1
                      FROM store_meta WHERE name = 'last_link_id'),
                 :source_id, :user_id, :institution_id, :upstream_id, :now, 'backfill', :now)
             ON CONFLICT (source_id, upstream_id) DO NOTHING",
        )?;
        let is_new = insert.execute(named_params! {
            ":source_id": source_id, ":user_id": user_id, ":institution_id": institution_id,
            ":upstream_id": upstream_id, ":now": ms(now),
        })? == 1;
        let mut select = self
            .txn
            .prepare_cached("SELECT link_id FROM links WHERE source_id = :source_id AND upstream_id = :upstream_id")?;
        let link_id: i64 = select
            .query_row(named_params! { ":source_id": source_id, ":upstream_id": upstream_id }, |row| row.get(0))?;
        if !is_new {
            let mut update = self.txn.prepare_cached(
                "UPDATE links SET institution_id = coalesce(:institution_id, institution_id), user_id = :user_id
                 WHERE link_id = :link_id
                   AND (institution_id IS NOT coalesce(:institution_id, institution_id) OR user_id <> :user_id)",
            )?;
            update.execute(named_params! {
                ":institution_id": institution_id, ":user_id": user_id, ":link_id": link_id,
            })?;
        }
        if let Some(token) = &new.link.access_token {
            self.set_access_token(link_id, token)?;
        }
        if new.link.is_removed {
            self.remove_link(link_id, RemovedBy::Aggregator, now)?;
        } else {
            self.return_link(link_id, RemovedBy::Aggregator, now)?;
            self.set_link_health(link_id, &new.link.health, now)?;
            self.set_link_times(link_id, &new.link)?;
        }
        Ok(Upserted { link_id, is_new })
    }

    fn set_access_token(&self, link_id: i64, token: &Secret) -> Result<(), StoreError> {
        let place = Place { table: "links", column: "access_token_sealed", row_id: link_id };
        let sealed_error =
            |source| StoreError::Sealed { table: "links", column: "access_token_sealed", row_id: link_id, source };
        match self.link_state(link_id) {
            Ok(state) if state.access_token.as_ref().is_some_and(|t| t.expose() == token.expose()) => return Ok(()),
            // One that does not open is replaced like an old one.
            Ok(_) | Err(StoreError::Sealed { .. }) => {}
            Err(error) => return Err(error),
        }
        let sealed = self.sealer.seal(place, token.expose().as_bytes()).map_err(sealed_error)?;
        self.execute("UPDATE links SET access_token_sealed = ?1 WHERE link_id = ?2", params![sealed, link_id])?;
        Ok(())
    }

    /// Notes when the aggregator read the bank, and until when the customer's consent lasts.
    fn set_link_times(&self, link_id: i64, link: &LinkRecord) -> Result<(), StoreError> {
        let mut update = self.txn.prepare_cached(
            "UPDATE links SET refreshed_at = coalesce(:refreshed_at, refreshed_at), tried_at = coalesce(:tried_at, tried_at),
                 consent_warned_days = iif(:consent IS NULL OR consent_expires_at IS :consent, consent_warned_days, NULL),
                 consent_expires_at = coalesce(:consent, consent_expires_at)
             WHERE link_id = :link_id
               AND (refreshed_at IS NOT coalesce(:refreshed_at, refreshed_at)
                    OR tried_at IS NOT coalesce(:tried_at, tried_at)
                    OR consent_expires_at IS NOT coalesce(:consent, consent_expires_at))",
        )?;
        update.execute(named_params! {
            ":refreshed_at": link.refreshed_at.map(ms), ":tried_at": link.tried_at.map(ms),
            ":consent": link.consent_expires_at.map(ms), ":link_id": link_id,
        })?;
        Ok(())
    }

    /// Notes up to which try of the aggregator a link's accounts are stored.
    pub fn set_read_tried_at(&self, link_id: i64, tried_at: Option<Timestamp>) -> Result<(), StoreError> {
        let mut update =
            self.txn.prepare_cached("UPDATE links SET read_tried_at = :tried_at WHERE link_id = :link_id")?;
        update.execute(named_params! { ":tried_at": tried_at.map(ms), ":link_id": link_id })?;
        Ok(())
    }

    /// Takes the warnings about a customer's consents that are due and not yet given, and notes that they are.
    ///
    /// Shape: (our link id, whole days left) for each link of the customer whose consent ends within one of `days_ahead` for
    /// the first time.
    pub fn take_consent_warnings(
        &self,
        user_id: i64,
        days_ahead: &[i64],
        now: Timestamp,
    ) -> Result<Vec<(i64, i64)>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT link_id, (consent_expires_at - :now) / 86400000 AS days_left, consent_warned_days
             FROM links WHERE user_id = :user_id AND removed_at IS NULL AND consent_expires_at > :now",
        )?;
        let mut warnings = Vec::new();
        let mut rows = select.query(named_params! { ":now": ms(now), ":user_id": user_id })?;
        while let Some(row) = rows.next()? {
            let (link_id, days_left): (i64, i64) = (row.get("link_id")?, row.get("days_left")?);
            let warned: Option<i64> = row.get("consent_warned_days")?;
            let stage = days_ahead.iter().copied().filter(|days| days_left < *days).min();
            if let Some(stage) = stage.filter(|stage| warned.is_none_or(|warned| *stage < warned)) {
                warnings.push((link_id, days_left, stage));
            }
        }
        drop(rows);
        let mut update =
            self.txn.prepare_cached("UPDATE links SET consent_warned_days = :stage WHERE link_id = :link_id")?;
        for (link_id, _, stage) in &warnings {
            update.execute(named_params! { ":stage": stage, ":link_id": link_id })?;
        }
        Ok(warnings.into_iter().map(|(link_id, days_left, _)| (link_id, days_left)).collect())
    }

    /// Notes what the aggregator says about the connection. A repaired link is due at once.
    pub fn set_link_health(&self, link_id: i64, health: &LinkHealth, now: Timestamp) -> Result<(), StoreError> {
        let mut update = self.txn.prepare_cached(
            "UPDATE links SET
                 due_at = iif(:attention IS NULL AND attention IS NOT NULL AND phase = 'idle', min(due_at, :now), due_at),
                 upstream_status = coalesce(:status, upstream_status),
                 attention_at = CASE WHEN :attention IS NULL THEN NULL
                                     WHEN attention IS :attention THEN attention_at ELSE :now END,
                 attention_detail = iif(:attention IS NULL, NULL, coalesce(:detail, :status, attention_detail)),
                 attention = :attention,
                 condition_at = iif(condition = :condition AND (NOT :is_timed OR upstream_status || ' ' GLOB :code || ' *'),
                                    condition_at, :now),
                 condition = :condition,
                 status_detail = :detail
             WHERE link_id = :link_id
               AND (attention IS NOT :attention OR upstream_status IS NOT coalesce(:status, upstream_status)
                    OR condition <> :condition OR status_detail IS NOT :detail)",
        )?;
        update.execute(named_params! {
            ":attention": health.condition.attention().map(Attention::as_str), ":status": health.upstream_status,
            ":condition": health.condition.as_str(), ":detail": health.detail, ":now": ms(now), ":link_id": link_id,
            // What is only borne for a while is timed by itself, whatever else passes by itself came before it.
            ":is_timed": matches!(health.condition, Condition::Passing { patience: Some(_) }), ":code": health.code(),
        })?;
        Ok(())
    }

    /// Notes that the link is gone, at the aggregator or by an operator's decision; its history stays.
    ///
    /// Shape: whether that changed anything.
    pub fn remove_link(&self, link_id: i64, by: RemovedBy, now: Timestamp) -> Result<bool, StoreError> {
        self.close_open_sync(link_id, Outcome::Ok, "the link was removed during this sync", now)?;
        let changed = self.execute(
            "UPDATE links SET removed_at = :now, removed_by = :by, phase = 'idle', sync_id = NULL, hold_until = NULL,
                    hold_reason = NULL, asked_cause = NULL
             WHERE link_id = :link_id AND removed_at IS NULL",
            named_params! { ":now": ms(now), ":by": by.as_str(), ":link_id": link_id },
        )?;
        Ok(changed == 1)
    }

    /// Takes back a removal made by `by`: the aggregator shows the link again, or the operator wants it back.
    ///
    /// Shape: whether that changed anything.
    pub fn return_link(&self, link_id: i64, by: RemovedBy, now: Timestamp) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE links SET removed_at = NULL, removed_by = NULL, due_at = :now, due_cause = 'schedule', wants_full = 1
             WHERE link_id = :link_id AND removed_by = :by",
            named_params! { ":now": ms(now), ":by": by.as_str(), ":link_id": link_id },
        )?;
        Ok(changed == 1)
    }

    /// Notes that the aggregator refuses refreshes of this link until then.
    pub fn hold_refresh(&self, link_id: i64, until: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "UPDATE links SET refresh_hold_until = :until WHERE link_id = :link_id",
            named_params! { ":until": ms(until), ":link_id": link_id },
        )?;
        Ok(())
    }

    /// Notes that account numbers were read, or cannot be.
    pub fn numbers_checked(&self, link_id: i64, now: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "UPDATE links SET numbers_checked_at = :now WHERE link_id = :link_id",
            named_params! { ":now": ms(now), ":link_id": link_id },
        )?;
        Ok(())
    }
}
