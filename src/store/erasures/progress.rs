//! How far an erasure is: at the aggregator, here, in the file itself.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, named_params};

use super::UpstreamOutcome;
use crate::secret::{Place, Secret};
use crate::store::{ReadTxn, StoreError, WriteTxn, ms};

impl ReadTxn<'_> {
    /// The aggregator's id of the customer of an erasure; `None`: it is no longer needed there.
    pub fn upstream_id_to_delete(&self, erasure_id: i64) -> Result<Option<Secret>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT upstream_id_sealed FROM erasures
             WHERE erasure_id = :erasure_id AND upstream_outcome IS NULL AND upstream_id_sealed IS NOT NULL",
        )?;
        let sealed: Option<Vec<u8>> =
            select.query_row(named_params! { ":erasure_id": erasure_id }, |row| row.get(0)).optional()?;
        let Some(sealed) = sealed else { return Ok(None) };
        let place = Place { table: "erasures", column: "upstream_id_sealed", row_id: erasure_id };
        let opened = self.sealer.open(place, &sealed).map_err(|source| StoreError::Sealed {
            table: place.table,
            column: "upstream_id_sealed",
            row_id: erasure_id,
            source,
        })?;
        Ok(Some(Secret::new(String::from_utf8_lossy(&opened).into_owned())))
    }

    /// How many attempts did not bring an erasure on, one after another.
    pub fn erasure_tries(&self, erasure_id: i64) -> Result<u32, StoreError> {
        let mut select = self.txn.prepare_cached("SELECT tries FROM erasures WHERE erasure_id = :erasure_id")?;
        let tries = select.query_row(named_params! { ":erasure_id": erasure_id }, |row| row.get("tries"));
        Ok(tries.optional()?.unwrap_or_default())
    }

    /// Whether rows were deleted whose traces the file may still hold, and whether only its write-ahead log may.
    ///
    /// Shape: (the file must be rewritten, the log must be emptied).
    pub fn traces_left(&self) -> Result<(bool, bool), StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT coalesce(max(rewritten_at IS NULL), 0) AS in_file, count(*) > 0 AS in_log
             FROM erasures WHERE erased_at IS NOT NULL AND overwritten_at IS NULL",
        )?;
        Ok(select.query_row([], |row| Ok((row.get("in_file")?, row.get("in_log")?)))?)
    }
}

impl WriteTxn<'_> {
    /// Notes what came of an erasure at the aggregator; its id of the customer is not needed any more.
    pub fn erased_upstream(&self, erasure_id: i64, outcome: UpstreamOutcome, now: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "UPDATE erasures SET upstream_outcome = :outcome, upstream_at = :now, upstream_id_sealed = NULL, tries = 0,
                    last_error = NULL
             WHERE erasure_id = :erasure_id AND upstream_outcome IS NULL",
            named_params! { ":outcome": outcome.as_str(), ":now": ms(now), ":erasure_id": erasure_id },
        )?;
        Ok(())
    }

    /// Notes why an erasure could not be brought on, and when it is tried again. A limit is no failure.
    pub fn erasure_held_up(
        &self,
        erasure_id: i64,
        error: &str,
        is_failure: bool,
        next: Timestamp,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE erasures SET tries = tries + :is_failure, last_error = :error, next_try_at = :next
             WHERE erasure_id = :erasure_id AND finished_at IS NULL",
            named_params! {
                ":is_failure": is_failure, ":error": error, ":next": ms(next), ":erasure_id": erasure_id,
            },
        )?;
        Ok(())
    }

    /// Notes that the file was rewritten: what lay in its gaps before is in the write-ahead log at most.
    pub fn file_rewritten(&self, now: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "UPDATE erasures SET rewritten_at = :now WHERE erased_at IS NOT NULL AND rewritten_at IS NULL",
            named_params! { ":now": ms(now) },
        )?;
        Ok(())
    }

    /// Notes that the write-ahead log was empty after the file was rewritten.
    pub fn traces_overwritten(&self, now: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "UPDATE erasures SET overwritten_at = :now WHERE rewritten_at IS NOT NULL AND overwritten_at IS NULL",
            named_params! { ":now": ms(now) },
        )?;
        Ok(())
    }

    /// Ends every erasure of which nothing is left to do.
    ///
    /// Shape: our ids of those that ended now.
    pub fn finish_erasures(&self, now: Timestamp) -> Result<Vec<i64>, StoreError> {
        let mut update = self.txn.prepare_cached(
            "UPDATE erasures SET finished_at = :now, tries = 0, last_error = NULL
             WHERE finished_at IS NULL AND upstream_outcome IS NOT NULL AND erased_at IS NOT NULL AND overwritten_at IS NOT NULL
             RETURNING erasure_id",
        )?;
        let rows = update.query_map(named_params! { ":now": ms(now) }, |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
