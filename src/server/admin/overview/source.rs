//! The card of one source: its links, how fresh they are, what it sends, costs and brings.

mod days;
mod requests;
mod webhooks;

use maud::{Markup, html};

use super::seen::SeenSource;
use crate::server::admin::plots::{Share, proportion};
use crate::server::admin::words::{STATES, Watch, state_class};
use crate::words::{count, counted};

/// What the card needs to know besides what the store says of its source.
pub(super) struct Card<'a> {
    pub(super) source: &'a SeenSource,
    pub(super) watch: &'a Watch,
    /// Whether webhooks can come in at all.
    pub(super) has_public_side: bool,
}

impl Card<'_> {
    pub(super) fn show(&self) -> Markup {
        let glance = &self.source.glance;
        html! {
            article.card.source id=(glance.name) aria-labelledby=(format!("{}-name", glance.name)) {
                header {
                    h3 id=(format!("{}-name", glance.name)) { (glance.name) }
                    p.dim { (glance.aggregator) " · " (counted(glance.users, "customer")) }
                    (self.verdict())
                }
                @if let Some(error) = &glance.discover_error {
                    p.problem { "The last listing of users and links failed: " (error) }
                }
                (self.links())
                @if glance.retired_at.is_none() {
                    (self.rows())
                    (self.requests())
                    (self.webhooks())
                    (self.refreshes())
                }
            }
        }
    }

    fn verdict(&self) -> Markup {
        let now = self.watch.now;
        let (class, words) = if let Some(at) = self.source.glance.retired_at {
            ("paused", html! { "not configured since " (self.watch.day(at)) })
        } else if let Some(until) = self.source.refused_until(now) {
            ("attention", html! { "credentials refused, tried again " (self.watch.relative(until)) })
        } else if self.source.stale_since().is_some() {
            ("attention", html! { "stale" })
        } else if let Some(until) = self.source.resting_until(now) {
            let reason = self.source.glance.hold_reason.as_deref().unwrap_or("a limit");
            ("deferred", html! { (reason) ", goes on " (self.watch.relative(until)) })
        } else if self.source.links.readable == 0 {
            let is_empty = STATES.iter().all(|(word, _)| *word == "removed" || self.source.in_state(word) == 0);
            if is_empty {
                ("new", html! { "nothing to read yet" })
            } else {
                ("deferred", html! { "no link can be read" })
            }
        } else {
            ("ok", html! { "delivers" })
        };
        html! { p { span.state.(class) { (words) } } }
    }

    fn links(&self) -> Markup {
        let links = &self.source.links;
        let name = &self.source.glance.name;
        let hrefs: Vec<String> = STATES.iter().map(|(word, _)| format!("/links?state={word}&source={name}")).collect();
        let shares: Vec<Share<'_>> = STATES
            .iter()
            .zip(&hrefs)
            .map(|((word, label), href)| Share {
                label,
                class: state_class(word),
                number: self.source.in_state(word),
                href: Some(href),
            })
            .collect();
        html! {
            section {
                h4 { "Links" }
                (proportion("Links by state", &shares))
                dl.facts {
                    @if self.source.fresh_since.is_some() {
                        dt { "Fresh" }
                        dd { b { (count(links.fresh)) } " of " (count(links.readable)) " read within the schedule" }
                    }
                    dt { "Last success" }
                    dd { (links.newest_success_at.map_or_else(|| html! { "never" }, |at| self.watch.relative(at))) }
                    @if let Some(stalest) = links.stalest {
                        dt { "Stalest" }
                        dd {
                            a href=(format!("/links/{}", stalest.link_id)) { "Link " (stalest.link_id) } ", "
                            @match stalest.last_success_at {
                                Some(at) => (self.watch.relative(at)),
                                None => "not read yet",
                            }
                        }
                    }
                    @if self.source.rejected_rows > 0 {
                        dt { "Set aside" }
                        dd { (counted(self.source.rejected_rows, "malformed row")) "; see rejected_rows in the store" }
                    }
                }
            }
        }
    }
}
