//! Small pieces of text that several pages need: instants, states, outcomes.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use maud::{Markup, html};

use crate::words::{about, relative};

/// Tells instants as of one moment in one zone.
#[derive(Clone)]
pub(super) struct Watch {
    pub(super) now: Timestamp,
    pub(super) zone: TimeZone,
}

impl Watch {
    /// How long ago or in how long, with the instant itself for those who point at it.
    pub(super) fn relative(&self, at: Timestamp) -> Markup {
        self.time(at, &relative(at, self.now))
    }

    /// The same with its largest unit only, for tables.
    pub(super) fn about(&self, at: Timestamp) -> Markup {
        self.time(at, &about(at, self.now))
    }

    /// The same of an instant that may be none.
    pub(super) fn about_or_never(&self, at: Option<Timestamp>) -> Markup {
        at.map_or_else(|| html! { "never" }, |at| self.about(at))
    }

    /// The day and the time of day.
    pub(super) fn instant(&self, at: Timestamp) -> Markup {
        self.time(at, &self.written(at, "%m-%d %H:%M:%S"))
    }

    /// `09:15`.
    pub(super) fn time_of_day(&self, at: Timestamp) -> String {
        self.written(at, "%H:%M")
    }

    /// `3 Mar`.
    pub(super) fn day(&self, at: Timestamp) -> String {
        self.written(at, "%-d %b")
    }

    fn written(&self, at: Timestamp, format: &str) -> String {
        at.to_zoned(self.zone.clone()).strftime(format).to_string()
    }

    fn time(&self, at: Timestamp, words: &str) -> Markup {
        html! {
            time datetime=(at) title=(self.written(at, "%Y-%m-%d %H:%M:%S %Z")) { (words) }
        }
    }
}

/// The states of a link as the store says them, in the order in which they are shown, and what each is called.
pub(super) const STATES: [(&str, &str); 6] = [
    ("attention", "need a person"),
    ("failing", "failing"),
    ("new", "new"),
    ("active", "active"),
    ("paused", "paused"),
    ("removed", "removed"),
];

/// The style of a link's state.
pub(super) fn state_class(word: &str) -> &'static str {
    match word {
        "active" => "active",
        "attention" => "attention",
        "failing" => "failing",
        "new" => "new",
        "paused" => "paused",
        _ => "removed",
    }
}

/// The state of a link: a sign, a colour and a word.
pub(super) fn state(word: &str) -> Markup {
    let shown = if word == "attention" { "needs a person" } else { word };
    html! { span.state.(state_class(word)) { (shown) } }
}

/// The style of how a sync ended.
pub(super) fn outcome_class(word: Option<&str>) -> &'static str {
    match word {
        Some("ok") => "ok",
        Some("partial") => "partial",
        Some("deferred") => "deferred",
        Some("attention") => "attention",
        Some("failed") => "failed",
        _ => "running",
    }
}

/// How a sync ended: a sign, a colour and a word.
pub(super) fn outcome(word: Option<&str>) -> Markup {
    html! { span.state.(outcome_class(word)) { (word.unwrap_or("running")) } }
}

/// Who a link belongs to and where it leads, as a way to its page.
pub(super) fn link_name(link_id: i64) -> Markup {
    html! { a href=(format!("/links/{link_id}")) { "Link " (link_id) } }
}
