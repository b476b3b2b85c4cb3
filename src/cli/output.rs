//! How answers look: tables, ages, instants, JSON. Everything goes to standard output in one write.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

/// Writes an answer; a reader that went away is no error.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Writes an answer for a script.
pub(super) fn print_json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    print(&format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// What the last column of a table keeps at least, and the first line of a paragraph.
const MIN_TEXT_CHARS: u16 = 24;

/// A plain table: a header, aligned columns, no lines. On a terminal the last column is broken into lines that fit.
///
/// Shape: the columns in `right` hold numbers and are aligned to the right.
pub(super) fn table(header: &[&str], right: &[usize], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    let arrangement = if is_terminal() { ContentArrangement::Dynamic } else { ContentArrangement::Disabled };
    table.load_style(NOTHING).set_content_arrangement(arrangement);
    table.set_header(header.iter().map(|name| bold(name)));
    for row in rows {
        table.add_row(row);
    }
    for index in right {
        if let Some(column) = table.column_mut(*index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let last = header.len().saturating_sub(1);
    for (at, column) in table.column_iter_mut().enumerate() {
        let keeps = ColumnConstraint::LowerBoundary(Width::Fixed(MIN_TEXT_CHARS));
        let is_wide = at == last && !right.contains(&at);
        column.set_constraint(if is_wide { keeps } else { ColumnConstraint::ContentWidth });
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    format!("{}\n", lines.join("\n"))
}

/// A paragraph: `first` before its first line, as much room before the others. On a terminal its lines fit.
pub(super) fn paragraph(first: &str, text: &str) -> String {
    let room = if is_terminal() { Table::new().width() } else { None };
    let indent = first.chars().count();
    let room = room.map_or(usize::MAX, |width| usize::from(width.max(MIN_TEXT_CHARS)).saturating_sub(indent + 1));
    let mut out = first.to_owned();
    let mut column = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > room {
            out.push_str(&format!("\n{:indent$}", ""));
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out.push('\n');
    out
}

/// Bold on a terminal.
pub(super) fn bold(text: &str) -> String {
    styled("1", text)
}

/// A word in the colour of its meaning, on a terminal: green for well, yellow for wait, red for a person.
pub(super) fn state(word: &str) -> String {
    match word {
        "active" | "ok" | "done" => styled("32", word),
        "new" | "paused" | "deferred" | "partial" => styled("33", word),
        "attention" | "failing" | "failed" => styled("31", word),
        _ => word.to_owned(),
    }
}

/// Red on a terminal.
pub(super) fn alarming(text: &str) -> String {
    styled("31", text)
}

/// Dim on a terminal.
pub(super) fn dim(text: &str) -> String {
    styled("2", text)
}

fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

fn styled(code: &str, text: &str) -> String {
    if is_terminal() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// The local time of day, for lines that follow each other.
pub(super) fn time_of_day() -> String {
    crate::clock::Clock::system().now().to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string()
}

/// An instant for a person, in the configured zone.
pub(super) fn instant(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}

/// How long ago, or in how long: `3 h 20 min ago`, `in 5 min`, `now`.
pub(super) fn relative(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - at.as_second();
    match seconds {
        -1..=1 => "now".to_owned(),
        2.. => format!("{} ago", duration(seconds)),
        _ => format!("in {}", duration(-seconds)),
    }
}

/// A duration with its two largest units.
pub(super) fn duration(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    if days > 0 {
        with_rest(days, "d", hours % 24, "h")
    } else if hours > 0 {
        with_rest(hours, "h", minutes % 60, "min")
    } else if minutes > 0 {
        with_rest(minutes, "min", seconds % 60, "s")
    } else {
        format!("{seconds} s")
    }
}

fn with_rest(amount: i64, unit: &str, rest: i64, rest_unit: &str) -> String {
    if rest == 0 { format!("{amount} {unit}") } else { format!("{amount} {unit} {rest} {rest_unit}") }
}

/// How long something has lasted or how old it is: `3 h 20 min`.
pub(super) fn age(since: Timestamp, now: Timestamp) -> String {
    duration((now.as_second() - since.as_second()).max(0))
}

/// A count with separators: `12,345`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 link`, `2 links`.
pub(super) fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_show_their_two_largest_units() {
        let cases = [(5, "5 s"), (60, "1 min"), (61, "1 min 1 s"), (3 * 3600 + 59, "3 h"), (90_000, "1 d 1 h")];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn a_paragraph_is_one_line_where_nobody_looks() {
        assert_eq!(paragraph("• ", "a b  c"), "• a b  c\n");
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        assert_eq!([0, 12, 1234, 1_234_567].map(count), ["0", "12", "1,234", "1,234,567"]);
        assert_eq!([counted(1, "link"), counted(0, "link")], ["1 link", "0 links"]);
    }
}
