//! What every benchmark prints: aligned tables of figures, and how they compare with what was aimed at.
#![expect(clippy::print_stdout, reason = "a benchmark is a program whose output is its result")]

use std::time::Duration;

/// A table that is printed row by row, each as soon as it is known.
pub(crate) struct Table {
    widths: Vec<usize>,
}

impl Table {
    /// Prints the title and the heads of the columns; a column is as wide as its head, padded by the caller where need be.
    pub(crate) fn new(title: &str, heads: &[&str]) -> Self {
        println!("\n{title}");
        let table = Self {
            widths: heads.iter().map(|head| head.chars().count()).collect(),
        };
        table.row(&heads.iter().map(|head| (*head).trim().to_owned()).collect::<Vec<_>>());
        table
    }

    /// Prints one row: the first column to the left, the others to the right.
    pub(crate) fn row(&self, cells: &[String]) {
        let mut line = String::new();
        for (index, (cell, width)) in cells.iter().zip(&self.widths).enumerate() {
            let padded = match index {
                0 => format!("{cell:<width$}"),
                _ => format!("  {cell:>width$}"),
            };
            line.push_str(&padded);
        }
        println!("{}", line.trim_end());
    }
}

/// Whether a figure is what was aimed at.
pub(crate) fn verdict(is_met: bool) -> String {
    if is_met { "ok" } else { "MISSED" }.to_owned()
}

/// A number with its thousands apart.
pub(crate) fn grouped(number: u64) -> String {
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

/// How many a second.
pub(crate) fn per_second(count: u64, took: Duration) -> u64 {
    let nanos = took.as_nanos().max(1);
    u64::try_from(u128::from(count) * 1_000_000_000 / nanos).unwrap_or(u64::MAX)
}

/// `part` of `whole`, in percent.
pub(crate) fn percent(part: u64, whole: u64) -> u64 {
    part * 100 / whole.max(1)
}
