//! Days and instants in every offset.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;

/// The largest offset that is read: a day, an hour and 59 minutes.
const MAX_OFFSET_MINUTES: i64 = 25 * 60 + 59;

proptest! {
    #[test]
    fn the_day_is_the_one_that_was_written_and_the_instant_the_one_that_was_meant(
        second_of_time in 0_i64..3_600 * 24 * 365 * 8_000, fraction in "(\\.[0-9]{1,6})?",
        offset in -MAX_OFFSET_MINUTES..=MAX_OFFSET_MINUTES, is_utc in any::<bool>(),
    ) {
        let written = Timestamp::from_second(second_of_time).expect("in range").to_zoned(TimeZone::UTC).datetime();
        let zone = if is_utc {
            "Z".to_owned()
        } else {
            let sign = if offset < 0 { '-' } else { '+' };
            format!("{sign}{:02}:{:02}", offset.abs() / 60, offset.abs() % 60)
        };
        let text = format!("{}{fraction}{zone}", written.strftime("%Y-%m-%dT%H:%M:%S"));
        let (at, day) = moment(&text).expect("an instant");
        prop_assert_eq!(day, written.date(), "{}", text);
        let minutes = if is_utc { 0 } else { offset };
        let meant = Timestamp::from_second(second_of_time - minutes * 60).expect("in range");
        let late = at.duration_since(meant);
        prop_assert!(late >= SignedDuration::ZERO && late < SignedDuration::from_secs(1), "{} is {}", text, at);
    }

    #[test]
    fn a_bare_day_begins_at_midnight(second_of_time in 0_i64..3_600 * 24 * 365 * 8_000) {
        let day = Timestamp::from_second(second_of_time).expect("in range").to_zoned(TimeZone::UTC).date();
        let (at, read) = moment(&day.to_string()).expect("a day");
        prop_assert_eq!((at.to_zoned(TimeZone::UTC).datetime(), read), (day.into(), day));
    }
}
