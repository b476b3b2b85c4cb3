//! Columns over time, one or several parts on top of each other, with a line for what is allowed.

use maud::{Markup, html};

use super::scale::{edge, reach};
use crate::words::count;

/// Height of the picture; above the highest column there is a little air.
const HEIGHT: u32 = 100;
/// Width of one column with the gap beside it.
const PITCH: usize = 10;
const GAP: usize = 2;

/// One column.
#[derive(Debug, Clone, Default)]
pub(in crate::server::admin) struct Column {
    /// What it shows, in words.
    pub(in crate::server::admin) title: String,
    /// Its parts from the bottom up: style and number.
    pub(in crate::server::admin) parts: Vec<(&'static str, u64)>,
}

impl Column {
    fn total(&self) -> u64 {
        self.parts.iter().fold(0, |sum, (_, number)| sum.saturating_add(*number))
    }
}

/// Columns beside each other.
#[derive(Debug, Clone)]
pub(in crate::server::admin) struct Columns<'a> {
    /// What is shown, in words.
    pub(in crate::server::admin) title: &'a str,
    /// The columns, the earliest first.
    pub(in crate::server::admin) each: &'a [Column],
    /// What is allowed, drawn as a line; the picture then reaches at least up to it.
    pub(in crate::server::admin) limit: Option<u64>,
    /// What stands below the first, the middle and the last column.
    pub(in crate::server::admin) times: [String; 3],
}

impl Columns<'_> {
    /// The picture with the value of its upper edge and the times below it.
    pub(in crate::server::admin) fn plot(&self) -> Markup {
        let highest = self.each.iter().map(Column::total).max().unwrap_or(0);
        let top = match self.limit {
            // Room above the line, so that it is seen as one.
            Some(limit) => highest.max(limit.saturating_add(limit / 8)).max(1),
            None => edge(highest),
        };
        let width = self.each.len().max(1) * PITCH;
        let limit_is_top = self.limit.is_some_and(|limit| limit >= highest);
        html! {
            div.plot {
                div.scale aria-hidden="true" {
                    @match self.limit.filter(|_| limit_is_top) {
                        Some(limit) => span.limit { (count(limit)) },
                        None => span { (count(top)) },
                    }
                    span { "0" }
                }
                svg.columns role="img" viewBox=(format!("0 0 {width} {HEIGHT}")) preserveAspectRatio="none" {
                    title { (self.title) }
                    line.base x1="0" x2=(width) y1=(HEIGHT) y2=(HEIGHT) {}
                    @for (index, column) in self.each.iter().enumerate() {
                        @if column.total() > 0 { (drawn(column, index * PITCH, top)) }
                    }
                    @if let Some(limit) = self.limit {
                        @let y = HEIGHT - reach(limit, top, HEIGHT);
                        line.limit x1="0" x2=(width) y1=(y) y2=(y) { title { "Limit: " (count(limit)) } }
                    }
                }
                div.times aria-hidden="true" { @for time in &self.times { span { (time) } } }
            }
        }
    }
}

fn drawn(column: &Column, x: usize, top: u64) -> Markup {
    let mut below = 0_u64;
    let mut parts = Vec::new();
    for (class, number) in column.parts.iter().filter(|(_, number)| *number > 0) {
        let from = reach(below, top, HEIGHT);
        below = below.saturating_add(*number);
        let to = reach(below, top, HEIGHT).max(from + 1).min(HEIGHT);
        parts.push((class, HEIGHT - to, to - from.min(to)));
    }
    html! {
        g {
            title { (column.title) }
            // Also above a low column there is something to point at.
            rect.hover x=(x) y="0" width=(PITCH) height=(HEIGHT) {}
            @for (class, y, height) in parts {
                rect class=(class) x=(x + GAP / 2) y=(y) width=(PITCH - GAP) height=(height) {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(parts: &[(&'static str, u64)]) -> Column {
        Column { title: "a day".to_owned(), parts: parts.to_vec() }
    }

    fn drawn_with(columns: &[Column], limit: Option<u64>) -> String {
        let times = ["1".to_owned(), String::new(), "now".to_owned()];
        Columns { title: "Rows <per> day", each: columns, limit, times }.plot().into_string()
    }

    #[test]
    fn parts_stand_on_top_of_each_other() {
        let text = drawn_with(&[column(&[("added", 25), ("changed", 25)])], None);
        assert!(text.contains(r#"<rect class="added" x="1" y="50" width="8" height="50">"#), "{text}");
        assert!(text.contains(r#"<rect class="changed" x="1" y="0" width="8" height="50">"#), "{text}");
        assert!(text.contains("<title>Rows &lt;per&gt; day</title>"), "{text}");
    }

    #[test]
    fn the_limit_is_a_line_below_the_upper_edge() {
        let text = drawn_with(&[column(&[("used", 300)])], Some(300));
        assert!(text.contains(r#"<line class="limit" x1="0" x2="10" y1="11" y2="11">"#), "{text}");
        assert!(text.contains(r#"<rect class="used" x="1" y="11" width="8" height="89">"#), "{text}");
        assert!(text.contains(r#"<span class="limit">300</span>"#), "{text}");
    }

    #[test]
    fn nothing_is_drawn_of_nothing_and_no_number_is_too_large() {
        assert!(!drawn_with(&[], None).contains("<rect"));
        assert!(!drawn_with(&[column(&[("used", 0)])], Some(0)).contains("class=\"used\""));
        let huge = drawn_with(&[column(&[("used", u64::MAX), ("more", u64::MAX)])], Some(u64::MAX));
        assert!(huge.contains("class=\"used\""));
    }
}
