//! Sizes as people write them: `256MB`, `2GB`. Powers of ten, as disks are sold and `df -H` counts.

use std::ops::RangeInclusive;

use super::problem::Wrong;
use super::section::Section;
use super::value::text;

/// The units, longest first, with their length in bytes.
const UNITS: [(&str, u64); 2] = [("GB", 1_000_000_000), ("MB", 1_000_000)];

/// Reads a size that has a default.
pub(super) fn read_size(
    section: &Section<'_, '_>,
    key: &'static str,
    default: u64,
    bounds: RangeInclusive<u64>,
) -> Option<u64> {
    section.or_default(key, default, |value| {
        let hint = format!("write a size such as \"{}\" (units: MB, GB)", size_text(default));
        if value.as_integer().is_some() {
            return Err(Wrong::new("a size needs a unit", hint));
        }
        let bytes = parse_size(text(value, &size_text(default))?).ok_or_else(|| Wrong::new("not a size", hint))?;
        let (min, max) = (size_text(*bounds.start()), size_text(*bounds.end()));
        let hint = format!("write a size from \"{min}\" to \"{max}\"");
        if bounds.contains(&bytes) { Ok(bytes) } else { Err(Wrong::new(format!("outside {min} to {max}"), hint)) }
    })
}

/// Reads a whole number and its unit.
///
/// Shape: bytes; `None` for anything else, a number without a unit included.
fn parse_size(text: &str) -> Option<u64> {
    let (unit, bytes) = UNITS.iter().find(|(unit, _)| text.ends_with(unit))?;
    let digits = &text[..text.len() - unit.len()];
    let is_plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_plain.then(|| digits.parse::<u64>().ok()?.checked_mul(*bytes)).flatten()
}

/// Writes a size as [`parse_size`] reads it, in the largest unit that fits it whole.
pub(super) fn size_text(bytes: u64) -> String {
    let whole = UNITS.iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    let (unit, length) = whole.unwrap_or(&UNITS[UNITS.len() - 1]);
    format!("{}{unit}", bytes / length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes) in [("256MB", 256_000_000), ("2GB", 2_000_000_000), ("1500MB", 1_500_000_000)] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
            assert_eq!(size_text(bytes), text);
        }
        for text in ["", "5", "MB", "-5MB", "+5MB", "5 MB", "5mb", "5KB", "1.5GB", "99999999999999999999GB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }
}
