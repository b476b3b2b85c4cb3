//! What is wrong with a config file, and where.

use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::SECTION_KEYS;

/// One thing that is wrong, or doubtful, in a config file.
///
/// Shape: `line` and `column` count from one, the column in characters; both are zero where the file as a whole is meant. `key`
/// is the path of the setting (`source.overlap`), empty where the file is no TOML. `value` is what was written, as TOML;
/// `None` where there is none to show or where it might be a secret. `hint` may be empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Line, from one.
    pub line: usize,
    /// Column in characters, from one.
    pub column: usize,
    /// Path of the setting.
    pub key: String,
    /// What was written, unless it might be secret.
    pub value: Option<String>,
    /// Why it is refused or doubtful.
    pub reason: String,
    /// What would be right.
    pub hint: String,
}

/// One line: place, key, value, reason, and what would be right.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "{}:{}: ", self.line, self.column)?;
        }
        match (&self.value, self.key.is_empty()) {
            (_, true) => {}
            (Some(value), false) => write!(f, "{} = {value}: ", self.key)?,
            (None, false) => write!(f, "{}: ", self.key)?,
        }
        f.write_str(&self.reason)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, "; {}", self.hint) }
    }
}

/// Everything that is wrong with a config file; at least one problem, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigErrors {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

/// One line per problem, each beginning with the file, and their number at the end.
impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            let separator = if problem.line > 0 { ":" } else { ": " };
            writeln!(f, "{}{separator}{problem}", self.file.display())?;
        }
        match self.problems.len() {
            1 => f.write_str("1 problem"),
            count => write!(f, "{count} problems"),
        }
    }
}

impl std::error::Error for ConfigErrors {}

impl ConfigErrors {
    pub(super) fn whole_file(file: &Path, wrong: Wrong) -> Self {
        Self { file: file.to_owned(), problems: vec![Problem::whole_file(String::new(), wrong)] }
    }
}

impl Problem {
    /// A problem that has no place in the file.
    pub(super) fn whole_file(key: String, wrong: Wrong) -> Self {
        Self { line: 0, column: 0, key, value: None, reason: wrong.reason, hint: wrong.hint }
    }
}

/// A reason and what would be right, before its place is known. Neither may hold a secret.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) reason: String,
    pub(super) hint: String,
}

impl Wrong {
    pub(super) fn new(reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { reason: reason.into(), hint: hint.into() }
    }
}

/// Collects what is found on a walk through one file.
pub(super) struct Report<'t> {
    text: &'t str,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

impl<'t> Report<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, problems: RefCell::default(), warnings: RefCell::default() }
    }

    /// Takes down a problem at the byte `at`.
    pub(super) fn add(&self, at: usize, key: String, value: Option<String>, wrong: Wrong) {
        self.problems.borrow_mut().push(self.place(at, key, value, wrong));
    }

    /// Takes down a warning at the byte `at`.
    pub(super) fn warn(&self, at: usize, key: String, value: Option<String>, wrong: Wrong) {
        self.warnings.borrow_mut().push(self.place(at, key, value, wrong));
    }

    /// Takes down what the TOML parser said. One mistake often makes it complain twice about a line: the first is kept.
    pub(super) fn syntax(&self, at: usize, message: &str) {
        let wrong = Wrong::new(format!("not valid TOML: {message}"), "");
        let problem = self.place(at, self.key_near(at), None, wrong);
        if self.problems.borrow().iter().all(|known| known.line != problem.line) {
            self.problems.borrow_mut().push(problem);
        }
    }

    pub(super) fn has_problems(&self) -> bool {
        !self.problems.borrow().is_empty()
    }

    /// The line in which the byte `at` stands, from one.
    pub(super) fn line_of(&self, at: usize) -> usize {
        self.before(at).matches('\n').count() + 1
    }

    pub(super) fn into_errors(self, file: &Path) -> ConfigErrors {
        ConfigErrors { file: file.to_owned(), problems: in_order(self.problems) }
    }

    pub(super) fn into_warnings(self) -> Vec<Problem> {
        in_order(self.warnings)
    }

    fn place(&self, at: usize, key: String, value: Option<String>, wrong: Wrong) -> Problem {
        let line_start = self.line_start(at);
        let column = self.before(at)[line_start..].chars().count() + 1;
        Problem { line: self.line_of(at), column, key, value, reason: wrong.reason, hint: wrong.hint }
    }

    /// The setting whose line holds the byte `at`, if it begins with the name of one that exists.
    fn key_near(&self, at: usize) -> String {
        let line = &self.text[self.line_start(at)..];
        let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(line.len());
        let known = SECTION_KEYS.iter().any(|group| group.keys.contains(&&line[..end]));
        if known { line[..end].to_owned() } else { String::new() }
    }

    fn line_start(&self, at: usize) -> usize {
        self.before(at).rfind('\n').map_or(0, |newline| newline + 1)
    }

    fn before(&self, at: usize) -> &'t str {
        &self.text[..self.text.floor_char_boundary(at)]
    }
}

fn in_order(found: RefCell<Vec<Problem>>) -> Vec<Problem> {
    let mut found = found.into_inner();
    found.sort_by(|a, b| (a.line, a.column, &a.key).cmp(&(b.line, b.column, &b.key)));
    found
}
