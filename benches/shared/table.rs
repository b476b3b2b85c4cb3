//! What every benchmark prints: aligned tables of figures, and how they compare with what was aimed at.
#![expect(clippy::print_stdout, reason = "a benchmark is a program whose output is its result")]

/// A table that is printed row by row, each as soon as it is known.
pub(crate) struct Table {
    widths: Vec<usize>,
}

impl Table {
    /// Prints the title and the heads of the columns; a column is as wide as its head, padded by the caller where need be.
    pub(crate) fn new(title: &str, heads: &[&str]) -> Self {
        println!("\n{title}");
        let table = Self { widths: heads.iter().map(|head| head.chars().count()).collect() };
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

/// `part` of `whole`, in percent.
pub(crate) fn percent(part: u64, whole: u64) -> u64 {
    part * 100 / whole.max(1)
}
