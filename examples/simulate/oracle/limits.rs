//! The limits as the aggregators saw them, and the refreshes as they count and bill them.

use std::collections::{HashMap, VecDeque};

use passbook::sandbox::{Sandbox, World};

use super::{Book, STEP_WITHIN, Verdict};
use crate::plan::{DAY, MINUTE};
use crate::town::Town;

/// Refreshes of one link in a day.
const REFRESHES: usize = 3;

/// Requests of the longest window, by who is limited.
#[derive(Default)]
pub(crate) struct Limits {
    seen: HashMap<(String, String), VecDeque<i64>>,
    /// Requests the aggregators received.
    pub(crate) requests: u64,
    /// The fullest windows, in percent of their limits.
    pub(crate) fullest: i64,
    /// Limits: requests a minute of a secret at the first, requests in five minutes of the application at the second.
    pub(crate) allowed: (i64, i64),
    /// Credentials that are not ours.
    pub(crate) others: Vec<String>,
    /// When our clock was set forward or back, and by how much.
    pub(crate) shifts: Vec<(i64, i64)>,
}

impl Limits {
    pub(super) fn look(&mut self, bank: &Sandbox) -> Verdict {
        let log = bank.request_log();
        bank.clear_request_log();
        let mut instants: Vec<_> = log.iter().collect();
        instants.sort_by_key(|logged| logged.at);
        for logged in instants {
            if self.others.iter().any(|other| **other == *logged.secret) || logged.path.starts_with("/sandbox/") {
                continue;
            }
            self.requests += 1;
            let at = logged.at.as_millisecond();
            let secret = logged.secret.to_string();
            if logged.path.starts_with("/v1/") {
                self.count(("secret".to_owned(), secret), at, MINUTE, self.allowed.0)?;
                continue;
            }
            self.count(("application".to_owned(), secret), at, 5 * MINUTE, self.allowed.1)?;
            if let Some(user) = logged.user {
                self.count(("user".to_owned(), user.to_string()), at, MINUTE, 60)?;
                if logged.path.contains("/authorization/token") {
                    self.count(("token".to_owned(), user.to_string()), at, MINUTE, 10)?;
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, who: (String, String), at: i64, window: i64, limit: i64) -> Verdict {
        let scope = who.0.clone();
        let seen = self.seen.entry(who).or_default();
        seen.push_back(at);
        while seen.front().is_some_and(|first| *first <= at - window) {
            seen.pop_front();
        }
        let count = i64::try_from(seen.len()).unwrap_or(i64::MAX);
        self.fullest = self.fullest.max(count * 100 / limit.max(1));
        if count > limit {
            return Err(format!("limits: {count} requests of one {scope} within {window} ms, {limit} are allowed"));
        }
        Ok(())
    }

    /// How long at least lies between a refresh and the third one after it.
    ///
    /// The ledger counts a day by our clock. Where that was set forward since the first was booked, in the step that also
    /// sent it, the day is over that much too early. A clock that is off by the same all the time, or is set back, makes
    /// nothing shorter; nor do slow and lost answers, because a refresh counts from the latest instant it may have been made.
    fn refreshes_apart(&self, first_at: i64, last_at: i64) -> i64 {
        let since = self.shifts.iter().filter(|(at, _)| (first_at - STEP_WITHIN..=last_at).contains(at));
        DAY - since.map(|(_, by)| by.max(&0)).sum::<i64>()
    }
}

/// No refresh is doubled, over budget or unrecorded.
pub(super) fn refreshes(book: &Book, town: &Town, world: &World, limits: &Limits) -> Verdict {
    let sql = "SELECT l.upstream_id, count(*) FILTER (WHERE r.outcome NOT IN ('refused', 'throttled', 'not_sent')),
                      -- Nobody could be asked what became of these: they count as used, whatever did.
                      count(*) FILTER (WHERE r.outcome IN ('unknown', 'sending')
                          OR (r.outcome = 'timed_out' AND r.upstream_task_id IS NULL))
               FROM refreshes r JOIN links l USING (link_id) GROUP BY l.upstream_id";
    let booked: HashMap<String, (i64, i64)> =
        book.rows(sql, |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?.into_iter().collect();
    let doubled = book.texts(
        "SELECT sync_id, count(*) FROM refreshes WHERE outcome NOT IN ('refused', 'throttled', 'not_sent') AND sync_id IS NOT NULL
         GROUP BY sync_id HAVING count(*) > 1",
    )?;
    if let Some(first) = doubled.first() {
        return Err(format!("refreshes: sync {} made {}", first[0], first[1]));
    }
    let forgotten = town.forgotten_links();
    for accepted in town.bank.refreshes() {
        let link = &accepted.link_upstream_id;
        let instants: Vec<i64> = accepted.at.iter().map(|at| at.as_millisecond()).collect();
        for four in instants.windows(REFRESHES + 1) {
            let (first, last) = (four[0], four[REFRESHES]);
            if last - first < limits.refreshes_apart(first, last) {
                return Err(format!(
                    "refreshes: {} of link {link} within {} s, {REFRESHES} a day are allowed",
                    REFRESHES + 1,
                    (last - first) / 1000
                ));
            }
        }
        if forgotten.contains(link) {
            // Booked without saying whose they were.
            continue;
        }
        let made = i64::try_from(accepted.at.len()).unwrap_or(i64::MAX);
        let (counted, open) = booked.get(link).copied().unwrap_or_default();
        if counted < made {
            return Err(format!("refreshes: the aggregator made {made} of link {link}, {counted} are booked"));
        }
        let is_there = world.links.iter().any(|of| of.upstream_id == *link && of.deleted_at.is_none());
        if is_there && counted - open > made {
            return Err(format!("refreshes: {counted} of link {link} are booked, the aggregator made {made}"));
        }
    }
    Ok(())
}
