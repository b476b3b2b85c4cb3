//! The rows of a user in served order, kept until something changes, so that a page costs a page.

use std::cmp::Reverse;
use std::sync::Arc;

use super::items;
use super::lists::Cursor;
use super::rows::Days;
use crate::sandbox::state::State;
use crate::sandbox::world::Link;

/// One row of one of the user's links.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) updated_ms: i64,
    pub(super) day: i32,
    /// What the list is sorted by, descending: the day, or a fixed disorder.
    pub(super) first: i32,
    /// Position among the link's rows.
    pub(super) at: u32,
    /// Position among the user's living links.
    pub(super) link: u16,
    pub(super) account: u16,
    pub(super) deleted: bool,
}

/// Every row a user's readers have seen, newest day first, then highest id.
#[derive(Debug)]
pub(super) struct UserView {
    stamp: u64,
    pub(super) shuffled: bool,
    pub(super) newest_ms: i64,
    pub(super) entries: Vec<Entry>,
}

impl UserView {
    /// The entries behind a cursor.
    pub(super) fn behind(&self, links: &[&Link], after: Option<Cursor>) -> &[Entry] {
        let Some(after) = after else { return &self.entries };
        let cursor = |entry: &Entry| {
            let id = links[usize::from(entry.link)].rows[entry.at as usize].id;
            Cursor { first: i64::from(entry.first), id: items::number(id) }
        };
        &self.entries[self.entries.partition_point(|entry| cursor(entry) >= after)..]
    }
}

/// The view of a user whose living links are `mine`.
pub(super) fn of(state: &mut State, user: usize, mine: &[usize]) -> Arc<UserView> {
    let (shuffled, oddities) = (state.settings.shuffled, state.settings.oddities);
    let links = || mine.iter().map(|link| &state.bank.links[*link]);
    let stamp = links().zip(mine).fold(u64::from(shuffled) * 2 + u64::from(oddities), |stamp, (link, at)| {
        let mixed = stamp.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ link.revision;
        mixed.wrapping_mul(0xff51_afd7_ed55_8ccd) ^ (*at as u64)
    });
    if let Some(view) = state.bridge.views.get(&user).filter(|view| view.stamp == stamp) {
        return Arc::clone(view);
    }
    let mut entries = Vec::new();
    for (nth, link) in links().enumerate() {
        collect(link, u16::try_from(nth).unwrap_or(u16::MAX), shuffled, oddities, &mut entries);
    }
    let id = |entry: &Entry| state.bank.links[mine[usize::from(entry.link)]].rows[entry.at as usize].id;
    entries.sort_unstable_by_key(|entry| Reverse((entry.first, id(entry))));
    let newest_ms = entries.iter().map(|entry| entry.updated_ms).max().unwrap_or(i64::MIN);
    let view = Arc::new(UserView { stamp, shuffled, newest_ms, entries });
    state.bridge.views.insert(user, Arc::clone(&view));
    view
}

fn collect(link: &Link, nth: u16, shuffled: bool, oddities: bool, entries: &mut Vec<Entry>) {
    let seen = link.seen_rows();
    entries.reserve(seen.len());
    for (at, seen) in seen {
        let row = &link.rows[at];
        let account = link.shown_accounts.get(usize::from(row.account));
        if !account.is_some_and(|account| account.listed && account.shared) {
            continue;
        }
        let day = Days::of(link, row, oddities).date;
        let disorder = items::number(row.id).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        entries.push(Entry {
            updated_ms: seen.updated_ms,
            day,
            first: if shuffled { i32::try_from(disorder).unwrap_or(0) } else { day },
            at: u32::try_from(at).unwrap_or(u32::MAX),
            link: nth,
            account: row.account,
            deleted: seen.deleted,
        });
    }
}
