//! The pages themselves: markup, and the policy each is shown under.
//!
//! Nothing inline but markup: styles and scripts are files of ours, and the only foreign thing a page may load is the
//! aggregator's widget.

use axum::http::StatusCode;
use axum::http::header::{HeaderName, HeaderValue, REFRESH};
use axum::response::{IntoResponse as _, Response};
use maud::{DOCTYPE, Markup, html};
use url::Url;

use super::glue_path;
use super::language::Language;
use super::visit::Visit;
use super::words::{Notice, Words};
use crate::secret::Secret;
use crate::server::Served;
use crate::server::page::Page;

/// What every page is held to; what it adds goes before it.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";
/// After how many seconds the browser goes on by itself: long enough to see where to.
const GOES_ON_AFTER_SECONDS: u32 = 1;

/// What a notice is about, as its picture shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// It worked.
    Good,
    /// It goes on by itself.
    Waiting,
    /// It goes no further here.
    Stopped,
}

/// What stands around the content of a page.
struct Frame<'a> {
    served: &'a Served,
    language: Language,
    title: &'a str,
    /// The path under which the page is had in other languages; empty for the one it was asked by.
    here: &'a str,
    scripts: &'a [String],
}

impl Frame<'_> {
    fn around(&self, content: &Markup) -> Markup {
        let words = Words::of(self.language);
        let host = self.served.public().and_then(|public| public.url.host_str()).unwrap_or_default();
        html! {
            (DOCTYPE)
            html lang=(self.language.tag()) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="robots" content="noindex";
                    title { (self.title) " · " (host) }
                    link rel="icon" href="data:,";
                    link rel="stylesheet" href="/connect/assets/connect.css";
                    @for script in self.scripts {
                        script src=(script) defer {}
                    }
                }
                body {
                    a.skip href="#content" { (words.skip) }
                    header.top {
                        (lock())
                        span.host { (host) }
                    }
                    main #content.card tabindex="-1" { (content) }
                    footer.bottom {
                        nav aria-label=(words.languages) {
                            @for language in Language::ALL {
                                @if language == self.language {
                                    span aria-current="true" lang=(language.tag()) { (language.own_name()) }
                                } @else {
                                    a href={ (self.here) "?lang=" (language.tag()) } lang=(language.tag()) hreflang=(language.tag()) {
                                        (language.own_name())
                                    }
                                }
                            }
                        }
                        p { (words.footer) }
                    }
                }
            }
        }
    }

    fn page(&self, status: StatusCode, policy: String, content: &Markup) -> Page {
        Page { status, policy, markup: self.around(content) }
    }
}

/// Who asks, for what, and what will happen.
pub(super) fn landing(visit: &Visit) -> Page {
    let words = visit.words();
    let is_repair = visit.invite.link_id.is_some();
    let title = match &visit.invite.institution {
        Some(bank) if is_repair => format!("{} {bank}", words.repair_title),
        _ if is_repair => words.repair_unnamed_title.to_owned(),
        _ => words.connect_title.to_owned(),
    };
    let host = visit.served.public().and_then(|public| public.url.host_str()).unwrap_or_default();
    let (asks, steps) = if is_repair {
        (words.asks_to_repair, &words.repair_steps)
    } else {
        (words.asks_to_connect, &words.connect_steps)
    };
    let content = html! {
        (picture(Picture::Bank))
        h1 { (title) }
        p.lead { strong { (host) } " " (asks) }
        h2 { (words.steps_title) }
        ol.steps {
            @for (step, detail) in steps {
                li { strong { (step) } span { (detail) } }
            }
        }
        ul.promises {
            @for promise in words.promises {
                li { (check()) span { (promise) } }
            }
        }
        form method="post" action=(visit.path("/begin")) {
            button.primary type="submit" { (words.continue_button) }
        }
        p.quiet { (words.good_until) " " (words.day(visit.invite.expires_at)) "." }
    };
    let frame = Frame { served: &visit.served, language: visit.language, title: &title, here: "", scripts: &[] };
    frame.page(StatusCode::OK, POLICY.to_owned(), &content)
}

/// The page that opens the aggregator's widget.
pub(super) fn widget(visit: &Visit, token: &Secret, script: &Url, origins: &[String]) -> Response {
    let words = visit.words();
    let content = html! {
        (picture(Picture::Bank))
        h1 { (words.widget_title) }
        noscript { p.alert { (words.widget_no_script) } }
        div #stage data-script=(script) data-token=(token.expose()) data-finish=(visit.path("/finish")) {
            p #status.lead role="status" aria-live="polite" { (words.widget_opening) }
            p #alert.alert role="alert" hidden {}
            button #again.primary type="button" hidden { (words.again_button) }
        }
        div #messages hidden {
            p data-message="open" { (words.widget_open) }
            p data-message="saving" { (words.widget_saving) }
            p data-message="closed" { (words.widget_closed) }
            p data-message="missing" { (words.widget_missing) }
            p data-message="network" { (words.network) }
            @for (name, text) in words.failures {
                p data-message={ "failed-" (name) } { (text) }
            }
        }
        p.quiet { a href=(visit.path("")) { (words.widget_stuck) } }
    };
    let scripts = [glue_path(visit.invite.source_id), "/connect/assets/connect.js".to_owned()];
    let here = visit.base();
    let frame = Frame {
        served: &visit.served,
        language: visit.language,
        title: words.widget_title,
        here: &here,
        scripts: &scripts,
    };
    let (from, origins) = (script.origin().ascii_serialization(), origins.join(" "));
    let policy = format!("{POLICY}; script-src 'self' {from}; frame-src {origins}; connect-src 'self' {origins}");
    let mut response = frame.page(StatusCode::OK, policy, &content).into_response();
    // Banks open windows of their own for the login, which must find back to the widget.
    let opener = HeaderValue::from_static("same-origin-allow-popups");
    response.headers_mut().insert(HeaderName::from_static("cross-origin-opener-policy"), opener);
    response
}

/// The page that goes on to the aggregator's own pages.
///
/// Not a redirect: the policy of the page with the button would hold for where it leads, too.
pub(super) fn leaving(visit: &Visit, url: &Url) -> Response {
    let words = visit.words();
    let (title, text) = words.leaving;
    let content = html! {
        (picture(Picture::Leaving))
        h1 { (title) }
        p.lead { (text) }
        a.primary href=(url) rel="noreferrer" { (words.leaving_button) }
        p.quiet { (url.host_str().unwrap_or_default()) }
    };
    let here = visit.base();
    let frame = Frame { served: &visit.served, language: visit.language, title, here: &here, scripts: &[] };
    let mut response = frame.page(StatusCode::OK, POLICY.to_owned(), &content).into_response();
    if let Ok(value) = HeaderValue::from_str(&format!("{GOES_ON_AFTER_SECONDS}; url={url}")) {
        response.headers_mut().insert(REFRESH, value);
    }
    response
}

/// It worked.
pub(super) fn done(visit: &Visit) -> Page {
    let words = visit.words();
    let text = if visit.invite.link_id.is_some() { words.repaired } else { words.done };
    let here = format!("{}/done", visit.base());
    notice(&visit.served, visit.language, StatusCode::OK, Tone::Good, text, Some(&here), None)
}

/// It will have worked.
pub(super) fn pending(visit: &Visit) -> Page {
    let here = format!("{}/done", visit.base());
    let text = visit.words().pending;
    notice(&visit.served, visit.language, StatusCode::OK, Tone::Waiting, text, Some(&here), None)
}

/// A page that says one thing, and where to try again if that may help.
pub(super) fn notice(
    served: &Served,
    language: Language,
    status: StatusCode,
    tone: Tone,
    (title, text): Notice,
    here: Option<&str>,
    again: Option<&str>,
) -> Page {
    let content = html! {
        (picture(match tone { Tone::Good => Picture::Good, Tone::Waiting => Picture::Waiting, Tone::Stopped => Picture::Stopped }))
        h1 { (title) }
        p.lead { (text) }
        @if let Some(again) = again {
            a.primary href=(again) { (Words::of(language).again_button) }
        }
    };
    let frame = Frame { served, language, title, here: here.unwrap_or_default(), scripts: &[] };
    frame.page(status, POLICY.to_owned(), &content)
}

#[derive(Clone, Copy)]
enum Picture {
    Bank,
    Good,
    Waiting,
    Leaving,
    Stopped,
}

/// The picture at the top of a page; says nothing that the text does not.
fn picture(picture: Picture) -> Markup {
    let (class, path) = match picture {
        Picture::Bank => {
            ("picture", "M4 10 12 4.5 20 10M5 10h14M6.5 10v7M10.2 10v7M13.8 10v7M17.5 10v7M4.5 19.5h15M5.5 17h13")
        }
        Picture::Good => ("picture good", "M5.5 12.5 10 17l8.5-9.5"),
        Picture::Waiting => ("picture", "M12 7v5l3.2 2M12 3.8a8.2 8.2 0 1 1-.01 0"),
        Picture::Leaving => ("picture", "M5 12h13M12.5 6.5 18 12l-5.5 5.5"),
        Picture::Stopped => ("picture stopped", "M12 7.5v5.5M12 16.3v.2M12 3.8a8.2 8.2 0 1 1-.01 0"),
    };
    html! { div class=(class) aria-hidden="true" { (stroke(path)) } }
}

fn check() -> Markup {
    stroke("M5.5 12.5 10 17l8.5-9.5")
}

fn lock() -> Markup {
    stroke("M8 10.5V8a4 4 0 0 1 8 0v2.5M6.5 10.5h11v9h-11z")
}

fn stroke(path: &str) -> Markup {
    html! {
        svg viewBox="0 0 24 24" width="24" height="24" fill="none" stroke="currentColor" stroke-width="1.8"
            stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false" {
            path d=(path) {}
        }
    }
}
