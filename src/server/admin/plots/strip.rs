//! One mark per event in a row, the earliest on the left: what was usual, and what was not.

use maud::{Markup, html};

/// Width of one mark with the gap beside it.
const PITCH: usize = 10;
const GAP: usize = 2;
const HEIGHT: u32 = 30;

/// One event.
#[derive(Debug, Clone)]
pub(in crate::server::admin) struct Mark {
    /// What it was, in words.
    pub(in crate::server::admin) title: String,
    /// What style it has.
    pub(in crate::server::admin) class: &'static str,
    /// How high it stands, 1 to 3: worse is higher, so that colour is not needed.
    pub(in crate::server::admin) height: u32,
}

/// The marks in a row that has room for at least `room` of them.
pub(in crate::server::admin) fn strip(title: &str, marks: &[Mark], room: usize) -> Markup {
    let width = marks.len().max(room).max(1) * PITCH;
    let first = width - marks.len() * PITCH;
    html! {
        svg.strip role="img" viewBox=(format!("0 0 {width} {HEIGHT}")) preserveAspectRatio="none" {
            title { (title) }
            line.base x1="0" x2=(width) y1=(HEIGHT) y2=(HEIGHT) {}
            @for (index, mark) in marks.iter().enumerate() {
                @let height = HEIGHT * mark.height.clamp(1, 3) / 3;
                @let x = first + index * PITCH + GAP / 2;
                rect class=(mark.class) x=(x) y=(HEIGHT - height) width=(PITCH - GAP) height=(height) {
                    title { (mark.title) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_mark_is_on_the_right_and_worse_ones_are_higher() {
        let mark = |class, height| Mark { title: "<sync>".to_owned(), class, height };
        let text = strip("Syncs", &[mark("ok", 1), mark("failed", 3)], 5).into_string();
        assert!(text.contains(r#"<rect class="ok" x="31" y="20" width="8" height="10"><title>&lt;sync&gt;"#), "{text}");
        assert!(text.contains(r#"<rect class="failed" x="41" y="0" width="8" height="30">"#), "{text}");
    }
}
