//! `GET /v1/links/{id}/transactions/` (section 10).

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;

use super::json;
use super::links;
use super::paging::{Cut, Paging};
use super::reply::{Answer, Call, Reply, Wish};
use super::rows::{RowWriter, USUAL_ROW_BYTES};
use crate::clock::DAY_MS;
use crate::sandbox::state::State;
use crate::sandbox::world::Link;
use crate::sandbox::write;

/// What the caller restricts the list to.
struct Filter {
    from_ms: Option<i64>,
    /// Inclusive.
    to_ms: Option<i64>,
    /// Per account of the link, whether its rows are wanted; `None` for all.
    accounts: Option<Vec<bool>>,
    categories: Option<Vec<String>>,
}

pub(super) fn list(state: &mut State, call: &Call, id: &str) -> Answer {
    let link = links::live(state, call, id)?;
    let mut paging = Paging::of(call, &state.settings)?;
    if call.wish.invalid_page {
        return Err(Reply::invalid_page());
    }
    if call.wish.drift {
        state.bank.drift(link);
    }
    if call.wish.shrink {
        state.bank.shrink(link);
    }
    let (immediately, shuffled) = (state.settings.visible_immediately, state.settings.shuffled);
    let link = &mut state.bank.links[link];
    let order = link.view(immediately, shuffled);
    let filter = Filter::of(call, link, immediately)?;
    let rows = filter.narrow(link, &order, shuffled);
    let mut cut = paging.cut(call, rows.len())?;
    if call.wish.repeat_page {
        paging.page = 1;
        let first = paging.cut(call, rows.len())?;
        (cut.from, cut.to) = (first.from, first.to);
    }
    Ok(Reply::raw(200, "application/json", page(link, &rows, &cut, call.wish, immediately, state.settings.oddities)))
}

fn page(link: &Link, rows: &[usize], cut: &Cut, wish: Wish, immediately: bool, oddities: bool) -> Vec<u8> {
    let accounts = link.accounts_for(immediately);
    let mut out = Vec::with_capacity((cut.to - cut.from) * USUAL_ROW_BYTES + 4096);
    out.extend_from_slice(b"{\"count\":");
    out.extend_from_slice(rows.len().to_string().as_bytes());
    for (name, url) in [(&b",\"next\":"[..], &cut.next), (b",\"previous\":", &cut.previous)] {
        out.extend_from_slice(name);
        match url {
            Some(url) => write::push_text(&mut out, url),
            None => out.extend_from_slice(b"null"),
        }
    }
    out.extend_from_slice(b",\"accounts\":");
    let listed: Vec<Value> = accounts.iter().filter(|account| account.listed).map(json::account).collect();
    out.extend_from_slice(Value::from(listed).to_string().as_bytes());
    out.extend_from_slice(b",\"transactions\":[");
    let writer = RowWriter::new(accounts, oddities);
    for (nth, at) in rows[cut.from..cut.to].iter().enumerate() {
        if nth > 0 {
            out.push(b',');
        }
        let row = &link.rows[*at];
        writer.push(&mut out, row, if nth == 0 { wish } else { Wish::default() });
        if nth == 0 && wish.duplicate_row {
            out.push(b',');
            writer.push(&mut out, row, Wish::default());
        }
    }
    out.extend_from_slice(b"]}");
    out
}

impl Filter {
    fn of(call: &Call, link: &Link, immediately: bool) -> Result<Self, Reply> {
        let ids = call.list("account_ids");
        let kinds = call.list("account_types");
        let accounts = (ids.is_some() || kinds.is_some()).then(|| {
            let wanted = link.accounts_for(immediately).iter().map(|account| {
                let id = crate::sandbox::id::hex(account.id);
                ids.as_ref().is_none_or(|ids| ids.contains(&id.as_str()))
                    && kinds
                        .as_ref()
                        .is_none_or(|kinds| kinds.iter().any(|kind| kind.eq_ignore_ascii_case(&account.kind)))
            });
            wanted.collect()
        });
        Ok(Self {
            from_ms: bound(call, "transacted_at_from", false)?,
            to_ms: bound(call, "transacted_at_to", true)?,
            accounts,
            categories: call.list("categories").map(|all| all.into_iter().map(str::to_owned).collect()),
        })
    }

    /// The rows that pass, in the order given.
    ///
    /// A range of instants, the usual question, is cut out by search, so that a page costs the same at any length.
    fn narrow<'a>(&self, link: &Link, order: &'a [usize], shuffled: bool) -> Cow<'a, [usize]> {
        let (from, to) = (self.from_ms.unwrap_or(i64::MIN), self.to_ms.unwrap_or(i64::MAX));
        let instant = |at: &usize| link.rows[*at].transacted_ms;
        let is_range = self.accounts.is_none() && self.categories.is_none();
        let span = if shuffled {
            order
        } else {
            // Newest first: what is later than `to` comes before, what is earlier than `from` behind.
            let first = order.partition_point(|at| instant(at) > to);
            let last = order.partition_point(|at| instant(at) >= from);
            &order[first.min(last)..last]
        };
        if is_range && !shuffled {
            return Cow::Borrowed(span);
        }
        let passes = |at: &&usize| {
            let row = &link.rows[**at];
            (from..=to).contains(&row.transacted_ms)
                && self.accounts.as_ref().is_none_or(|wanted| wanted[usize::from(row.account)])
                && self
                    .categories
                    .as_ref()
                    .is_none_or(|wanted| row.detail.category.as_ref().is_some_and(|category| wanted.contains(category)))
        };
        span.iter().filter(passes).copied().collect()
    }
}

/// A bound of the list: a date-time, or a date, which as an upper bound reaches to its last millisecond (20.15).
fn bound(call: &Call, name: &str, upper: bool) -> Result<Option<i64>, Reply> {
    let Some(text) = call.param(name).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let is_date = text.len() == 10;
    let parsed = if is_date {
        let date: Option<Date> = text.parse().ok();
        let midnight = date.and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC).ok());
        midnight.map(|zoned| zoned.timestamp().as_millisecond() + if upper { DAY_MS - 1 } else { 0 })
    } else {
        text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
    };
    parsed.map(Some).ok_or_else(|| Reply::invalid(name, "Enter a valid date/time."))
}
