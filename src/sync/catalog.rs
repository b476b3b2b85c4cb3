//! Names for what rows and links only number: categories and banks, read along with discovery.

use jiff::SignedDuration;

use super::{Engine, Source, Stop};
use crate::aggregator::{CallContext, CallError};

/// How long what a list of banks says is believed: names hardly ever change, and whether a bank can be reached is also told
/// by its links.
const INSTITUTION_LASTS: SignedDuration = SignedDuration::from_hours(7 * 24);

impl Engine {
    /// Reads the aggregator's categories, and the banks behind links that were not asked about for long.
    pub(super) async fn read_catalog(&self, source: &Source, context: &CallContext) -> Result<(), Stop> {
        let Some(catalog) = source.aggregator.catalog() else {
            return Ok(());
        };
        let categories = catalog.categories(context).await?;
        let (now, source_id) = (self.clock.now(), source.source_id);
        let since = now.saturating_sub(INSTITUTION_LASTS).unwrap_or(now);
        let institutions = self
            .store
            .write(move |txn| {
                txn.put_categories(source_id, &categories)?;
                txn.institutions_to_check(source_id, since)
            })
            .await?;
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
