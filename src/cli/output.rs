//! How answers look: tables, ages, instants, JSON. Everything goes to standard output in one write.
//!
//! Much of it are words of banks and customers. What must stay true: whatever they hold, nothing but words and our own colours
//! reaches a terminal that somebody privileged may be sitting at. What is exact, JSON and CSV, is left as it is.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

pub(super) use crate::words::{about, count, counted, duration, relative};

/// Writes an answer of lines for a person; a reader that went away is no error.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    write(&harmless(text, Lines::Kept, is_terminal()))
}

fn write(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Writes an answer for a script.
pub(super) fn print_json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    write(&format!("{}\n", serde_json::to_string_pretty(value)?))
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
    table.set_header(header.iter().map(|name| bold(&harmless(name, Lines::Joined, false))));
    for row in rows {
        // Before the columns are measured: what is not shown takes no room, and a cell is one line.
        table.add_row(row.iter().map(|cell| harmless(cell, Lines::Joined, is_terminal())));
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
    let text = harmless(text, Lines::Joined, is_terminal());
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

/// What becomes of line breaks and tabs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lines {
    /// They stay.
    Kept,
    /// They become spaces.
    Joined,
}

/// Stands where a character is not shown.
const NOT_SHOWN: char = '\u{fffd}';

/// The text without what would act on a terminal, or have it show something else than is there: control characters, other line
/// separators, and what turns the direction of writing.
///
/// Shape: with `keeps_styles` our own colours stay, each ended by the end of the text, so that whoever writes such a code into
/// the words of a bank colours these alone.
fn harmless(text: &str, lines: Lines, keeps_styles: bool) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut is_styled) = (text, false);
    while let Some(c) = rest.chars().next() {
        if keeps_styles && let Some(code) = style_at(rest) {
            is_styled = code != RESET;
            out.push_str(code);
            rest = &rest[code.len()..];
            continue;
        }
        rest = &rest[c.len_utf8()..];
        match (c, lines) {
            // Of the two that end a line elsewhere one is enough.
            ('\r', _) if rest.starts_with('\n') => {}
            ('\n' | '\t', Lines::Kept) => out.push(c),
            ('\n' | '\t', Lines::Joined) => out.push(' '),
            (c, _) => out.push(if is_harmful(c) { NOT_SHOWN } else { c }),
        }
    }
    if is_styled {
        out.push_str(RESET);
    }
    Cow::Owned(out)
}

fn is_harmful(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
}

const BOLD: &str = "\u{1b}[1m";
const DIM: &str = "\u{1b}[2m";
const RED: &str = "\u{1b}[31m";
const GREEN: &str = "\u{1b}[32m";
const YELLOW: &str = "\u{1b}[33m";
const RESET: &str = "\u{1b}[0m";

/// The code of ours that a text begins with.
fn style_at(text: &str) -> Option<&'static str> {
    [BOLD, DIM, RED, GREEN, YELLOW, RESET].into_iter().find(|code| text.starts_with(code))
}

/// Bold on a terminal.
pub(super) fn bold(text: &str) -> String {
    styled(BOLD, text)
}

/// A word in the colour of its meaning, on a terminal: green for well, yellow for wait, red for a person.
pub(super) fn state(word: &str) -> String {
    match word {
        "active" | "ok" | "done" => styled(GREEN, word),
        "new" | "paused" | "deferred" | "partial" => styled(YELLOW, word),
        "attention" | "failing" | "failed" => styled(RED, word),
        _ => word.to_owned(),
    }
}

/// Red on a terminal.
pub(super) fn alarming(text: &str) -> String {
    styled(RED, text)
}

/// Dim on a terminal.
pub(super) fn dim(text: &str) -> String {
    styled(DIM, text)
}

fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

fn styled(code: &str, text: &str) -> String {
    if is_terminal() { format!("{code}{text}{RESET}") } else { text.to_owned() }
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

    #[test]
    fn nothing_of_a_bank_acts_on_the_terminal() {
        for (text, shown) in [
            ("CAFÉ 東京 👩\u{200d}👧 5\u{a0}€", "CAFÉ 東京 👩\u{200d}👧 5\u{a0}€"),
            ("\u{1b}]0;title\u{7}", "\u{fffd}]0;title\u{fffd}"),
            ("\u{1b}[2J\u{9b}31m\u{7f}", "\u{fffd}[2J\u{fffd}31m\u{fffd}"),
            ("in\u{202e}tuo\u{2066}\u{200f}", "in\u{fffd}tuo\u{fffd}\u{fffd}"),
            ("a\nb\r\nc\td\re\u{2028}f\u{85}g\0", "a b c d\u{fffd}e\u{fffd}f\u{fffd}g\u{fffd}"),
        ] {
            for keeps_styles in [true, false] {
                assert_eq!(harmless(text, Lines::Joined, keeps_styles), shown, "{text:?}");
            }
            let table = table(&["n", "words"], &[0], vec![vec!["1".to_owned(), text.to_owned()]]);
            assert!(table.ends_with(&format!(" {shown}\n")) && table.lines().count() == 2, "{table:?}");
            assert_eq!(paragraph("• ", text), format!("• {shown}\n"));
        }
        assert_eq!(harmless("one\n\ttwo\r\n\u{1b}three\n", Lines::Kept, false), "one\n\ttwo\n\u{fffd}three\n");
    }

    #[test]
    fn our_own_colours_stay_on_a_terminal_and_end_with_the_text() {
        let said = format!("{RED}failed{RESET} \u{1b}[5m");
        assert_eq!(harmless(&said, Lines::Joined, true), format!("{RED}failed{RESET} \u{fffd}[5m"));
        assert_eq!(harmless(&format!("{GREEN}all well"), Lines::Joined, true), format!("{GREEN}all well{RESET}"));
        assert_eq!(harmless(&said, Lines::Joined, false), "\u{fffd}[31mfailed\u{fffd}[0m \u{fffd}[5m");
    }
}
