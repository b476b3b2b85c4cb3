//! Requests of the last hours against the limit.

use jiff::Timestamp;
use maud::{Markup, html};

use super::Card;
use crate::server::admin::overview::seen::{HOURS, hours_began};
use crate::server::admin::plots::{Column, Columns};
use crate::store::UsageRow;
use crate::words::{count, counted, duration};

const MINUTE_MS: i64 = 60_000;
/// One column stands for a quarter of an hour.
const COLUMN_MS: i64 = 15 * MINUTE_MS;

/// The requests of the last hours.
struct Load {
    /// The busiest window of each quarter of an hour.
    columns: Vec<u64>,
    busiest: u64,
    busiest_at: Timestamp,
    total: u64,
    throttled: u64,
    failed: u64,
}

impl Load {
    /// Adds up the minutes since `began`; those before it only count in windows that reach back to them.
    ///
    /// A window that is no whole number of minutes is taken as the next longer one: rather too much than too little.
    fn of(minutes: &[UsageRow], window_ms: i64, began: Timestamp) -> Self {
        let began_ms = began.as_millisecond();
        let columns = usize::try_from(HOURS * 60 * MINUTE_MS / COLUMN_MS).unwrap_or(0);
        let mut load =
            Self { columns: vec![0; columns], busiest: 0, busiest_at: began, total: 0, throttled: 0, failed: 0 };
        let window_minutes = (window_ms.max(1) + MINUTE_MS - 1) / MINUTE_MS;
        let mut first = 0;
        let mut in_window = 0_u64;
        for minute in minutes {
            let at_ms = minute.minute_at.as_millisecond();
            in_window += u64::from(minute.requests);
            while let Some(gone) =
                minutes.get(first).filter(|gone| gone.minute_at.as_millisecond() <= at_ms - window_minutes * MINUTE_MS)
            {
                in_window = in_window.saturating_sub(u64::from(gone.requests));
                first += 1;
            }
            let column = usize::try_from((at_ms - began_ms).div_euclid(COLUMN_MS)).ok();
            let Some(column) = column.and_then(|column| load.columns.get_mut(column)) else {
                continue;
            };
            *column = (*column).max(in_window);
            if in_window > load.busiest {
                (load.busiest, load.busiest_at) = (in_window, minute.minute_at);
            }
            load.total += u64::from(minute.requests);
            load.throttled += u64::from(minute.rate_limited);
            load.failed += u64::from(minute.failed);
        }
        load
    }
}

impl Card<'_> {
    pub(super) fn requests(&self) -> Markup {
        let glance = &self.source.glance;
        let began = hours_began(self.watch.now);
        let load = Load::of(&self.source.minutes, glance.request_window_ms, began);
        let window = duration(glance.request_window_ms / 1000);
        let percent = (load.busiest * 100).checked_div(glance.request_limit).unwrap_or(0);
        let title = format!(
            "Busiest {window} of each quarter of an hour in the last {HOURS} hours: at most {} of {} requests allowed",
            count(load.busiest),
            count(glance.request_limit)
        );
        let columns: Vec<Column> = load
            .columns
            .iter()
            .zip(0_i64..)
            .map(|(number, index)| {
                let at = Timestamp::from_millisecond(began.as_millisecond() + index * COLUMN_MS).unwrap_or(began);
                Column {
                    title: format!("{}: up to {} in {window}", self.watch.time_of_day(at), counted(*number, "request")),
                    parts: vec![("used", *number)],
                }
            })
            .collect();
        let middle = Timestamp::from_second(began.as_second() + HOURS * 1800).unwrap_or(began);
        let times = [self.watch.time_of_day(began), self.watch.time_of_day(middle), "now".to_owned()];
        html! {
            section {
                h4 { "Requests " small { "last " (HOURS) " hours, busiest " (window) " against the limit" } }
                (Columns { title: &title, each: &columns, limit: Some(glance.request_limit), times }.plot())
                dl.facts {
                    dt { "Busiest" }
                    dd {
                        b { (count(load.busiest)) } " of " (count(glance.request_limit)) " in " (window)
                        @if load.busiest > 0 { " (" (percent) " %) at " (self.watch.time_of_day(load.busiest_at)) }
                    }
                    dt { "In all" }
                    dd {
                        (counted(load.total, "request"))
                        @if load.throttled > 0 { ", " span.bad { (count(load.throttled)) " throttled" } }
                        @if load.failed > 0 { ", " (count(load.failed)) " without an answer" }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn began() -> Timestamp {
        "2026-03-02T12:00:00Z".parse().expect("an instant")
    }

    fn minutes(requests: &[(i64, u32)]) -> Vec<UsageRow> {
        let row = |(minute, requests): &(i64, u32)| UsageRow {
            minute_at: Timestamp::from_millisecond(began().as_millisecond() + minute * MINUTE_MS).expect("an instant"),
            requests: *requests,
            rate_limited: 0,
            failed: 0,
            clock_set_back: false,
        };
        requests.iter().map(row).collect()
    }

    #[test]
    fn a_window_of_five_minutes_slides_over_the_minutes() {
        let rows = minutes(&[(-2, 100), (0, 10), (1, 20), (4, 30), (5, 40), (20, 7)]);
        let load = Load::of(&rows, 300_000, began());
        assert_eq!(load.columns.len(), 96);
        assert_eq!(load.columns[..3], [130, 7, 0], "the minutes before count only in windows that reach them");
        assert_eq!((load.busiest, load.total), (130, 107));
        assert_eq!(load.busiest_at, rows[2].minute_at);
    }

    #[test]
    fn a_window_of_one_minute_is_the_minute() {
        let load = Load::of(&minutes(&[(0, 10), (1, 20), (14, 15), (15, 3)]), 60_000, began());
        assert_eq!(load.columns[..2], [20, 3]);
        assert_eq!(Load::of(&[], 60_000, began()).busiest, 0);
    }
}
