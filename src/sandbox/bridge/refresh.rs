//! How Bridge refreshes items by itself: first in two steps, then as often as it likes (sections 7.3 and 8.4).
//!
//! The client can start none. Scripts can, and they can say how the next ones end.

use jiff::Timestamp;

use super::items;
use super::words;
use crate::clock::DAY_MS;
use crate::sandbox::id::LinkId;
use crate::sandbox::settings::BridgeSettings;
use crate::sandbox::world::{Bank, FROM_EVER, Happened};

/// Securities could not be read (section 8.2).
const INCOMPLETE: i64 = 1009;
/// What a new item shows at first (section 7.3).
const FIRST_DAYS: i64 = 7;
/// How far apart Bridge refreshes items that became due together: a tenth of the interval, in this many parts.
const SPREAD: i64 = 97;

/// A refresh that is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The first of a new or repaired item.
    First,
    /// The rest of a new item's history.
    Rest,
    /// One of those that come by themselves.
    Regular,
}

impl Bank {
    /// Lets Bridge refresh an item now: as scripted, else as the login, the consent and the connector are.
    pub fn refresh_item(&mut self, link: LinkId) {
        let link = self.link_at(link);
        self.refresh_item_at(link, FROM_EVER, false);
    }

    /// Says how the next refreshes of an item end, e.g. `success.1003.1010.success` or `1005_CLOSED_ACCOUNT`.
    ///
    /// Shape: `<status>` or `<status>_<INFO>`, joined by dots; any other word is a success. It takes the place of what was
    /// scripted before.
    pub fn script_item(&mut self, link: LinkId, results: &str) {
        let link = self.link_at(link);
        self.links[link].upkeep.results = results.split('.').map(str::to_owned).collect();
    }

    /// Puts an item into a status at once, until its next refresh.
    pub fn set_item_status(&mut self, link: LinkId, status: i64) {
        let link = self.link_at(link);
        self.set_status(link, &status.to_string());
    }

    /// Sets until when the customer's consent to an item holds; refreshes after that end in 1010.
    pub fn set_consent_expiry(&mut self, link: LinkId, until: Timestamp) {
        let link = self.link_at(link);
        self.links[link].upkeep.consent_until_ms = Some(until.as_millisecond());
    }

    pub(super) fn set_status(&mut self, link: usize, word: &str) {
        let (code, info) = words::status_for(word);
        self.links[link].status = format!("{code}_{info}");
        self.links[link].updated_ms = self.now_ms;
    }

    /// Refreshes an item; a success shows rows of `from_ms` and later. Tells whether it was one.
    fn refresh_item_at(&mut self, link: usize, from_ms: i64, by_customer: bool) -> bool {
        let now_ms = self.now_ms;
        let word = self.next_result(link);
        let (code, _) = words::status_for(&word);
        // Incomplete and locked items have new data, only not all of it, or not for all to see (8.2).
        let brings_data = matches!(code, 0 | INCOMPLETE | words::PRO_LOCKED);
        if brings_data {
            let missed: Vec<bool> =
                self.links[link].accounts.iter().map(|of| code == INCOMPLETE && of.invests()).collect();
            self.stall(link, &missed, true);
            self.publish_aloud(link, from_ms);
            self.stall(link, &missed, false);
        }
        self.links[link].upkeep.last_try_ms = Some(now_ms);
        self.set_status(link, &word);
        self.tell_refreshed(link, brings_data && from_ms == FROM_EVER, by_customer);
        brings_data
    }

    /// Tells how a refresh ended, as the item's status now says.
    fn tell_refreshed(&mut self, link: usize, is_whole: bool, by_customer: bool) {
        let status = self.links[link].status.clone();
        self.tell_of(link, Happened::Refreshed { link, status, is_whole, by_customer });
    }

    /// Lets the next publication leave accounts out, or no longer.
    fn stall(&mut self, link: usize, missed: &[bool], stalled: bool) {
        for (account, _) in self.links[link].accounts.iter_mut().zip(missed).filter(|(_, missed)| **missed) {
            account.stalled = stalled;
        }
    }

    fn next_result(&mut self, link: usize) -> String {
        let provider = items::provider_id(&self.links[link]);
        let (now_ms, is_disabled) = (self.now_ms, self.providers.disabled.contains(&provider));
        let link = &mut self.links[link];
        if let Some(scripted) = link.upkeep.results.pop_front() {
            return scripted;
        }
        if let Some(trouble) = &link.trouble {
            return trouble.clone();
        }
        let has_lapsed = link.upkeep.consent_until_ms.is_some_and(|until| until <= now_ms);
        if is_disabled {
            "1007".to_owned()
        } else if has_lapsed {
            "1010".to_owned()
        } else {
            "success".to_owned()
        }
    }

    /// Takes a planned step; answers the next one and how long after this one it comes.
    pub(crate) fn step_item(&mut self, link: usize, step: Step, settings: &BridgeSettings) -> Option<(i64, Step)> {
        if self.links[link].deleted_ms.is_some() {
            return None;
        }
        let rest = settings.rest_of_history_after.filter(|_| step == Step::First);
        match step {
            Step::First => {
                let from_ms = if rest.is_some() { self.now_ms - FIRST_DAYS * DAY_MS } else { FROM_EVER };
                let is_good = self.refresh_item_at(link, from_ms, true);
                // Regular refreshes are planned for every item apart from this.
                let rest = rest.filter(|_| is_good)?;
                return Some((i64::try_from(rest.as_millis()).unwrap_or(DAY_MS), Step::Rest));
            }
            Step::Rest => {
                self.publish_aloud(link, FROM_EVER);
                self.links[link].upkeep.last_try_ms = Some(self.now_ms);
                self.tell_refreshed(link, true, true);
                return None;
            }
            Step::Regular => {
                // In its building phase a link is nobody's yet, and under a negative status its first refresh is running.
                let of = &self.links[link];
                if of.visible.is_some() && words::status_of(of).0 >= 0 {
                    self.refresh_item_at(link, FROM_EVER, false);
                }
            }
        }
        regular(link, settings)
    }
}

/// The next refresh that comes by itself, if they do.
pub(crate) fn regular(link: usize, settings: &BridgeSettings) -> Option<(i64, Step)> {
    let every_ms = i64::try_from(settings.refresh_every?.as_millis()).unwrap_or(DAY_MS).max(1);
    let part = i64::try_from(link).unwrap_or(0) % SPREAD;
    Some((every_ms + every_ms / 10 * part / SPREAD, Step::Regular))
}
