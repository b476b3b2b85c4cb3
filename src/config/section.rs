//! One table of the file, read key by key: what is missing, unknown or wrong goes to the report and the walk goes on.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Report, Wrong};
use super::suggest::nearest;
use super::value::{duration, integer, kind, shown, shown_name};
use super::{KeyGroup, SECTION_KEYS};

/// A value of the file with its place.
pub(super) type Value<'t> = Spanned<DeValue<'t>>;

/// The keys that a table may hold, in groups: a source's are those of all sources and those of its aggregator.
pub(super) type Keys = &'static [&'static [&'static str]];

/// A setting is wrong, and the report says so.
pub(super) struct Reported;

/// A table of the file. A table that is not there reads like an empty one.
pub(super) struct Section<'r, 't> {
    report: &'r Report<'t>,
    /// Its name as it stands in key paths; empty for the file itself.
    name: &'static str,
    /// The byte where it begins.
    at: usize,
    table: Option<&'r DeTable<'t>>,
    keys: Keys,
}

impl<'r, 't> Section<'r, 't> {
    /// The file itself.
    pub(super) fn root(report: &'r Report<'t>, table: &'r DeTable<'t>, keys: Keys) -> Self {
        Self { report, name: "", at: 0, table: Some(table), keys }
    }

    /// The table `[name]` in this one, with unknown keys refused.
    pub(super) fn table(&self, name: &'static str, keys: Keys) -> Self {
        let missing = Section { report: self.report, name, at: 0, table: None, keys };
        let Some(value) = self.value(name) else { return missing };
        let Some(table) = value.get_ref().as_table() else {
            let reason = format!("it is {}, and a table is needed", kind(value.get_ref()));
            self.wrong_here(name, value, Wrong::new(reason, format!("write [{name}] on a line of its own")));
            return missing;
        };
        let section = Section { at: value.span().start, table: Some(table), ..missing };
        section.refuse_unknown(|_| None);
        section
    }

    /// The same table, which may hold other keys.
    pub(super) fn knowing(&self, keys: Keys) -> Self {
        Section { keys, ..*self }
    }

    /// The tables `[[name]]` in this one. Unknown keys are not refused yet, because which are known may depend on one of them.
    ///
    /// Shape: in the order of the file; `None` if it is something else, which has been reported then. A single table is
    /// reported and read all the same, for what else is wrong in it.
    pub(super) fn tables(&self, name: &'static str, keys: Keys) -> Option<Vec<Self>> {
        let Some(value) = self.value(name) else {
            return Some(Vec::new());
        };
        let section = |at, table| Section { report: self.report, name, at, table: Some(table), keys };
        let each = |value: &'r Value<'t>| Some(section(value.span().start, value.get_ref().as_table()?));
        if let Some(found) = value.get_ref().as_array().and_then(|array| array.iter().map(each).collect()) {
            return Some(found);
        }
        let reason = format!("it is {}, and a list of tables is needed", kind(value.get_ref()));
        let hint = format!("write [[{name}]], with two brackets, on a line of its own");
        self.wrong_here(name, value, Wrong::new(reason, hint));
        each(value).map(|section| vec![section])
    }

    /// Refuses every key that the section does not know; `special` may give a better reason for some.
    pub(super) fn refuse_unknown(&self, special: impl Fn(&str) -> Option<Wrong>) {
        for (key, _) in self.table.iter().flat_map(|table| table.iter()) {
            let name: &str = key.get_ref();
            if !self.knows(name) {
                let wrong = special(name).unwrap_or_else(|| self.unknown(name));
                self.report.add(key.span().start, self.path(&shown_name(name)), None, wrong);
            }
        }
    }

    /// Reads a setting that may be left out.
    ///
    /// Shape: `None` if it is left out.
    /// Errors: [`Reported`] if it is wrong.
    pub(super) fn optional<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&DeValue<'t>) -> Result<T, Wrong>,
    ) -> Result<Option<T>, Reported> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        match read(value.get_ref()) {
            Ok(value) => Ok(Some(value)),
            Err(wrong) => {
                self.wrong_here(key, value, wrong);
                Err(Reported)
            }
        }
    }

    /// Reads a setting that has a default.
    pub(super) fn or_default<T>(
        &self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&DeValue<'t>) -> Result<T, Wrong>,
    ) -> Option<T> {
        self.optional(key, read).ok().map(|value| value.unwrap_or(default))
    }

    /// Reads a whole number that has a default; `why` says why those bounds, or is empty.
    pub(super) fn number(
        &self,
        key: &'static str,
        default: u32,
        bounds: RangeInclusive<u32>,
        why: &str,
    ) -> Option<u32> {
        self.or_default(key, default, |value| integer(value, bounds, why))
    }

    /// Reads a duration that has a default; `why` says why those bounds, or is empty.
    pub(super) fn span(
        &self,
        key: &'static str,
        default: Duration,
        bounds: RangeInclusive<Duration>,
        why: &str,
    ) -> Option<Duration> {
        self.or_default(key, default, |value| duration(value, bounds, default, why))
    }

    /// Reads a setting that must be there; `example` is what to write if it is not.
    pub(super) fn required<T>(
        &self,
        key: &'static str,
        example: &str,
        read: impl FnOnce(&DeValue<'t>) -> Result<T, Wrong>,
    ) -> Option<T> {
        let found = self.optional(key, read).ok()?;
        if found.is_none() {
            self.missing(key, example);
        }
        found
    }

    /// The value of a setting, if it is there.
    pub(super) fn value(&self, key: &'static str) -> Option<&'r Value<'t>> {
        debug_assert!(self.knows(key), "{key} is read but not known");
        self.table?.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    /// Reports that a setting is missing.
    pub(super) fn missing(&self, key: &'static str, example: &str) {
        let reason = if self.table.is_some() || self.name.is_empty() {
            "missing".to_owned()
        } else {
            format!("missing, with the whole section [{}]", self.name)
        };
        let wrong = Wrong::new(reason, format!("write {example}"));
        self.report.add(self.at, self.path(key), None, wrong);
    }

    /// Reports a setting whose value is not shown, because it may be secret.
    pub(super) fn wrong_secret(&self, key: &str, at: usize, wrong: Wrong) {
        self.report.add(at, self.path(key), None, wrong);
    }

    /// Reports a setting that does not go together with others; at the section if it was left out.
    pub(super) fn wrong(&self, key: &'static str, wrong: Wrong) {
        let (at, value) = self.place_of(key);
        self.report.add(at, self.path(key), value, wrong);
    }

    /// Like [`Section::wrong`], where it is legal but doubtful.
    pub(super) fn warn(&self, key: &'static str, wrong: Wrong) {
        let (at, value) = self.place_of(key);
        self.report.warn(at, self.path(key), value, wrong);
    }

    /// The line in which a setting stands; the section's if it was left out.
    pub(super) fn line_of(&self, key: &'static str) -> usize {
        self.report.line_of(self.place_of(key).0)
    }

    fn place_of(&self, key: &'static str) -> (usize, Option<String>) {
        self.value(key).map_or((self.at, None), |value| (value.span().start, shown(value.get_ref())))
    }

    fn wrong_here(&self, key: &str, value: &Value<'t>, wrong: Wrong) {
        self.report.add(value.span().start, self.path(key), shown(value.get_ref()), wrong);
    }

    fn knows(&self, name: &str) -> bool {
        self.keys.iter().any(|group| group.contains(&name))
    }

    fn path(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    fn unknown(&self, name: &str) -> Wrong {
        let what = if self.name.is_empty() { "unknown section" } else { "unknown key" };
        if let Some(near) = nearest(name, self.keys.iter().copied().flatten().copied()) {
            return Wrong::new(what, format!("did you mean {near}?"));
        }
        let home = SECTION_KEYS.iter().find(|group| group.section != self.name && group.keys.contains(&name));
        if let Some(KeyGroup { section, .. }) = home {
            let header = if *section == "source" { "[[source]]".to_owned() } else { format!("[{section}]") };
            return Wrong::new(what, format!("{name} belongs in {header}"));
        }
        Wrong::new(what, format!("known here: {}", self.keys.concat().join(", ")))
    }
}
