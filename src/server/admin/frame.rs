//! What every page has around it: the head, the way from page to page, the foot.

use axum::http::StatusCode;
use axum::http::header::{HeaderValue, REFERRER_POLICY};
use axum::response::{IntoResponse as _, Response};
use maud::{DOCTYPE, Markup, html};

use super::Admin;
use super::assets::ADDRESSES;
use super::change::TOKEN_FIELD;
use super::visitor::Visitor;
use crate::server::page::Page;

/// Nothing but our own style, script and pictures; forms go to us; nobody puts a page into a frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// A page of the dashboard.
pub(super) struct Frame<'a> {
    pub(super) admin: &'a Admin,
    pub(super) visitor: &'a Visitor,
    /// What stands in the browser's tab.
    pub(super) title: &'a str,
    /// The place in the navigation that this page is.
    pub(super) place: &'a str,
    /// Whether the page is loaded again by itself while somebody looks at it.
    pub(super) is_live: bool,
}

/// The places in the navigation.
const PLACES: [(&str, &str); 3] = [("/", "Overview"), ("/attention", "Needs a person"), ("/links", "Links")];

impl Frame<'_> {
    /// The page around `content`.
    pub(super) fn around(&self, content: &Markup) -> Response {
        self.with_status(StatusCode::OK, content)
    }

    /// The same with a status that says that something went wrong.
    pub(super) fn with_status(&self, status: StatusCode, content: &Markup) -> Response {
        let watch = self.admin.watch();
        let now = watch.now.to_zoned(watch.zone);
        let body = html! {
            a.skip href="#content" { "Skip to the content" }
            header.top {
                a.brand href="/" { (mark()) "Passbook" }
                nav aria-label="Pages" {
                    @for (path, name) in PLACES {
                        a href=(path) aria-current=[(path == self.place).then_some("page")] { (name) }
                    }
                }
                @if self.visitor.session().is_some() {
                    form.leave method="post" action="/logout" {
                        (self.form_token())
                        button.quiet type="submit" { "Log out" }
                    }
                }
            }
            main #content tabindex="-1" { (content) }
            footer.bottom {
                span { "Passbook " (env!("CARGO_PKG_VERSION")) }
                span { "As of " time datetime=(now.timestamp()) { (now.strftime("%Y-%m-%d %H:%M:%S %Z")) } }
                @if self.is_live { span #live hidden { "Refreshes every minute" } }
            }
        };
        document(status, self.title, self.is_live, &body)
    }

    /// The field that every form of this page needs.
    pub(super) fn form_token(&self) -> Markup {
        form_token(self.admin, self.visitor)
    }
}

/// The field that every form needs; nothing for a script, which needs none.
pub(super) fn form_token(admin: &Admin, visitor: &Visitor) -> Markup {
    html! {
        @if let Some(session) = visitor.session() {
            input type="hidden" name=(TOKEN_FIELD) value=(admin.sessions.form_token(session));
        }
    }
}

/// A page for somebody of whom nothing is known.
pub(super) fn bare(status: StatusCode, title: &str, content: &Markup) -> Response {
    let body = html! {
        main.bare #content {
            p.brand { (mark()) "Passbook" }
            (content)
        }
    };
    document(status, title, false, &body)
}

/// A page that says what was not done, and why.
pub(super) fn refusal(status: StatusCode, title: &str, words: &str) -> Response {
    let content = html! {
        h1 { (title) }
        p { (words) }
        p { a href="/" { "To the overview" } }
    };
    bare(status, title, &content)
}

fn document(status: StatusCode, title: &str, is_live: bool, body: &Markup) -> Response {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (title) " · Passbook" }
                link rel="icon" type="image/svg+xml" href=(ADDRESSES.mark);
                link rel="stylesheet" href=(ADDRESSES.style);
                script src=(ADDRESSES.script) defer {}
            }
            body data-live[is_live] { (body) }
        }
    };
    let mut response = Page { status, policy: POLICY.to_owned(), markup }.into_response();
    // With none at all browsers do not say either that a form was ours.
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// The mark beside the name: three lines of a ledger.
fn mark() -> Markup {
    html! {
        svg.mark viewBox="0 0 20 20" width="20" height="20" aria-hidden="true" {
            rect x="2" y="1" width="16" height="18" rx="3" {}
            path d="M6 6.5h8M6 10h8M6 13.5h4" {}
        }
    }
}
