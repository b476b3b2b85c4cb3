//! Publication: what readers see, and from when.

use std::sync::Arc;

use super::{Bank, FROM_EVER, Happened, Owner, Publication};
use crate::sandbox::id::LinkId;

impl Bank {
    /// Makes the present state of `link` what readers see, as a finished refresh does.
    pub fn publish(&mut self, link: LinkId) {
        let link = self.link_at(link);
        self.publish_aloud(link, FROM_EVER);
        let status = self.links[link].status.clone();
        self.tell_of(link, Happened::Refreshed { link, status, is_whole: true, by_customer: false });
    }

    pub(crate) fn publish_at(&mut self, link: usize) {
        self.publish_from(link, FROM_EVER);
    }

    /// The same without rows older than `from_ms`, where the aggregator can leave them out.
    pub(crate) fn publish_from(&mut self, link: usize, from_ms: i64) {
        let (version, now_ms) = (self.version, self.now_ms);
        let owner = self.owner_of(link);
        let link = &mut self.links[link];
        for account in link.accounts.iter_mut().filter(|account| !account.stalled) {
            account.refreshed_ms = now_ms;
        }
        link.visible = Some(version);
        link.shown_accounts = Arc::new(link.accounts.clone());
        link.published_ms = Some(now_ms);
        let is_news = match owner {
            Owner::Truv(_) => {
                link.prune(version);
                true
            }
            Owner::Bridge(_) => {
                let news = link.upkeep.publish(Publication { version, at_ms: now_ms, from_ms }, link.changed);
                if news {
                    link.prune_superseded();
                }
                news
            }
        };
        link.revision += u64::from(is_news);
    }

    /// Ends the building phase of a link that somebody reads or refreshes for the first time.
    pub(crate) fn first_look(&mut self, link: usize) {
        if self.links[link].visible.is_none() {
            self.publish_at(link);
        }
    }
}
