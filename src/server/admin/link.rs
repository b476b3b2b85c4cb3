//! The page of one link: how it is and why, what can be done, and what its past was.

mod accounts;
mod actions;
mod past;
mod shown;
mod syncs;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use self::shown::Shown;
use super::frame::Frame;
use super::people::invite_button;
use super::visitor::Visitor;
use super::words::{Watch, state};
use super::{Admin, trouble};
use crate::store::StoreError;
use crate::sync::explain::Reason;
use crate::words::{consent, counted};

pub(super) fn router() -> Router<Admin> {
    Router::new().route("/links/{link}", get(show)).merge(actions::router())
}

#[derive(Deserialize)]
struct Came {
    /// What was just done, one of the words of [`actions`].
    done: Option<String>,
}

async fn show(
    State(admin): State<Admin>,
    visitor: Visitor,
    Path(link): Path<String>,
    Query(came): Query<Came>,
) -> Result<Response, Response> {
    let watch = admin.watch();
    let Ok(link_id) = link.parse::<i64>() else {
        return Err(not_found(&admin, &visitor));
    };
    let shown = match Shown::read(&admin, link_id, watch.now).await {
        Ok(shown) => shown,
        Err(StoreError::Missing { .. }) => return Err(not_found(&admin, &visitor)),
        Err(error) => return Err(trouble(&error)),
    };
    let title = format!("Link {link_id}");
    let frame =
        Frame { admin: &admin, visitor: &visitor, title: &title, place: "/links", is_live: came.done.is_none() };
    let page =
        LinkPage { shown: &shown, watch: &watch, form_token: frame.form_token(), can_invite: admin.can_invite() };
    Ok(frame.around(&page.content(came.done.as_deref().and_then(actions::notice))))
}

/// The page that says that there is no such link.
fn not_found(admin: &Admin, visitor: &Visitor) -> Response {
    let frame = Frame { admin, visitor, title: "No such link", place: "/links", is_live: false };
    let content = html! {
        h1 { "No such link" }
        p { "The store has no link with this number. " a href="/links" { "The list of links" } " has them all." }
    };
    frame.with_status(StatusCode::NOT_FOUND, &content)
}

struct LinkPage<'a> {
    shown: &'a Shown,
    watch: &'a Watch,
    form_token: Markup,
    can_invite: bool,
}

impl LinkPage<'_> {
    fn content(&self, notice: Option<&str>) -> Markup {
        let detail = &self.shown.known.detail;
        let reasons = self.shown.known.reasons(self.watch.now);
        html! {
            header.of-link {
                h1 { "Link " (detail.state.link_id) " " (state(&detail.state_word)) }
                p {
                    (detail.user) " at " (detail.institution.as_deref().unwrap_or("an unnamed bank"))
                    " · " a href=(format!("/#{}", detail.source)) { (detail.source) }
                }
                p.id { (detail.state.upstream_id) }
                (self.buttons())
            }
            @if let Some(notice) = notice { p.done role="status" { (notice) } }
            div.columns-of-link {
                section.card aria-labelledby="why" {
                    header { h2 #why { "Why it is as it is" } }
                    ul.reasons { @for reason in &reasons { li { (self.reason(reason)) } } }
                }
                section.card aria-labelledby="times" {
                    header { h2 #times { "At a glance" } }
                    (self.facts())
                }
            }
            (self.syncs())
            (self.accounts())
            (self.reconciliation())
            (self.refreshes())
            (self.events())
        }
    }

    fn buttons(&self) -> Markup {
        let link = &self.shown.known.detail.state;
        let is_removed = link.removed_at.is_some();
        let is_paused = link.paused_at.is_some();
        let button = |action: &str, label: &str, class: &str| {
            html! {
                form method="post" action=(format!("/links/{}/{action}", link.link_id)) {
                    (self.form_token)
                    button.(class) type="submit" { (label) }
                }
            }
        };
        html! {
            div.buttons {
                @if is_removed {
                    (button("resume", "Take it back", "plain"))
                } @else {
                    @if is_paused {
                        (button("resume", "Resume", "primary"))
                    } @else {
                        (button("sync", "Sync now", "primary"))
                        (button("pause", "Pause", "plain"))
                    }
                    (invite_button(link.link_id, self.can_invite, &self.form_token))
                }
            }
        }
    }

    fn reason(&self, reason: &Reason) -> Markup {
        html! {
            span.what { (reason.what) }
            @if let Some(until) = reason.until {
                span.until { (self.watch.instant(until)) " (" (self.watch.relative(until)) ")" }
            }
            @if !reason.remedy.is_empty() { span.remedy { (reason.remedy) } }
        }
    }

    fn facts(&self) -> Markup {
        let (detail, health) = (&self.shown.known.detail, &self.shown.known.health);
        let watch = self.watch;
        let at = |at: Option<Timestamp>| at.map_or_else(|| html! { "never" }, |at| watch.relative(at));
        let is_read = detail.state.paused_at.is_none() && detail.state.removed_at.is_none();
        html! {
            dl.facts {
                dt { "Last success" } dd { (at(detail.state.last_success_at)) }
                dt { "Last attempt" } dd { (at(detail.last_attempt_at)) }
                @if is_read {
                    dt { "Next" }
                    dd {
                        @if detail.state.due_at <= watch.now { "now" } @else { (watch.relative(detail.state.due_at)) }
                        ", cause " (detail.state.due_cause.as_str())
                    }
                }
                @if let Some(read) = health.refreshed_at { dt { "Read at the bank" } dd { (watch.relative(read)) } }
                @if let Some(left) = health.refreshes_left {
                    dt { "Refreshes left" }
                    dd { (left) " in the rolling day" }
                }
                @if let Some(ends) = health.consent_expires_at {
                    dt { "Consent" }
                    dd { (consent(ends, watch.now)) }
                }
                @if let Some(word) = &health.upstream_status { dt { "Upstream status" } dd { (word) } }
                dt { "First seen" } dd { (watch.relative(detail.state.first_seen_at)) }
                @if self.shown.rejected_rows > 0 {
                    dt { "Set aside" }
                    dd { (counted(self.shown.rejected_rows, "malformed row")) "; see rejected_rows in the store" }
                }
            }
        }
    }
}
