//! Names for what rows and links only number: categories and banks, read along with discovery.

use jiff::{SignedDuration, Timestamp};

use super::discover::Setbacks;
use super::news::DISCOVERY_REST;
use super::{Engine, Source, Stop};
use crate::aggregator::{CallContext, CallError};
use crate::model::InstitutionRecord;
use crate::store::StoreError;

/// How long what a list of banks says is believed: names hardly ever change, and whether a bank can be reached is also told
/// by its links.
const INSTITUTION_LASTS: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Asked about so long ago that every discovery asks again, and no sync in between.
const LONG_AGO: Timestamp = Timestamp::UNIX_EPOCH;

/// Which banks are asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Banks {
    /// Those of the source's links that were not asked about since.
    Since(Timestamp),
    /// Those of a customer's links that never were.
    NewOf(i64),
}

impl Engine {
    /// Reads the aggregator's categories, and the banks behind links that were not asked about for long.
    ///
    /// Shape: whether all of that could be read.
    pub(super) async fn read_catalog(&self, source: &Source, context: &CallContext) -> Result<bool, Stop> {
        let Some(catalog) = source.aggregator.catalog() else {
            return Ok(true);
        };
        let mut setbacks = Setbacks::default();
        let (now, source_id) = (self.clock.now(), source.source_id);
        match catalog.categories(context).await {
            Ok(categories) => self.store.write(move |txn| txn.put_categories(source_id, &categories)).await?,
            Err(error) => setbacks.pass_over(source, ("the list of", "categories"), error)?,
        }
        let since = now.saturating_sub(INSTITUTION_LASTS).unwrap_or(now);
        self.read_banks(source, context, Banks::Since(since), &mut setbacks).await?;
        Ok(setbacks.count() == 0)
    }

    /// Reads the banks behind a customer's links that only have a number so far. What cannot be read now is left to
    /// discovery, which comes soon.
    ///
    /// Errors: the store's.
    pub(super) async fn name_new_banks(
        &self,
        source: &Source,
        context: &CallContext,
        user_id: i64,
    ) -> Result<(), StoreError> {
        let mut setbacks = Setbacks::default();
        match self.read_banks(source, context, Banks::NewOf(user_id), &mut setbacks).await {
            Err(Stop::Store(error)) => return Err(error),
            Err(error) => tracing::debug!(source = %source.name, %error, "a new bank has no name yet"),
            Ok(()) => {}
        }
        if setbacks.count() == 0 {
            return Ok(());
        }
        let (now, source_id) = (self.clock.now(), source.source_id);
        let soon = now.saturating_add(DISCOVERY_REST).unwrap_or(now);
        self.store.write(move |txn| txn.bring_discovery_forward(source_id, soon)).await
    }

    /// Reads banks; one that cannot be read delays no other.
    async fn read_banks(
        &self,
        source: &Source,
        context: &CallContext,
        banks: Banks,
        setbacks: &mut Setbacks,
    ) -> Result<(), Stop> {
        let Some(catalog) = source.aggregator.catalog() else {
            return Ok(());
        };
        let (now, source_id) = (self.clock.now(), source.source_id);
        let institutions = self.store.read(move |txn| match banks {
            Banks::Since(since) => txn.institutions_to_check(source_id, since),
            Banks::NewOf(user_id) => txn.new_institutions_of(user_id),
        });
        for upstream_id in institutions.await? {
            let institution = match catalog.institution(context, &upstream_id).await {
                Ok(institution) => institution,
                // A bank that is gone keeps the name it had.
                Err(CallError::Gone(_)) => nameless(upstream_id),
                Err(error) => {
                    setbacks.pass_over(source, ("bank", &upstream_id), error)?;
                    if let Banks::NewOf(_) = banks {
                        self.store
                            .write(move |txn| txn.name_institution(source_id, &nameless(upstream_id), LONG_AGO))
                            .await?;
                    }
                    continue;
                }
            };
            setbacks.answered();
            self.store.write(move |txn| txn.name_institution(source_id, &institution, now)).await?;
        }
        Ok(())
    }
}

/// A bank of which nothing is known but its number.
fn nameless(upstream_id: String) -> InstitutionRecord {
    InstitutionRecord { upstream_id, ..InstitutionRecord::default() }
}
