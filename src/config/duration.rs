//! Durations as people write them: `20s`, `2m`, `6h30m`, `14d`.

use std::time::Duration;

/// The units, longest first, with their length in seconds.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// Reads a duration: whole numbers with their units, the longest first, each unit at most once.
///
/// Shape: `None` for anything else, a number without a unit included.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let mut units = UNITS.iter();
    let mut rest = text;
    let mut total_s: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = rest[..digits].parse().ok()?;
        let letter = rest[digits..].chars().next()?;
        let (_, seconds) = units.find(|(unit, _)| *unit == letter)?;
        total_s = total_s.checked_add(number.checked_mul(*seconds)?)?;
        rest = &rest[digits + 1..];
    }
    (!text.is_empty()).then(|| Duration::from_secs(total_s))
}

/// Writes a duration as [`parse_duration`] reads it.
pub(super) fn duration_text(duration: Duration) -> String {
    let mut rest_s = duration.as_secs();
    let mut text = String::new();
    for (unit, unit_s) in UNITS {
        if rest_s >= unit_s {
            text.push_str(&(rest_s / unit_s).to_string());
            text.push(unit);
            rest_s %= unit_s;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, seconds) in
            [("20s", 20), ("2m", 120), ("6h30m", 23_400), ("14d", 1_209_600), ("0s", 0), ("1d2h3m4s", 93_784)]
        {
            assert_eq!(parse_duration(text), Some(Duration::from_secs(seconds)), "{text}");
            assert_eq!(duration_text(Duration::from_secs(seconds)), text);
        }
        assert_eq!(parse_duration("90m"), Some(Duration::from_mins(90)));
        assert_eq!(duration_text(Duration::from_mins(90)), "1h30m");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", "14", "d", "14 d", "1.5h", "-1d", "+1d", "30m6h", "1h1h", "2w", "99999999999999999999d", "1dé", "１d"]
        {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        assert_eq!(parse_duration(&format!("{}d", u64::MAX)), None);
    }
}
