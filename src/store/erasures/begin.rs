//! The order: who is forgotten, written down before anything is deleted, and everything that could go on with them stopped.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, named_params};

use super::IdKind;
use crate::model::UserRecord;
use crate::secret::Place;
use crate::store::{ReadTxn, RemovedBy, StoreError, WriteTxn, ms};

/// A customer as they are named in an order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    user_id: i64,
    record: UserRecord,
}

impl ReadTxn<'_> {
    /// The source with a name, retired or not; `None`: there never was one.
    pub fn source_id_named(&self, name: &str) -> Result<Option<i64>, StoreError> {
        let mut select = self.txn.prepare_cached("SELECT source_id FROM sources WHERE name = :name")?;
        Ok(select.query_row(named_params! { ":name": name }, |row| row.get(0)).optional()?)
    }

    /// Every source that ever was configured: (our id, its name).
    pub fn all_sources(&self) -> Result<Vec<(i64, String)>, StoreError> {
        let mut select = self.txn.prepare_cached("SELECT source_id, name FROM sources ORDER BY source_id")?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Who has this id at a source: the aggregator's, or the organisation's own, which several may have had one after another.
    fn users_named(&self, source_id: i64, id: &str) -> Result<Vec<Named>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT user_id, upstream_id, external_id FROM users
             WHERE source_id = :source_id AND (upstream_id = :id OR external_id = :id) ORDER BY user_id",
        )?;
        let rows = select.query_map(named_params! { ":source_id": source_id, ":id": id }, |row| {
            Ok(Named {
                user_id: row.get("user_id")?,
                record: UserRecord { upstream_id: row.get("upstream_id")?, external_id: row.get("external_id")? },
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl WriteTxn<'_> {
    /// Orders that whoever has this id at a source is forgotten, or finds the order that was given before.
    ///
    /// Shape: our ids of the erasures, usually one; none: no such customer is here or was forgotten.
    /// After a crash: the order is there as a whole, and is carried out by whoever works on the store next.
    pub fn order_erasure(&self, source_id: i64, id: &str, now: Timestamp) -> Result<Vec<i64>, StoreError> {
        let users = self.users_named(source_id, id)?;
        if users.is_empty() {
            return Ok(self.erasure_of(source_id, id)?.into_iter().collect());
        }
        users.iter().map(|user| self.order_erasure_of(source_id, user, now)).collect()
    }

    fn order_erasure_of(&self, source_id: i64, user: &Named, now: Timestamp) -> Result<i64, StoreError> {
        let mut select = self.txn.prepare_cached("SELECT erasure_id FROM erasures WHERE user_id = :user_id")?;
        let open = select.query_row(named_params! { ":user_id": user.user_id }, |row| row.get(0)).optional()?;
        if let Some(open) = open {
            return Ok(open);
        }
        self.execute(
            "INSERT INTO erasures (source_id, user_id, requested_at, next_try_at) VALUES (:source_id, :user_id, :now, :now)",
            named_params! { ":source_id": source_id, ":user_id": user.user_id, ":now": ms(now) },
        )?;
        let erasure_id = self.txn.last_insert_rowid();
        self.seal_upstream_id(erasure_id, &user.record.upstream_id)?;
        self.put_forgotten(erasure_id, IdKind::User, &user.record.upstream_id)?;
        if let Some(external_id) = &user.record.external_id {
            self.put_forgotten(erasure_id, IdKind::External, external_id)?;
        }
        self.stop_everything(erasure_id, source_id, user, now)?;
        Ok(erasure_id)
    }

    /// Has an erasure under way tried now; with `leave_upstream` without asking the aggregator to delete anything.
    pub fn hasten_erasure(&self, erasure_id: i64, leave_upstream: bool, now: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "UPDATE erasures SET next_try_at = :now,
                    upstream_at = iif(:leave AND upstream_outcome IS NULL, :now, upstream_at),
                    upstream_outcome = iif(:leave, coalesce(upstream_outcome, 'left'), upstream_outcome),
                    upstream_id_sealed = iif(:leave, NULL, upstream_id_sealed)
             WHERE erasure_id = :erasure_id AND finished_at IS NULL",
            named_params! { ":now": ms(now), ":leave": leave_upstream, ":erasure_id": erasure_id },
        )?;
        Ok(())
    }

    /// Keeps the hash of an id that is not to be stored again.
    pub fn put_forgotten(&self, erasure_id: i64, kind: IdKind, id: &str) -> Result<(), StoreError> {
        let hash = self.pseudonym_key()?.of(kind.as_str(), id);
        let mut insert = self.txn.prepare_cached(
            "INSERT INTO forgotten_ids (erasure_id, source_id, kind, id_hash)
             SELECT erasure_id, source_id, :kind, :hash FROM erasures WHERE erasure_id = :erasure_id
             ON CONFLICT (source_id, kind, id_hash, erasure_id) DO NOTHING",
        )?;
        insert.execute(named_params! { ":kind": kind.as_str(), ":hash": hash, ":erasure_id": erasure_id })?;
        Ok(())
    }

    fn seal_upstream_id(&self, erasure_id: i64, upstream_id: &str) -> Result<(), StoreError> {
        let place = Place { table: "erasures", column: "upstream_id_sealed", row_id: erasure_id };
        let sealed = self.sealer.seal(place, upstream_id.as_bytes()).map_err(|source| StoreError::Sealed {
            table: place.table,
            column: "upstream_id_sealed",
            row_id: erasure_id,
            source,
        })?;
        self.execute(
            "UPDATE erasures SET upstream_id_sealed = :sealed WHERE erasure_id = :erasure_id",
            named_params! { ":sealed": sealed, ":erasure_id": erasure_id },
        )?;
        Ok(())
    }

    /// Nothing of the customer is due any more: no link, no look, no invite, no message.
    fn stop_everything(&self, erasure_id: i64, source_id: i64, user: &Named, now: Timestamp) -> Result<(), StoreError> {
        let mut texts = vec![user.record.upstream_id.clone()];
        texts.extend(user.record.external_id.clone());
        let mut select = self.txn.prepare_cached("SELECT link_id, upstream_id FROM links WHERE user_id = :user_id")?;
        let links: Vec<(i64, String)> = select
            .query_map(named_params! { ":user_id": user.user_id }, |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        for (link_id, upstream_id) in links {
            self.put_forgotten(erasure_id, IdKind::Link, &upstream_id)?;
            self.remove_link(link_id, RemovedBy::Operator, now)?;
            self.execute(
                "UPDATE alerts SET next_try_at = NULL WHERE link_id = :link_id",
                named_params! { ":link_id": link_id },
            )?;
            texts.push(upstream_id);
        }
        self.remove_user(user.user_id, now)?;
        self.execute(
            "UPDATE invites SET revoked_at = coalesce(revoked_at, :now), email_sealed = NULL WHERE user_id = :user_id",
            named_params! { ":now": ms(now), ":user_id": user.user_id },
        )?;
        for text in texts {
            self.execute(
                "UPDATE sources SET discover_error = NULL WHERE source_id = :source_id AND instr(discover_error, :text) > 0",
                named_params! { ":source_id": source_id, ":text": text },
            )?;
        }
        Ok(())
    }
}
