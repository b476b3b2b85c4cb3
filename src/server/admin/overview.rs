//! The overview: the state of everything at a glance, then what needs a person, then each source.

mod headline;
mod seen;
mod source;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use maud::{Markup, html};

use self::headline::{Fact, Level, facts};
use self::seen::Seen;
use self::source::Card;
use super::frame::Frame;
use super::people::People;
use super::visitor::Visitor;
use super::words::Watch;
use super::{Admin, trouble};
use crate::words::count;

/// Links that need a person listed on the overview; there is a page for all of them.
const LISTED_HERE: usize = 8;
/// The same on that page.
const LISTED_ALL: usize = 500;

pub(super) fn router() -> Router<Admin> {
    Router::new().route("/", get(overview)).route("/attention", get(attention))
}

async fn overview(State(admin): State<Admin>, visitor: Visitor) -> Result<Response, Response> {
    let watch = admin.watch();
    let seen = Seen::read(&admin, watch.now, LISTED_HERE).await.map_err(|error| trouble(&error))?;
    let facts = facts(&seen, watch.now);
    let needing: u64 = seen.sources.iter().map(|source| source.in_state("attention")).sum();
    let frame = Frame { admin: &admin, visitor: &visitor, title: &title(&facts), place: "/", is_live: true };
    let people = People { watch: &watch, form_token: frame.form_token(), can_invite: admin.can_invite() };
    let content = html! {
        (headline(&facts))
        (figures(&seen, &watch))
        @if needing > 0 || !seen.consents.is_empty() {
            section.card aria-labelledby="people" {
                header { h2 #people { "What needs a person" } }
                (people.attention(&seen.people))
                @if needing > seen.people.len() as u64 {
                    p { a href="/attention" { "All " (count(needing)) " links that need a person" } }
                }
                @if !seen.consents.is_empty() { h3.minor { "Consents that end within 14 days" } }
                (people.consents(&seen.consents))
            }
        }
        h2 #sources { "Sources" }
        @if seen.sources.is_empty() { p.dim { "No source is configured." } }
        div.sources {
            @for source in &seen.sources {
                (Card { source, watch: &watch, has_public_side: admin.served.public().is_some() }.show())
            }
        }
    };
    Ok(frame.around(&content))
}

async fn attention(State(admin): State<Admin>, visitor: Visitor) -> Result<Response, Response> {
    let watch = admin.watch();
    let seen = Seen::read(&admin, watch.now, LISTED_ALL).await.map_err(|error| trouble(&error))?;
    let frame = Frame { admin: &admin, visitor: &visitor, title: "Needs a person", place: "/attention", is_live: true };
    let people = People { watch: &watch, form_token: frame.form_token(), can_invite: admin.can_invite() };
    let of_sources: Vec<Fact> = facts(&seen, watch.now)
        .into_iter()
        .filter(|fact| fact.href.starts_with('#') && fact.href != "#sources")
        .collect();
    let needing: u64 = seen.sources.iter().map(|source| source.in_state("attention")).sum();
    let content = html! {
        h1 { "What needs a person" }
        @if !of_sources.is_empty() {
            section.card aria-labelledby="of-sources" {
                header { h2 #of-sources { "Sources" } }
                ul.facts { @for fact in &of_sources { li { (fact_line(fact, "/")) } } }
            }
        }
        section.card aria-labelledby="of-links" {
            header { h2 #of-links { "Links" } }
            (people.attention(&seen.people))
            @if needing > seen.people.len() as u64 {
                p { a href="/links?state=attention" { "All " (count(needing)) " links that need a person" } }
            }
        }
        section.card aria-labelledby="consents" {
            header { h2 #consents { "Consents that end within 14 days" } }
            (people.consents(&seen.consents))
            @if seen.consents.is_empty() { p.dim { "None does." } }
        }
    };
    Ok(frame.around(&content))
}

fn title(facts: &[Fact]) -> String {
    facts.first().map_or_else(String::new, |fact| fact.words.clone())
}

fn headline(facts: &[Fact]) -> Markup {
    let Some((first, others)) = facts.split_first() else {
        return Markup::default();
    };
    html! {
        section.headline.(first.level.class()) aria-label="State" {
            p.level { (first.level.word()) }
            h1 { a href=(first.href) { (first.words) } }
            @if !others.is_empty() {
                ul.facts { @for fact in others { li { (fact_line(fact, "")) } } }
            }
        }
    }
}

fn fact_line(fact: &Fact, page: &str) -> Markup {
    let href = if fact.href.starts_with('#') { format!("{page}{}", fact.href) } else { fact.href.clone() };
    html! {
        a.fact.(fact.level.class()) href=(href) {
            @if fact.level >= Level::Warning { span.unseen { (fact.level.word()) ": " } }
            (fact.words)
        }
    }
}

/// The few numbers that say most, over all sources.
fn figures(seen: &Seen, watch: &Watch) -> Markup {
    let sources = || seen.sources.iter().filter(|source| source.glance.retired_at.is_none());
    let fresh: u64 = sources().map(|source| source.links.fresh).sum();
    let readable: u64 = sources().map(|source| source.links.readable).sum();
    let in_state = |word| sources().map(|source| source.in_state(word)).sum::<u64>();
    let today = || sources().filter_map(|source| source.today(watch.now));
    let added: u64 = today().map(|day| day.rows_added).sum();
    let changed: u64 = today().map(|day| day.rows_changed + day.rows_removed).sum();
    let waiting: u64 = sources().map(|source| source.webhooks.waiting).sum();
    let percent = (fresh * 100).checked_div(readable);
    html! {
        dl.figures {
            div {
                dt { "Fresh" }
                dd { @match percent { Some(percent) => { (percent) " %" }, None => "–" } }
                dd.note { (count(fresh)) " of " (count(readable)) " links read within their schedule" }
            }
            div {
                dt { "Needs a person" }
                dd { a href="/attention" { (count(in_state("attention"))) } }
                dd.note { (count(in_state("failing"))) " more failing, tried again by itself" }
            }
            div {
                dt { "New transactions today" }
                dd { (count(added)) }
                dd.note { (count(changed)) " changed or removed (UTC day)" }
            }
            div {
                dt { "Webhooks waiting" }
                dd { (count(waiting)) }
                dd.note { "announced and not handled yet" }
            }
        }
    }
}
