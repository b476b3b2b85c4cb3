//! Names for what rows and links only number: categories and banks, read along with discovery.

use jiff::{SignedDuration, Timestamp};

use super::{Engine, Source, Stop};
use crate::aggregator::{CallContext, CallError};
use crate::store::StoreError;

/// How long what a list of banks says is believed: names hardly ever change, and whether a bank can be reached is also told
/// by its links.
const INSTITUTION_LASTS: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Before any instant at which a bank was asked about.
const NEVER_READ: Timestamp = Timestamp::UNIX_EPOCH;

impl Engine {
    /// Reads the aggregator's categories, and the banks behind links that were not asked about for long.
    pub(super) async fn read_catalog(&self, source: &Source, context: &CallContext) -> Result<(), Stop> {
        let Some(catalog) = source.aggregator.catalog() else {
            return Ok(());
        };
        let categories = catalog.categories(context).await?;
        let (now, source_id) = (self.clock.now(), source.source_id);
        self.store.write(move |txn| txn.put_categories(source_id, &categories)).await?;
        self.read_banks(source, context, now.saturating_sub(INSTITUTION_LASTS).unwrap_or(now)).await
    }

    /// Reads the banks behind links that only have a number so far. What cannot be read now is left to discovery.
    ///
    /// Errors: the store's.
    pub(super) async fn name_new_banks(&self, source: &Source, context: &CallContext) -> Result<(), StoreError> {
        match self.read_banks(source, context, NEVER_READ).await {
            Err(Stop::Store(error)) => Err(error),
            Err(error) => {
                tracing::debug!(source = %source.name, %error, "a new bank has no name yet");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Reads the banks that were not asked about since `since`.
    async fn read_banks(&self, source: &Source, context: &CallContext, since: Timestamp) -> Result<(), Stop> {
        let Some(catalog) = source.aggregator.catalog() else {
            return Ok(());
        };
        let (now, source_id) = (self.clock.now(), source.source_id);
        let institutions = self.store.read(move |txn| txn.institutions_to_check(source_id, since)).await?;
        for upstream_id in institutions {
            let institution = match catalog.institution(context, &upstream_id).await {
                Ok(institution) => institution,
                // A bank that is gone keeps the name it had.
                Err(CallError::Gone(_)) => crate::model::InstitutionRecord { upstream_id, ..Default::default() },
                Err(error) => return Err(error.into()),
            };
            self.store.write(move |txn| txn.name_institution(source_id, &institution, now)).await?;
        }
        Ok(())
    }
}
