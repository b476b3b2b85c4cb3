//! How a whole is made up: one bar in parts, and a legend that says the same in words.

use maud::{Markup, html};

use super::scale::reach;
use crate::words::count;

/// Width of the picture.
const WIDTH: u32 = 1000;
/// What the smallest part takes, so that one among thousands is seen.
const MIN_WIDTH: u32 = 8;

/// One part of a whole.
#[derive(Debug, Clone, Copy)]
pub(in crate::server::admin) struct Share<'a> {
    /// What it is.
    pub(in crate::server::admin) label: &'a str,
    /// What style it has, and so which colour.
    pub(in crate::server::admin) class: &'static str,
    /// How much of it there is; nothing of it is left out.
    pub(in crate::server::admin) number: u64,
    /// Where to look at it.
    pub(in crate::server::admin) href: Option<&'a str>,
}

/// A bar and its legend.
///
/// Shape: a bar without parts, and no legend, where there is nothing.
pub(in crate::server::admin) fn proportion(of: &str, shares: &[Share<'_>]) -> Markup {
    let shares: Vec<&Share<'_>> = shares.iter().filter(|share| share.number > 0).collect();
    let words: Vec<String> = shares.iter().map(|share| format!("{} {}", count(share.number), share.label)).collect();
    let title = if words.is_empty() { format!("{of}: none") } else { format!("{of}: {}", words.join(", ")) };
    html! {
        svg.proportion role="img" viewBox=(format!("0 0 {WIDTH} 10")) preserveAspectRatio="none" {
            title { (title) }
            rect.track x="0" y="0" width=(WIDTH) height="10" {}
            @for (share, (x, width)) in shares.iter().zip(widths(&shares)) {
                rect class=(share.class) x=(x) y="0" width=(width) height="10" {
                    title { (count(share.number)) " " (share.label) }
                }
            }
        }
        @if !shares.is_empty() {
            ul.legend {
                @for share in &shares {
                    li {
                        span.swatch.(share.class) {}
                        @if let Some(href) = share.href {
                            a href=(href) { b { (count(share.number)) } " " (share.label) }
                        } @else {
                            b { (count(share.number)) } " " (share.label)
                        }
                    }
                }
            }
        }
    }
}

/// Where each part begins and how wide it is. What the small ones take too much, the widest gives.
fn widths(shares: &[&Share<'_>]) -> Vec<(u32, u32)> {
    let total = shares.iter().fold(0_u64, |sum, share| sum.saturating_add(share.number));
    let mut widths: Vec<u32> =
        shares.iter().map(|share| reach(share.number, total, WIDTH).max(MIN_WIDTH.min(WIDTH))).collect();
    let sum: u32 = widths.iter().sum();
    if let Some(widest) = widths.iter_mut().max() {
        *widest = (*widest + WIDTH).saturating_sub(sum);
    }
    let mut x = 0;
    widths
        .into_iter()
        .map(|width| {
            let part = (x, width);
            x += width;
            part
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(label: &'static str, number: u64) -> Share<'static> {
        Share { label, class: "x", number, href: None }
    }

    #[test]
    fn one_among_thousands_is_seen_and_the_bar_stays_as_wide() {
        let shares = [share("active", 99_998), share("failing", 1), share("attention", 1)];
        let widths = widths(&shares.iter().collect::<Vec<_>>());
        assert_eq!(widths, [(0, 984), (984, 8), (992, 8)]);
    }

    #[test]
    fn a_bar_says_in_words_what_it_shows() {
        let text = proportion("Links", &[share("active", 1234), share("new", 0), share("<b>", 1)]).into_string();
        assert!(text.contains("<title>Links: 1,234 active, 1 &lt;b&gt;</title>"), "{text}");
        assert!(!text.contains("new"), "{text}");
        assert!(proportion("Links", &[]).into_string().contains("<title>Links: none</title>"));
    }
}
