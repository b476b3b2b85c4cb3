//! Cron expressions, and the instants they name in a time zone.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use passbook::schedule::Schedule;

/// With and without clocks that are put forward and back, by an hour or by half of one.
const ZONES: [&str; 4] = ["UTC", "Europe/Paris", "America/St_Johns", "Australia/Lord_Howe"];
/// The calendar that schedules know ends with the year 4999.
const LAST_SECOND: i64 = 95_000_000_000;

/// The first byte chooses a zone, the next four an hour, the rest is the expression.
pub fn schedule(input: &[u8]) {
    let Some((head, text)) = input.split_first_chunk::<5>() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let zone = TimeZone::get(ZONES[usize::from(head[0]) % ZONES.len()]).expect("a zone");
    let hour = i64::from(u32::from_le_bytes([head[1], head[2], head[3], head[4]]));
    let now = Timestamp::from_second(hour * 3600 % LAST_SECOND).expect("an instant");
    let schedule = match Schedule::parse(text, &zone) {
        Ok(schedule) => schedule,
        Err(error) => {
            assert!(error.to_string().len() <= 2 * text.len() + 300, "{} bytes", error.to_string().len());
            return;
        }
    };
    let again = Schedule::parse(schedule.as_str(), &zone).expect("what was read once");
    assert_eq!(again.as_str(), schedule.as_str());
    let Some(next) = schedule.next_after(now) else { return };
    assert!(next > now, "{next} is not after {now}");
    assert_eq!(again.next_after(now), Some(next));
    // Nothing fires between: the last one before the next is not after now, and asked at the next it is that.
    assert_eq!(schedule.last_until(next), Some(next));
    assert!(schedule.last_until(now).is_none_or(|last| last <= now));
    assert_eq!(schedule.missed_since(now, next), Some(next));
    assert!(schedule.fires_per_day(now, 100) <= 100);
}
