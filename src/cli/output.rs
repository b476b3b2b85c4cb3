//! How answers look: tables, ages, instants, JSON. Everything goes to standard output in one write.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

pub(super) use crate::words::{about, count, counted, duration, relative};

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

/// What a column of text keeps at least, and a line of a paragraph: most words fit.
const MIN_TEXT_CHARS: u16 = 15;
/// Columns no wider than this are never broken into lines.
const NEVER_BROKEN_CHARS: u16 = 14;

/// A plain table: a header, aligned columns, no lines. On a terminal long cells are broken into lines so that it fits.
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
    let (last, widths): (usize, Vec<u16>) = (header.len().saturating_sub(1), table.column_max_content_widths());
    for (at, (column, width)) in table.column_iter_mut().zip(widths).enumerate() {
        let is_text = !right.contains(&at) && (width > NEVER_BROKEN_CHARS || at == last);
        column.set_constraint(if is_text {
            ColumnConstraint::LowerBoundary(Width::Fixed(width.min(MIN_TEXT_CHARS)))
        } else {
            ColumnConstraint::ContentWidth
        });
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

/// The same without year and zone, for tables.
pub(super) fn short_instant(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_is_one_line_where_nobody_looks() {
        assert_eq!(paragraph("• ", "a b  c"), "• a b  c\n");
    }
}
