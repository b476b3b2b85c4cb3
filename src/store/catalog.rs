//! Names that an aggregator keeps in lists of their own: banks and categories.

use jiff::Timestamp;
use rusqlite::named_params;

use super::{ReadTxn, StoreError, WriteTxn, ms};
use crate::model::{CategoryRecord, InstitutionRecord};

impl ReadTxn<'_> {
    /// The banks behind a source's links that the list of banks was not asked about since `since`, by upstream id.
    pub fn institutions_to_check(&self, source_id: i64, since: Timestamp) -> Result<Vec<String>, StoreError> {
        // The banks are hundreds, the links of a source may be a hundred thousand.
        let mut select = self.txn.prepare_cached(
            "SELECT i.upstream_id FROM institutions i
             WHERE (i.checked_at IS NULL OR i.checked_at < :since)
               AND EXISTS (SELECT 1 FROM links l INDEXED BY links_of_institution
                           WHERE l.institution_id = i.institution_id AND l.source_id = :source_id AND l.removed_at IS NULL)
             ORDER BY i.upstream_id",
        )?;
        let rows =
            select.query_map(named_params! { ":source_id": source_id, ":since": ms(since) }, |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The banks behind a customer's links that the list of banks was never asked about, by upstream id.
    pub fn new_institutions_of(&self, user_id: i64) -> Result<Vec<String>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT DISTINCT i.upstream_id FROM links l JOIN institutions i USING (institution_id)
             WHERE l.user_id = :user_id AND l.removed_at IS NULL AND i.checked_at IS NULL
             ORDER BY i.upstream_id",
        )?;
        let rows = select.query_map(named_params! { ":user_id": user_id }, |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl WriteTxn<'_> {
    /// Stores what a list of banks says about one; a value it does not carry leaves the stored one alone.
    pub fn name_institution(
        &self,
        source_id: i64,
        institution: &InstitutionRecord,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut update = self.txn.prepare_cached(
            "UPDATE institutions SET name = coalesce(:name, name), country = coalesce(:country, country),
                 group_name = coalesce(:group_name, group_name), logo_url = coalesce(:logo_url, logo_url),
                 service_status = coalesce(:service_status, service_status), checked_at = :now
             WHERE upstream_id = :upstream_id
               AND aggregator = (SELECT aggregator FROM sources WHERE source_id = :source_id)",
        )?;
        update.execute(named_params! {
            ":name": institution.name, ":country": institution.country, ":group_name": institution.group_name,
            ":logo_url": institution.logo_url, ":service_status": institution.service_status, ":now": ms(now),
            ":upstream_id": institution.upstream_id, ":source_id": source_id,
        })?;
        Ok(())
    }

    /// Stores an aggregator's categories; those it no longer lists stay, because rows may name them.
    pub fn put_categories(&self, source_id: i64, categories: &[CategoryRecord]) -> Result<(), StoreError> {
        let mut upsert = self.txn.prepare_cached(
            "INSERT INTO categories (aggregator, upstream_id, parent_upstream_id, name)
             SELECT aggregator, :upstream_id, :parent, :name FROM sources WHERE source_id = :source_id
             ON CONFLICT (aggregator, upstream_id) DO UPDATE SET parent_upstream_id = excluded.parent_upstream_id,
                 name = excluded.name
             WHERE parent_upstream_id IS NOT excluded.parent_upstream_id OR name <> excluded.name",
        )?;
        for category in categories {
            upsert.execute(named_params! {
                ":source_id": source_id, ":upstream_id": category.upstream_id, ":parent": category.parent_upstream_id,
                ":name": category.name,
            })?;
        }
        Ok(())
    }
}
