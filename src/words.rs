//! How times, ages and numbers are said, alike in the commands and on the pages.

use jiff::Timestamp;

/// How long ago, or in how long: `3 h 20 min ago`, `in 5 min`, `now`.
pub fn relative(at: Timestamp, now: Timestamp) -> String {
    relative_as(at, now, duration)
}

fn relative_as(at: Timestamp, now: Timestamp, write: fn(i64) -> String) -> String {
    let seconds = now.as_second() - at.as_second();
    match seconds {
        -1..=1 => "now".to_owned(),
        2.. => format!("{} ago", write(seconds)),
        _ => format!("in {}", write(-seconds)),
    }
}

/// The same with its largest unit only, for tables: `3 h ago`, `in 5 min`.
pub fn about(at: Timestamp, now: Timestamp) -> String {
    relative_as(at, now, |seconds| {
        let units = [(86_400, "d"), (3_600, "h"), (60, "min")];
        let (length, unit) = units.into_iter().find(|(length, _)| seconds >= *length).unwrap_or((1, "s"));
        format!("{} {unit}", seconds / length)
    })
}

/// A duration with its two largest units.
pub fn duration(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    if days > 0 {
        with_rest(days, "d", hours % 24, "h")
    } else if hours > 0 {
        with_rest(hours, "h", minutes % 60, "min")
    } else if minutes > 0 {
        with_rest(minutes, "min", seconds % 60, "s")
    } else {
        format!("{seconds} s")
    }
}

fn with_rest(amount: i64, unit: &str, rest: i64, rest_unit: &str) -> String {
    if rest == 0 { format!("{amount} {unit}") } else { format!("{amount} {unit} {rest} {rest_unit}") }
}

/// How long something has lasted or how old it is: `3 h 20 min`.
pub fn age(since: Timestamp, now: Timestamp) -> String {
    duration((now.as_second() - since.as_second()).max(0))
}

/// A count with separators: `12,345`.
pub fn count(number: u64) -> String {
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

/// `1 link`, `2 links`.
pub fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// ` for 3 h 20 min`.
pub fn since(at: Timestamp, now: Timestamp) -> String {
    format!(" for {}", age(at, now))
}

/// `consent ends in 6 days`, `consent ended 2 days ago`.
pub fn consent(at: Timestamp, now: Timestamp) -> String {
    let seconds = at.as_second() - now.as_second();
    let days = counted(seconds.unsigned_abs() / 86_400, "day");
    match seconds {
        0..86_400 => "consent ends today".to_owned(),
        86_400.. => format!("consent ends in {days}"),
        -86_399..0 => "consent ended today".to_owned(),
        _ => format!("consent ended {days} ago"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_show_their_two_largest_units() {
        let cases = [(5, "5 s"), (60, "1 min"), (61, "1 min 1 s"), (3 * 3600 + 59, "3 h"), (90_000, "1 d 1 h")];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn tables_tell_instants_with_their_largest_unit() {
        let now = Timestamp::from_second(1_800_000_000).expect("an instant");
        let cases = [(3_700, "1 h ago"), (-125, "in 2 min"), (1, "now"), (59, "59 s ago"), (-200_000, "in 2 d")];
        for (seconds, text) in cases {
            let at = Timestamp::from_second(now.as_second() - seconds).expect("an instant");
            assert_eq!(about(at, now), text);
        }
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        assert_eq!([0, 12, 1234, 1_234_567].map(count), ["0", "12", "1,234", "1,234,567"]);
        assert_eq!([counted(1, "link"), counted(0, "link")], ["1 link", "0 links"]);
    }

    #[test]
    fn the_end_of_a_consent_is_told_in_days() {
        let now = Timestamp::from_second(1_800_000_000).expect("an instant");
        let cases = [
            (6 * 86_400 + 3_600, "consent ends in 6 days"),
            (86_400, "consent ends in 1 day"),
            (3_600, "consent ends today"),
            (-60, "consent ended today"),
            (-3 * 86_400, "consent ended 3 days ago"),
        ];
        for (seconds, text) in cases {
            let at = Timestamp::from_second(now.as_second() + seconds).expect("an instant");
            assert_eq!(consent(at, now), text);
        }
    }
}
