//! What a source brought and cost, day by day.

use jiff::Timestamp;
use maud::{Markup, html};

use super::Card;
use crate::clock::DAY_MS;
use crate::limits::refreshes::month_began;
use crate::server::admin::overview::seen::{DAYS, days_began};
use crate::server::admin::plots::{Column, Columns};
use crate::store::SourceDay;
use crate::words::{count, counted};

/// A day on which nothing was written.
const fn empty(day_at: Timestamp) -> SourceDay {
    SourceDay { day_at, rows_added: 0, rows_changed: 0, rows_removed: 0, refreshes: 0, refreshes_billed: 0 }
}

impl Card<'_> {
    /// Every day shown, the earliest first.
    fn each_day(&self) -> Vec<SourceDay> {
        let began = days_began(self.watch.now);
        (0..DAYS)
            .map(|index| {
                let day_at = Timestamp::from_millisecond(began.as_millisecond() + index * DAY_MS).unwrap_or(began);
                let known = self.source.days.iter().find(|day| day.day_at == day_at);
                known.copied().unwrap_or(empty(day_at))
            })
            .collect()
    }

    fn by_day(&self, title: &str, column: impl Fn(&SourceDay) -> Column) -> Markup {
        let days = self.each_day();
        let columns: Vec<Column> = days.iter().map(column).collect();
        let time = |index: usize| days.get(index).map_or_else(String::new, |day| utc_day(day.day_at));
        let times = [time(0), time(days.len() / 2), "today".to_owned()];
        Columns { title, each: &columns, limit: None, times }.plot()
    }

    pub(super) fn rows(&self) -> Markup {
        let days = self.each_day();
        let sum = |number: fn(&SourceDay) -> u64| days.iter().map(number).sum::<u64>();
        let today = self.source.today(self.watch.now).copied().unwrap_or(empty(self.watch.now));
        let title = format!(
            "Rows per day over {DAYS} days: {} new, {} changed, {} removed",
            count(sum(|day| day.rows_added)),
            count(sum(|day| day.rows_changed)),
            count(sum(|day| day.rows_removed))
        );
        html! {
            section {
                h4 { "Transactions " small { "rows per day, last " (DAYS) " days (UTC)" } }
                (self.by_day(&title, rows_of))
                ul.legend {
                    li { span.swatch.added {} "new" }
                    li { span.swatch.changed {} "changed" }
                    li { span.swatch.gone {} "removed" }
                }
                dl.facts { dt { "Today" } dd { (rows_in_words(&today)) } }
            }
        }
    }

    pub(super) fn refreshes(&self) -> Markup {
        let Some(unit) = self.source.price_unit else {
            return html! {
                section {
                    h4 { "Refreshes" }
                    p.dim { "The aggregator reads the banks by itself: none are asked for, and none are billed." }
                }
            };
        };
        let month = month_began(self.watch.now);
        let of_month = |number: fn(&SourceDay) -> u64| {
            self.source.days.iter().filter(|day| day.day_at >= month).map(number).sum::<u64>()
        };
        let (used, billed) = (of_month(|day| day.refreshes), of_month(|day| day.refreshes_billed));
        let today = self.source.today(self.watch.now).map_or(0, |day| day.refreshes);
        let title = format!("Refreshes per day over {DAYS} days; {} this month", count(used));
        html! {
            section {
                h4 { "Refreshes " small { "used per day, last " (DAYS) " days (UTC)" } }
                (self.by_day(&title, refreshes_of))
                ul.legend {
                    li { span.swatch.billed {} "billed" }
                    li { span.swatch.used {} "used, not billed" }
                }
                dl.facts {
                    dt { "Today" }
                    dd { b { (count(today)) } " used" }
                    dt { "This month" }
                    dd {
                        b { (count(used)) }
                        @match self.source.glance.refreshes_per_month {
                            Some(cap) => { " of " (count(cap)) " used, the cap" },
                            None => " used, no cap is set",
                        }
                    }
                    dt { "Costs" }
                    dd { b { (counted(billed, unit)) } " this month" }
                }
            }
        }
    }
}

fn rows_of(day: &SourceDay) -> Column {
    Column {
        title: format!("{}: {}", utc_day(day.day_at), rows_in_words(day)),
        parts: vec![("added", day.rows_added), ("changed", day.rows_changed), ("gone", day.rows_removed)],
    }
}

fn refreshes_of(day: &SourceDay) -> Column {
    let (used, billed) = (count(day.refreshes), count(day.refreshes_billed));
    let not_billed = day.refreshes.saturating_sub(day.refreshes_billed);
    Column {
        title: format!("{}: {used} used, {billed} billed", utc_day(day.day_at)),
        parts: vec![("billed", day.refreshes_billed), ("used", not_billed)],
    }
}

fn rows_in_words(day: &SourceDay) -> String {
    format!("{} new, {} changed, {} removed", count(day.rows_added), count(day.rows_changed), count(day.rows_removed))
}

/// The day as it is in UTC, which is how days are counted.
fn utc_day(at: Timestamp) -> String {
    at.strftime("%-d %b").to_string()
}
