//! Reading one value: its type, its bounds, and how it may be shown.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

use super::duration::{duration_text, parse_duration};
use super::problem::Wrong;
use super::suggest::nearest;

/// Texts are shown up to this many characters.
const MAX_SHOWN_CHARS: usize = 80;

/// Letters and digits in one run from which on a text is taken for a token, and not shown.
const TOKEN_CHARS: usize = 20;

/// What a value is, in words.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A value as it may be shown: as TOML, short, and not at all if it looks like a token or could hold one.
pub(super) fn shown(value: &DeValue<'_>) -> Option<String> {
    let text = match value {
        DeValue::String(text) => return shown_text(text),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(instant) => instant.to_string(),
        DeValue::Array(_) | DeValue::Table(_) => return None,
    };
    (text.chars().count() <= TOKEN_CHARS).then_some(text)
}

/// A text as it may be shown, quoted.
pub(super) fn shown_text(text: &str) -> Option<String> {
    // An address may carry a password before its @ or a token after its ?.
    let private = looks_like_token(text) || text.contains('@') || (text.contains("://") && text.contains('?'));
    let fits = text.chars().count() <= MAX_SHOWN_CHARS;
    (fits && !private).then(|| format!("{text:?}"))
}

/// An unknown key's name as it may be shown.
pub(super) fn shown_name(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if plain && !name.is_empty() && name.len() <= MAX_SHOWN_CHARS && !looks_like_token(name) {
        name.to_owned()
    } else {
        "(unnamed)".to_owned()
    }
}

/// Whether a text holds a long run of letters and digits mixed, as keys and tokens do and words do not.
pub(super) fn looks_like_token(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric()).any(|run| {
        run.len() >= TOKEN_CHARS
            && run.contains(|c: char| c.is_ascii_digit())
            && run.contains(|c: char| c.is_ascii_alphabetic())
    })
}

pub(super) fn text<'v>(value: &'v DeValue<'_>, example: &str) -> Result<&'v str, Wrong> {
    let Some(text) = value.as_str() else {
        return Err(wrong_kind(value, "text", &format!("write it in quotes, such as {example:?}")));
    };
    if text.trim().is_empty() {
        return Err(Wrong::new("empty", format!("write something such as {example:?}")));
    }
    Ok(text)
}

pub(super) fn boolean(value: &DeValue<'_>) -> Result<bool, Wrong> {
    value.as_bool().ok_or_else(|| wrong_kind(value, "true or false", "write true or false, without quotes"))
}

/// Reads a whole number in `bounds`; `why` says why those, or is empty.
pub(super) fn integer(value: &DeValue<'_>, bounds: RangeInclusive<u32>, why: &str) -> Result<u32, Wrong> {
    let hint = format!("write a whole number from {} to {}", bounds.start(), bounds.end());
    let Some(number) = value.as_integer() else {
        return Err(wrong_kind(value, "a whole number", &hint));
    };
    let number =
        i64::from_str_radix(number.as_str(), number.radix()).ok().and_then(|number| u32::try_from(number).ok());
    number
        .filter(|number| bounds.contains(number))
        .ok_or_else(|| out_of_bounds(bounds.start(), bounds.end(), why, hint))
}

/// Reads a duration in `bounds`; `usual` shows how one is written; `why` says why those bounds, or is empty.
pub(super) fn duration(
    value: &DeValue<'_>,
    bounds: RangeInclusive<Duration>,
    usual: Duration,
    why: &str,
) -> Result<Duration, Wrong> {
    let usual = duration_text(usual);
    let bare = match value {
        DeValue::Integer(number) => Some(number.as_str()),
        DeValue::String(text) => Some(text.as_ref()),
        DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    };
    if let Some(number) =
        bare.filter(|text| !text.is_empty() && text.len() < 10 && text.bytes().all(|b| b.is_ascii_digit()))
    {
        let unit = usual.chars().last().unwrap_or('s');
        let hint = format!("write \"{number}{unit}\", if that is what is meant (units: d, h, m, s)");
        return Err(Wrong::new("a duration needs a unit", hint));
    }
    let example = format!("write a duration such as \"{usual}\" or \"6h30m\" (units: d, h, m, s)");
    let Some(text) = value.as_str() else {
        return Err(wrong_kind(value, "a duration", &example));
    };
    let duration = parse_duration(text).ok_or_else(|| Wrong::new("not a duration", example))?;
    if bounds.contains(&duration) {
        return Ok(duration);
    }
    let (min, max) = (duration_text(*bounds.start()), duration_text(*bounds.end()));
    let hint = format!("write a duration from \"{min}\" to \"{max}\"");
    Err(out_of_bounds(&min, &max, why, hint))
}

/// Reads one of a few words.
pub(super) fn choice<T: Copy>(value: &DeValue<'_>, choices: &[(&'static str, T)]) -> Result<T, Wrong> {
    let words: Vec<_> = choices.iter().map(|(word, _)| format!("{word:?}")).collect();
    let hint = format!("write {}", words.join(", "));
    let Some(text) = value.as_str() else {
        return Err(wrong_kind(value, "one of a few words", &hint));
    };
    if let Some((_, chosen)) = choices.iter().find(|(word, _)| *word == text) {
        return Ok(*chosen);
    }
    let near = nearest(text, choices.iter().map(|(word, _)| *word));
    let hint = near.map_or(hint, |near| format!("did you mean {near:?}?"));
    Err(Wrong::new("not one of the words known here", hint))
}

pub(super) fn wrong_kind(value: &DeValue<'_>, needed: &str, hint: &str) -> Wrong {
    Wrong::new(format!("it is {}, and {needed} is needed", kind(value)), hint)
}

fn out_of_bounds(min: impl Display, max: impl Display, why: &str, hint: String) -> Wrong {
    let because = if why.is_empty() { String::new() } else { format!(" ({why})") };
    Wrong::new(format!("outside {min} to {max}{because}"), hint)
}
