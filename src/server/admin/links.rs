//! The list of links: by state, source and search, page by page.

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use maud::{Markup, html};
use serde::Deserialize;
use url::form_urlencoded;

use super::frame::Frame;
use super::visitor::Visitor;
use super::words::{STATES, Watch, link_name, state};
use super::{Admin, trouble};
use crate::store::{HealthRow, LinkFilter, LinkOrder, LinkPage, ReadTxn};
use crate::sync::explain::note;
use crate::words::counted;

/// Links on one page.
const PAGE_SIZE: usize = 50;
/// Characters of a search; ids are shorter.
const MAX_SEARCH_CHARS: usize = 100;
/// Beyond it no page is asked for by a person.
const MAX_PAGE: usize = 1_000_000;

const ORDERS: [(&str, LinkOrder, &str); 3] = [
    ("stalest", LinkOrder::Stalest, "Stalest first"),
    ("freshest", LinkOrder::Freshest, "Freshest first"),
    ("oldest", LinkOrder::Oldest, "In order of discovery"),
];

pub(super) fn router() -> Router<Admin> {
    Router::new().route("/links", get(list))
}

/// What is asked for; whatever is none of the choices counts as not said.
#[derive(Debug, Default, Deserialize)]
struct Asked {
    state: Option<String>,
    source: Option<String>,
    q: Option<String>,
    order: Option<String>,
    page: Option<String>,
}

/// The same, read.
#[derive(Debug, Default, PartialEq, Eq)]
struct View {
    filter: LinkFilter,
    order: LinkOrder,
    /// From 1.
    page: usize,
}

impl View {
    fn of(asked: Asked) -> Self {
        let said = |text: Option<String>| text.map(|t| t.trim().to_owned()).filter(|text| !text.is_empty());
        let is_state = |word: &String| STATES.iter().any(|(state, _)| state == word);
        let order = ORDERS.iter().find(|(word, _, _)| asked.order.as_deref() == Some(*word));
        Self {
            filter: LinkFilter {
                state: said(asked.state).filter(is_state),
                source: said(asked.source),
                search: said(asked.q).map(|text| text.chars().take(MAX_SEARCH_CHARS).collect()),
            },
            order: order.map_or(LinkOrder::default(), |(_, order, _)| *order),
            page: asked.page.and_then(|page| page.parse().ok()).unwrap_or(1).clamp(1, MAX_PAGE),
        }
    }

    /// The address of another page of this view.
    fn address(&self, page: usize) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let filter = &self.filter;
        for (name, value) in [("state", &filter.state), ("source", &filter.source), ("q", &filter.search)] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        if self.order != LinkOrder::default() {
            query.append_pair("order", self.order_word());
        }
        if page > 1 {
            query.append_pair("page", &page.to_string());
        }
        let query = query.finish();
        if query.is_empty() { "/links".to_owned() } else { format!("/links?{query}") }
    }

    fn order_word(&self) -> &'static str {
        ORDERS.iter().find(|(_, order, _)| *order == self.order).map_or("stalest", |(word, _, _)| word)
    }
}

async fn list(State(admin): State<Admin>, visitor: Visitor, Query(asked): Query<Asked>) -> Result<Response, Response> {
    let watch = admin.watch();
    let view = View::of(asked);
    let (filter, order, offset) = (view.filter.clone(), view.order, (view.page - 1) * PAGE_SIZE);
    let read = move |txn: &ReadTxn<'_>| Ok((txn.list_links(&filter, order, offset, PAGE_SIZE)?, txn.source_names()?));
    let (LinkPage { total, links }, sources) =
        admin.served.engine.store().read(read).await.map_err(|error| trouble(&error))?;
    let content = html! {
        h1 { "Links" }
        section.card aria-label="Links" {
            (filters(&view, &sources))
            p.dim role="status" {
                (counted(total, "link"))
                @if view.filter.state.is_none() { ", removed ones left out" }
            }
            (table(&links, &watch))
            (pages(&view, total))
        }
    };
    let frame = Frame { admin: &admin, visitor: &visitor, title: "Links", place: "/links", is_live: false };
    Ok(frame.around(&content))
}

fn filters(view: &View, sources: &[String]) -> Markup {
    let filter = &view.filter;
    html! {
        form.filters method="get" action="/links" role="search" {
            label { span { "State" }
                select name="state" {
                    option value="" { "all but removed" }
                    @for (word, label) in STATES {
                        option value=(word) selected[filter.state.as_deref() == Some(word)] { (label) }
                    }
                }
            }
            label { span { "Source" }
                select name="source" {
                    option value="" { "all" }
                    @for name in sources {
                        option value=(name) selected[filter.source.as_ref() == Some(name)] { (name) }
                    }
                }
            }
            label.search { span { "Upstream id, customer or bank" }
                input type="search" name="q" value=[filter.search.as_deref()] maxlength=(MAX_SEARCH_CHARS);
            }
            label { span { "Order" }
                select name="order" {
                    @for (word, order, label) in ORDERS {
                        option value=(word) selected[view.order == order] { (label) }
                    }
                }
            }
            button type="submit" { "Show" }
        }
    }
}

fn table(links: &[HealthRow], watch: &Watch) -> Markup {
    if links.is_empty() {
        return html! { p { "No link is like that." } };
    }
    html! {
        div.wide tabindex="0" role="region" aria-label="Links" {
            table.links {
                caption.unseen { "Links with their state and when they were last read" }
                thead {
                    tr {
                        th scope="col" { "Link" }
                        th scope="col" { "State" }
                        th scope="col" { "Customer and bank" }
                        th.number scope="col" { "Last success" }
                        th.number scope="col" { "Next" }
                        th.id scope="col" { "Upstream id" }
                        th scope="col" { "Note" }
                    }
                }
                tbody {
                    @for link in links {
                        tr {
                            th scope="row" { (link_name(link.link_id)) span.dim { (link.source) } }
                            td { (state(&link.state)) }
                            td { (link.user) span.dim { (link.institution.as_deref().unwrap_or("an unnamed bank")) } }
                            td.number { (watch.about_or_never(link.last_success_at)) }
                            td.number {
                                @if matches!(link.state.as_str(), "paused" | "removed") { "–" }
                                @else if link.due_at <= watch.now { "now" }
                                @else { (watch.about(link.due_at)) }
                            }
                            td.id { (link.upstream_link_id) }
                            td.note { (note(link, watch.now)) }
                        }
                    }
                }
            }
        }
    }
}

fn pages(view: &View, total: u64) -> Markup {
    let last = usize::try_from(total).unwrap_or(usize::MAX).div_ceil(PAGE_SIZE).max(1);
    html! {
        @if last > 1 || view.page > 1 {
            nav.pages aria-label="Pages of links" {
                @if view.page > 1 { a rel="prev" href=(view.address((view.page - 1).min(last))) { "Previous" } }
                @else { span.dim { "Previous" } }
                span { "Page " (view.page) " of " (last) }
                @if view.page < last { a rel="next" href=(view.address(view.page + 1)) { "Next" } }
                @else { span.dim { "Next" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_none_of_the_choices_counts_as_not_said() {
        let asked = Asked {
            state: Some("'; DROP TABLE links".to_owned()),
            order: Some("up".to_owned()),
            page: Some("-3".to_owned()),
            q: Some("   ".to_owned()),
            source: None,
        };
        assert_eq!(View::of(asked), View { page: 1, ..View::default() });
    }

    #[test]
    fn the_address_of_a_page_keeps_what_was_asked_for() {
        let asked = Asked {
            state: Some("failing".to_owned()),
            q: Some("a&b=c%".to_owned()),
            order: Some("oldest".to_owned()),
            ..Asked::default()
        };
        assert_eq!(View::of(asked).address(3), "/links?state=failing&q=a%26b%3Dc%25&order=oldest&page=3");
        assert_eq!(View::of(Asked::default()).address(1), "/links");
    }
}
