//! `GET /v3/aggregation/transactions` (section 10).

use jiff::Timestamp;
use jiff::civil::Date;

use super::lists::{Cursor, Paging};
use super::reply::{Answer, Call, Reply, Wish, invalid, not_found};
use super::rows::{RowWriter, USUAL_ROW_BYTES, push_stub};
use super::view::{Entry, UserView};
use super::{items, view};
use crate::clock::DAY_MS;
use crate::sandbox::id;
use crate::sandbox::settings::{DeletedRows, Settings};
use crate::sandbox::state::State;
use crate::sandbox::world::{Bank, Link, Seen};

const FILTERS: [&str; 5] = ["account_id", "since", "until", "min_date", "max_date"];

/// Which account's rows are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted<T> {
    All,
    /// One that the user does not have.
    Nobody,
    One(T),
}

/// What the caller restricts the list to.
struct Filter {
    account: Wanted<u128>,
    /// Not before this.
    from_ms: i64,
    /// Before this.
    until_ms: i64,
    first_day: i32,
    last_day: i32,
    with_deleted: bool,
}

pub(super) fn list(state: &mut State, call: &Call) -> Answer {
    let mut mine = items::mine(state, call)?;
    let paging = Paging::of(call, &state.settings, &FILTERS)?;
    let filter = Filter::of(call, &state.settings)?;
    if call.wish.invalid_page {
        return Err(not_found());
    }
    if call.wish.drift || call.wish.shrink {
        move_under_the_reader(state, &mine, call.wish);
        mine = items::mine(state, call)?;
    }
    let user = call.user()?;
    let view = view::of(state, user, &mine);
    let links: Vec<&Link> = mine.iter().map(|link| &state.bank.links[*link]).collect();
    Ok(page(&links, &view, &filter, &paging, call, &state.settings))
}

fn page(links: &[&Link], view: &UserView, filter: &Filter, paging: &Paging, call: &Call, settings: &Settings) -> Reply {
    let mut out = Vec::with_capacity(paging.limit.min(view.entries.len()) * USUAL_ROW_BYTES + 1024);
    out.extend_from_slice(b"{\"resources\":[");
    let writers: Vec<RowWriter<'_>> =
        links.iter().map(|link| RowWriter::new(link, settings.oddities, call.wish)).collect();
    let usual = Wish { row_without_id: false, bad_amount: false, duplicate_row: false, ..call.wish };
    let stubs = settings.bridge.deleted_rows == DeletedRows::Stub;
    let account = match filter.account {
        Wanted::One(id) => place_of(links, id).map_or(Wanted::Nobody, Wanted::One),
        Wanted::All => Wanted::All,
        Wanted::Nobody => Wanted::Nobody,
    };
    let mut last = None;
    let mut count = 0;
    for entry in view.behind(links, paging.after) {
        if !filter.passes(entry, account) {
            if filter.is_past(entry, view) {
                break;
            }
            continue;
        }
        if count == paging.limit {
            paging.close_list(call, &mut out, last);
            return Reply::raw(200, "application/json", out);
        }
        let row = &links[usize::from(entry.link)].rows[entry.at as usize];
        let seen = Seen { updated_ms: entry.updated_ms, deleted: entry.deleted };
        if count > 0 {
            out.push(b',');
        }
        if entry.deleted && stubs {
            push_stub(&mut out, row, seen, usual);
        } else {
            let writer = &writers[usize::from(entry.link)];
            writer.push(&mut out, row, seen, if count == 0 { call.wish } else { usual });
            if count == 0 && call.wish.duplicate_row {
                out.push(b',');
                writer.push(&mut out, row, seen, usual);
            }
        }
        last = Some(Cursor { first: i64::from(entry.first), id: items::number(row.id) });
        count += 1;
    }
    paging.close_list(call, &mut out, None);
    Reply::raw(200, "application/json", out)
}

impl Paging {
    fn close_list(&self, call: &Call, out: &mut Vec<u8>, last: Option<Cursor>) {
        out.push(b']');
        self.close(call, out, last);
    }
}

/// Link and place of an account among the user's, if it shows its rows.
fn place_of(links: &[&Link], id: u128) -> Option<(u16, u16)> {
    links.iter().enumerate().find_map(|(nth, link)| {
        let at = link.shown_accounts.iter().position(|account| account.id == id)?;
        Some((u16::try_from(nth).ok()?, u16::try_from(at).ok()?))
    })
}

pub(super) fn retrieve(state: &mut State, call: &Call, id: &str) -> Answer {
    let mine = items::mine(state, call)?;
    let wanted = id::parse_number(id).ok_or_else(not_found)?;
    let user = call.user()?;
    let view = view::of(state, user, &mine);
    let links: Vec<&Link> = mine.iter().map(|link| &state.bank.links[*link]).collect();
    let row_of = |entry: &Entry| &links[usize::from(entry.link)].rows[entry.at as usize];
    let entry = view.entries.iter().find(|entry| row_of(entry).id == wanted && !entry.deleted).ok_or_else(not_found)?;
    let mut out = Vec::with_capacity(USUAL_ROW_BYTES);
    let writer = RowWriter::new(links[usize::from(entry.link)], state.settings.oddities, call.wish);
    let seen = Seen { updated_ms: entry.updated_ms, deleted: entry.deleted };
    writer.push(&mut out, row_of(entry), seen, call.wish);
    Ok(Reply::raw(200, "application/json", out))
}

impl Filter {
    fn of(call: &Call, settings: &Settings) -> Result<Self, Reply> {
        let since = instant_of(call, "since")?;
        let until = instant_of(call, "until")?;
        let with_deleted = match settings.bridge.deleted_rows {
            DeletedRows::Full | DeletedRows::Stub => since.is_some() || until.is_some(),
            DeletedRows::Never => false,
            DeletedRows::Always => true,
        };
        let exclusive_ms = i64::from(!settings.bridge.since_inclusive);
        Ok(Self {
            account: call
                .param("account_id")
                .map_or(Wanted::All, |text| id::parse_number(text).map_or(Wanted::Nobody, Wanted::One)),
            from_ms: since.map_or(i64::MIN, |since| since + exclusive_ms),
            until_ms: until.unwrap_or(i64::MAX),
            first_day: day(call, "min_date")?.unwrap_or(i32::MIN),
            last_day: day(call, "max_date")?.unwrap_or(i32::MAX),
            with_deleted,
        })
    }

    /// `account` is the place of the wanted one.
    fn passes(&self, entry: &Entry, account: Wanted<(u16, u16)>) -> bool {
        (self.with_deleted || !entry.deleted)
            && (self.from_ms..self.until_ms).contains(&entry.updated_ms)
            && (self.first_day..=self.last_day).contains(&entry.day)
            && (account == Wanted::All || account == Wanted::One((entry.link, entry.account)))
    }

    /// Tells whether nothing behind an entry can pass.
    fn is_past(&self, entry: &Entry, view: &UserView) -> bool {
        (!view.shuffled && entry.day < self.first_day) || view.newest_ms < self.from_ms
    }
}

/// A bound on `updated_at`; a bare date is its midnight (10.2).
pub(super) fn instant_of(call: &Call, name: &str) -> Result<Option<i64>, Reply> {
    let Some(text) = call.param(name) else { return Ok(None) };
    let parsed = text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond);
    let parsed = parsed.or_else(|| midnight(text));
    parsed.map(Some).ok_or_else(|| invalid(name, "not a timestamp"))
}

fn day(call: &Call, name: &str) -> Result<Option<i32>, Reply> {
    let Some(text) = call.param(name) else { return Ok(None) };
    let day = midnight(text).and_then(|ms| i32::try_from(ms.div_euclid(DAY_MS)).ok());
    day.map(Some).ok_or_else(|| invalid(name, "not a date"))
}

fn midnight(text: &str) -> Option<i64> {
    let date: Date = text.parse().ok().filter(|_| text.len() == 10)?;
    date.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp().as_millisecond())
}

/// Publishes a new row at the top, or takes the newest one out, before the page is read.
fn move_under_the_reader(state: &mut State, mine: &[usize], wish: Wish) {
    let bank: &mut Bank = &mut state.bank;
    let Some(link) = mine.iter().copied().find(|link| !bank.links[*link].accounts.is_empty()) else { return };
    if wish.drift {
        bank.drift(link);
    }
    if wish.shrink {
        bank.remove_newest(link);
    }
    bank.publish_at(link);
}
