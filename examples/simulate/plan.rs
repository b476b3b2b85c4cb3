//! What a run does, as an explicit list: a setup and timed events, one line of text each.
//!
//! Everything that was drawn from the seed stands here, so a plan without some of its events is a plan too, and the same
//! plan always runs the same way. Events name links and rows by a number that is taken modulo what there is.

use std::fmt;
use std::fmt::Write as _;

/// A word with named values, as it stands on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verb {
    /// What is done.
    pub(crate) word: String,
    args: Vec<(String, String)>,
}

impl Verb {
    /// A verb without values.
    pub(crate) fn new(word: &str) -> Self {
        Self { word: word.to_owned(), args: Vec::new() }
    }

    /// The same with one value more.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.args.push((name.to_owned(), value.to_string()));
        self
    }

    /// Gives a value another one; whether it is given at all.
    pub(crate) fn replace(&mut self, name: &str, value: &str) -> bool {
        let known = self.args.iter_mut().find(|(known, _)| known == name);
        known.map(|(_, old)| value.clone_into(old)).is_some()
    }

    /// A value as text; empty where it is not given.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.args.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// A value as a number; 0 where it is not given.
    pub(crate) fn number(&self, name: &str) -> i64 {
        self.text(name).parse().unwrap_or(0)
    }

    /// A value as a place among `count`; `None` where there is none to choose.
    pub(crate) fn pick(&self, name: &str, count: usize) -> Option<usize> {
        let number = usize::try_from(self.number(name).unsigned_abs()).unwrap_or(0);
        (count > 0).then(|| number % count.max(1))
    }

    /// Whether a value is given and is not 0.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.number(name) != 0
    }

    fn parse(line: &str) -> Option<Self> {
        let mut parts = line.split_whitespace();
        let mut verb = Self::new(parts.next()?);
        for part in parts {
            let (name, value) = part.split_once('=')?;
            verb = verb.with(name, value);
        }
        Some(verb)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.word)?;
        self.args.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}

/// Something that happens at an instant after the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// When, in milliseconds after the start.
    pub(crate) at_ms: i64,
    /// What.
    pub(crate) verb: Verb,
}

/// A whole run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The world and the configuration, before anything happens.
    pub(crate) setup: Verb,
    /// What happens, in order.
    pub(crate) events: Vec<Event>,
}

impl Plan {
    /// The same with other events.
    pub(crate) fn of(&self, events: Vec<Event>) -> Self {
        Self { setup: self.setup.clone(), events }
    }

    /// Reads what [`fmt::Display`] wrote; lines that begin with `#` are remarks.
    ///
    /// Errors: the line that cannot be read.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut setup = None;
        let mut events = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let unreadable = || format!("cannot read: {line}");
            match line.strip_prefix('+') {
                None => setup = Some(Verb::parse(line).ok_or_else(unreadable)?),
                Some(rest) => {
                    let (at, verb) = rest.split_once(' ').ok_or_else(unreadable)?;
                    let at_ms = parse_instant(at).ok_or_else(unreadable)?;
                    events.push(Event { at_ms, verb: Verb::parse(verb).ok_or_else(unreadable)? });
                }
            }
        }
        Ok(Self { setup: setup.ok_or("there is no setup line")?, events })
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.setup)?;
        let mut line = String::new();
        for event in &self.events {
            line.clear();
            let (day, rest) = (event.at_ms.div_euclid(DAY), event.at_ms.rem_euclid(DAY));
            let (hour, minute) = (rest / HOUR, rest / MINUTE % 60);
            let (second, ms) = (rest / 1000 % 60, rest % 1000);
            let _infallible = write!(line, "+{day}d{hour:02}:{minute:02}:{second:02}.{ms:03} {}", event.verb);
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

/// A minute in milliseconds.
pub(crate) const MINUTE: i64 = 60_000;
/// An hour in milliseconds.
pub(crate) const HOUR: i64 = 60 * MINUTE;
/// A day in milliseconds.
pub(crate) const DAY: i64 = 24 * HOUR;

fn parse_instant(text: &str) -> Option<i64> {
    let (day, time) = text.split_once('d')?;
    let mut parts = time.split([':', '.']).map(|part| part.parse::<i64>().ok());
    let mut next = || parts.next().flatten();
    Some(day.parse::<i64>().ok()? * DAY + next()? * HOUR + next()? * MINUTE + next()? * 1000 + next()?)
}
