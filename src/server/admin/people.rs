//! What needs a person, link by link: what is wrong, since when, and a way to have the customer repair it.

use maud::{Markup, html};

use super::words::{Watch, link_name};
use crate::model::Attention;
use crate::store::HealthRow;
use crate::sync::explain::told;
use crate::words::consent;

/// What the tables need besides their rows.
pub(super) struct People<'a> {
    pub(super) watch: &'a Watch,
    /// The field that every form needs.
    pub(super) form_token: Markup,
    /// Whether an invite would lead anywhere.
    pub(super) can_invite: bool,
}

impl People<'_> {
    /// Links that need a person.
    pub(super) fn attention(&self, links: &[HealthRow]) -> Markup {
        if links.is_empty() {
            return html! { p.dim { "No link needs a person." } };
        }
        let what = |link: &HealthRow| {
            let advice = attention_of(link).map_or("", Attention::advice);
            let said = told(link.upstream_status.as_deref(), link.status_detail.as_deref())
                .filter(|_| link.status_detail.is_some());
            html! {
                span.state.attention { (link.attention.as_deref().unwrap_or_default().replace('_', " ")) }
                span.advice { (advice) }
                @if let Some(said) = said { span.said { "The aggregator says " (said) } }
            }
        };
        let since = |link: &HealthRow| html! { @if let Some(at) = link.attention_at { (self.watch.about(at)) } };
        let helps = |link: &HealthRow| attention_of(link).is_some_and(Attention::ends_by_reconnecting);
        self.table("Links that need a person", ["What is wrong, and what to do", "Since"], links, what, since, helps)
    }

    /// Links whose customer's consent ends soon.
    pub(super) fn consents(&self, links: &[HealthRow]) -> Markup {
        if links.is_empty() {
            return Markup::default();
        }
        let what = |link: &HealthRow| {
            let words = link.consent_expires_at.map_or_else(String::new, |at| consent(at, self.watch.now));
            html! {
                span.state.failing { (words) }
                span.advice { "ask the customer to reconnect this bank, which renews it" }
            }
        };
        let ends = |link: &HealthRow| html! { @if let Some(at) = link.consent_expires_at { (self.watch.about(at)) } };
        self.table(
            "Links whose consent ends soon",
            ["What is the case, and what to do", "Ends"],
            links,
            what,
            ends,
            |_| true,
        )
    }

    fn table(
        &self,
        caption: &str,
        heads: [&str; 2],
        links: &[HealthRow],
        what: impl Fn(&HealthRow) -> Markup,
        when: impl Fn(&HealthRow) -> Markup,
        reconnecting_helps: impl Fn(&HealthRow) -> bool,
    ) -> Markup {
        html! {
            div.wide tabindex="0" role="region" aria-label=(caption) {
                table.people {
                    caption.unseen { (caption) }
                    thead {
                        tr {
                            th scope="col" { "Link" }
                            th scope="col" { "Customer and bank" }
                            @for head in heads { th scope="col" { (head) } }
                            th scope="col" { span.unseen { "Repair" } }
                        }
                    }
                    tbody {
                        @for link in links {
                            tr {
                                th scope="row" { (link_name(link.link_id)) span.dim { (link.source) } }
                                td { (link.user) span.dim { (bank(link)) } }
                                td.what { (what(link)) }
                                td.when data-label=(heads[1]) { (when(link)) }
                                td.act { @if reconnecting_helps(link) { (self.invite(link.link_id)) } }
                            }
                        }
                    }
                }
            }
        }
    }

    fn invite(&self, link_id: i64) -> Markup {
        invite_button(link_id, self.can_invite, &self.form_token)
    }
}

/// The button that makes a reconnect invite; where none can be made, why.
pub(super) fn invite_button(link_id: i64, can_invite: bool, form_token: &Markup) -> Markup {
    html! {
        @if can_invite {
            form method="post" action=(format!("/links/{link_id}/invite")) {
                (form_token)
                button type="submit" { "Make a reconnect invite" span.unseen { " for link " (link_id) } }
            }
        } @else {
            span.dim { "Invites need " code { "public_listen" } }
        }
    }
}

fn bank(link: &HealthRow) -> &str {
    link.institution.as_deref().unwrap_or("an unnamed bank")
}

fn attention_of(link: &HealthRow) -> Option<Attention> {
    link.attention.as_deref().and_then(Attention::from_word)
}
