//! A store that holds what was read of many links, filled through the same doors as by the daemon.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use passbook::aggregator::{TransactionPage, Window};
use passbook::model::{Cause, LinkHealth, LinkRecord, UserRecord};
use passbook::store::{NewLink, SourceSettings, Store};
use passbook::sync::Walk;

/// A store as the daemon fills it.
pub(crate) struct Filled {
    store: Store,
    now: Timestamp,
}

impl Filled {
    /// Adds the first source of a store that has none.
    pub(crate) async fn over(store: Store, source: &str, now: Timestamp) -> Self {
        let settings = SourceSettings {
            name: source.to_owned(),
            aggregator: "truv".to_owned(),
            base_url: "https://prod.truv.com".to_owned(),
            request_limit: 300,
            request_window_ms: 60_000,
            refreshes_per_day: 3,
            refresh_reserve: 1,
            refreshes_per_month: None,
        };
        store.write(move |txn| txn.put_sources(&[settings], now)).await.expect("a source");
        Self { store, now }
    }

    /// Applies a link's pages as one walk does, each in a transaction of its own. Only that is timed.
    pub(crate) async fn apply_link(&self, link: usize, pages: Vec<TransactionPage>, has_history: bool) -> Duration {
        let now = self.now;
        let new = NewLink {
            user: UserRecord { upstream_id: format!("user-{link}"), external_id: None },
            link: LinkRecord {
                upstream_id: format!("link-{link}"),
                institution: None,
                access_token: None,
                health: LinkHealth::default(),
                is_removed: false,
                refreshed_at: None,
                tried_at: None,
                consent_expires_at: None,
            },
        };
        let (link_id, sync_id) = self
            .store
            .write(move |txn| {
                let link_id = txn.put_link(1, &new, now)?.link_id;
                Ok((link_id, txn.begin_sync(link_id, (Cause::Backfill, Cause::Backfill), true, now)?))
            })
            .await
            .expect("a link");
        let began = Instant::now();
        let mut walk = Walk::over_link(link_id, sync_id, now, Window { from: None }, has_history);
        for page in pages {
            walk = self
                .store
                .write(move |txn| {
                    walk.apply_page(txn, &page)?;
                    Ok(walk)
                })
                .await
                .expect("a page");
        }
        began.elapsed()
    }
}
