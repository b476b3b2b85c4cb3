//! What the aggregator announced.

use jiff::Timestamp;
use maud::{Markup, html};

use super::Card;
use crate::server::admin::overview::seen::{HOURS, hours_began};
use crate::server::admin::plots::{Column, Columns};
use crate::store::MAX_WAITING_COUNTED;
use crate::words::{count, counted};

impl Card<'_> {
    pub(super) fn webhooks(&self) -> Markup {
        let webhooks = &self.source.webhooks;
        html! {
            section {
                h4 { "Webhooks " small { "events per hour, last " (HOURS) " hours" } }
                @match self.source.glance.webhook_endpoint.as_deref() {
                    Some("disabled") => p.problem {
                        "The aggregator has switched our address off, after it did not answer well. Repair that, then: "
                        code { "passbook webhooks register" }
                    },
                    Some("missing") => p.dim {
                        "The aggregator does not know our address. To make it known: "
                        code { "passbook webhooks register" }
                    },
                    _ => {}
                }
                @if webhooks.last_at.is_some() {
                    (self.events())
                } @else if self.has_public_side {
                    p.dim { "None has come yet. Schedules alone bring what is new, later." }
                } @else {
                    p.dim {
                        "None configured: without " code { "public_listen" }
                        " none can come, and schedules alone bring what is new."
                    }
                }
            }
        }
    }

    fn events(&self) -> Markup {
        let webhooks = &self.source.webhooks;
        let began = hours_began(self.watch.now);
        let columns: Vec<Column> = webhooks
            .by_hour
            .iter()
            .map(|(hour_at, number)| Column {
                title: format!("{}: {}", self.watch.time_of_day(*hour_at), counted(*number, "event")),
                parts: vec![("used", *number)],
            })
            .collect();
        let total: u64 = webhooks.by_hour.iter().map(|(_, number)| number).sum();
        let middle = Timestamp::from_second(began.as_second() + HOURS * 1800).unwrap_or(began);
        let times = [self.watch.time_of_day(began), self.watch.time_of_day(middle), "now".to_owned()];
        let title = format!("Events per hour over {HOURS} hours: {} in all", count(total));
        html! {
            (Columns { title: &title, each: &columns, limit: None, times }.plot())
            dl.facts {
                dt { "In all" }
                dd { b { (counted(total, "event")) } }
                dt { "Waiting" }
                dd {
                    (count(webhooks.waiting))
                    @if webhooks.waiting >= MAX_WAITING_COUNTED { " or more" }
                }
                @if let Some(at) = webhooks.last_at {
                    dt { "Last" }
                    dd { (self.watch.relative(at)) }
                }
            }
        }
    }
}
