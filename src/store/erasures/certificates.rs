//! Certificates that come back: an older copy of the store was restored, and does not know who was forgotten since.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use rusqlite::named_params;

use super::keys::hexadecimal;
use super::{IdKind, UpstreamOutcome};
use crate::store::{ReadTxn, StoreError, WriteTxn, ms};

/// What another copy of this store said of an erasure that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The keyed hash of the aggregator's id of the customer, hexadecimal.
    pub upstream_id_hmac: String,
    /// That of the organisation's own id; `None`: there was none.
    pub external_id_hmac: Option<String>,
    /// When it was ordered.
    pub requested_at: Timestamp,
    /// What came of it at the aggregator.
    pub upstream_outcome: UpstreamOutcome,
    /// When that was.
    pub upstream_at: Option<Timestamp>,
    /// When everything was done.
    pub finished_at: Timestamp,
    /// Rows deleted, by table.
    pub rows: BTreeMap<String, u64>,
}

impl ReadTxn<'_> {
    /// The customers of a source whose ids have one of these hashes: the aggregator's id by its hash.
    pub fn users_hashed_as(
        &self,
        source_id: i64,
        hashes: &HashSet<String>,
    ) -> Result<HashMap<String, String>, StoreError> {
        if hashes.is_empty() {
            return Ok(HashMap::new());
        }
        let key = self.pseudonym_key()?;
        let mut select = self.txn.prepare_cached("SELECT upstream_id FROM users WHERE source_id = :source_id")?;
        let mut found = HashMap::new();
        for id in select.query_map(named_params! { ":source_id": source_id }, |row| row.get::<_, String>(0))? {
            let id = id?;
            let hash = hexadecimal(&key.of(IdKind::User.as_str(), &id));
            if hashes.contains(&hash) {
                found.insert(hash, id);
            }
        }
        Ok(found)
    }
}

impl WriteTxn<'_> {
    /// Takes back the certificate of somebody who is not here: from now on nobody stores them again, and their id proves it.
    ///
    /// Shape: whether it was not known. The ids of their links are not in it, and are not needed: no link is stored without its
    /// customer.
    pub fn take_back_certificate(&self, source_id: i64, certificate: &Certificate) -> Result<bool, StoreError> {
        let mut known = self.txn.prepare_cached(
            "SELECT 1 FROM forgotten_ids WHERE source_id = :source_id AND kind = 'user' AND id_hash = unhex(:hash)",
        )?;
        if known.exists(named_params! { ":source_id": source_id, ":hash": certificate.upstream_id_hmac })? {
            return Ok(false);
        }
        let rows = serde_json::to_string(&certificate.rows).unwrap_or_else(|_| "{}".to_owned());
        self.execute(
            "INSERT INTO erasures (source_id, requested_at, upstream_outcome, upstream_at, erased_at, rewritten_at,
                                   overwritten_at, finished_at, rows_deleted, next_try_at)
             VALUES (:source_id, :requested_at, :outcome, :upstream_at, :finished_at, :finished_at,
                     :finished_at, :finished_at, :rows, :finished_at)",
            named_params! {
                ":source_id": source_id, ":requested_at": ms(certificate.requested_at),
                ":outcome": certificate.upstream_outcome.as_str(), ":upstream_at": certificate.upstream_at.map(ms),
                ":finished_at": ms(certificate.finished_at), ":rows": rows,
            },
        )?;
        let erasure_id = self.txn.last_insert_rowid();
        let hashes = [
            (IdKind::User, Some(&certificate.upstream_id_hmac)),
            (IdKind::External, certificate.external_id_hmac.as_ref()),
        ];
        for (kind, hash) in hashes.into_iter().filter_map(|(kind, hash)| Some((kind, hash?))) {
            self.execute(
                "INSERT INTO forgotten_ids (erasure_id, source_id, kind, id_hash)
                 VALUES (:erasure_id, :source_id, :kind, unhex(:hash))",
                named_params! {
                    ":erasure_id": erasure_id, ":source_id": source_id, ":kind": kind.as_str(), ":hash": hash,
                },
            )?;
        }
        Ok(true)
    }
}
