//! A value that holds until it changes, over time: a line in steps with its axis.

use maud::{Markup, html};

use super::scale::{place, ticks};

const WIDTH: u32 = 1000;
const HEIGHT: u32 = 200;

/// A value from an instant on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server::admin) struct StepPoint {
    /// Milliseconds.
    pub(in crate::server::admin) at_ms: i64,
    /// The value.
    pub(in crate::server::admin) value: i64,
}

/// A line in steps.
pub(in crate::server::admin) struct Steps<'a> {
    /// What is shown, in words.
    pub(in crate::server::admin) title: &'a str,
    /// The values, the earliest first.
    pub(in crate::server::admin) points: &'a [StepPoint],
    /// Until when the last value holds, milliseconds.
    pub(in crate::server::admin) until_ms: i64,
    /// How a value is written.
    pub(in crate::server::admin) write: &'a dyn Fn(i64) -> String,
    /// What stands below the left edge, the middle and the right edge.
    pub(in crate::server::admin) times: [String; 3],
}

impl Steps<'_> {
    /// The picture with its axis; nothing where there are no values.
    pub(in crate::server::admin) fn plot(&self) -> Markup {
        let values = self.points.iter().map(|point| point.value);
        let (Some(low), Some(high)) = (values.clone().min(), values.max()) else {
            return Markup::default();
        };
        let ticks = ticks(low, high);
        let (bottom, top) = (ticks.first().copied().unwrap_or(low), ticks.last().copied().unwrap_or(high));
        let y = |value| HEIGHT - place(value, bottom, top, HEIGHT);
        let line = self.line(bottom, top);
        html! {
            div.plot.tall {
                div.scale aria-hidden="true" { @for tick in ticks.iter().rev() { span { ((self.write)(*tick)) } } }
                svg.steps role="img" viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" {
                    title { (self.title) }
                    @for tick in &ticks {
                        @let class = if *tick == 0 { "grid zero" } else { "grid" };
                        line class=(class) x1="0" x2=(WIDTH) y1=(y(*tick)) y2=(y(*tick)) {}
                    }
                    path.area d=(format!("{line}V{HEIGHT}H0Z")) {}
                    path.line d=(line) {}
                }
                div.times aria-hidden="true" { @for time in &self.times { span { (time) } } }
            }
        }
    }

    fn line(&self, bottom: i64, top: i64) -> String {
        let begin = self.points.first().map_or(0, |point| point.at_ms);
        let end = self.until_ms.max(self.points.last().map_or(0, |point| point.at_ms));
        let mut line = String::new();
        for (index, point) in self.points.iter().enumerate() {
            let x = place(point.at_ms, begin, end, WIDTH);
            let y = HEIGHT - place(point.value, bottom, top, HEIGHT);
            line.push_str(&if index == 0 { format!("M0 {y}") } else { format!("H{x}V{y}") });
        }
        line.push_str(&format!("H{WIDTH}"));
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plotted(points: &[(i64, i64)], until_ms: i64) -> String {
        let points: Vec<_> = points.iter().map(|(at_ms, value)| StepPoint { at_ms: *at_ms, value: *value }).collect();
        let times = ["then".to_owned(), String::new(), "now".to_owned()];
        let write = |value: i64| format!("{value} cents");
        Steps { title: "Balance", points: &points, until_ms, write: &write, times }.plot().into_string()
    }

    #[test]
    fn a_value_holds_until_the_next_one() {
        let text = plotted(&[(0, 0), (500, 100)], 1000);
        assert!(text.contains(r#"d="M0 200H500V0H1000""#), "{text}");
        assert!(text.contains("100 cents") && text.contains("20 cents"), "{text}");
    }

    #[test]
    fn one_value_is_a_line_in_the_middle() {
        assert!(plotted(&[(7, 1234)], 7).contains(r#"d="M0 100H1000""#));
        assert_eq!(plotted(&[], 7), "");
    }

    #[test]
    fn the_largest_balances_are_drawn_too() {
        let text = plotted(&[(i64::MIN, i64::MIN), (i64::MAX, i64::MAX)], 0);
        assert!(text.contains("<path class=\"line\""), "{text}");
    }
}
