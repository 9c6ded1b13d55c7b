//! When a line was written: RFC 3339, or the same without its marks (`20260102T030405Z`).

/// Whether a text is a time.
pub(super) fn is_time(text: &str) -> bool {
    if !text.is_ascii() {
        return false;
    }
    let Some((date, time)) = text.split_once(['T', 't']) else {
        // RFC 3339 lets people write a space for readability.
        return text.split_once(' ').is_some_and(|(date, time)| is_full(date, time));
    };
    is_full(date, time) || is_compact(date, time)
}

fn is_full(date: &str, time: &str) -> bool {
    let [year, month, day] = date.split('-').collect::<Vec<_>>()[..] else { return false };
    let Some(clock) = time.get(..8) else { return false };
    let [hour, minute, second] = clock.split(':').collect::<Vec<_>>()[..] else { return false };
    is_date(year, month, day) && is_clock(hour, minute, second) && is_end(&time[8..])
}

fn is_compact(date: &str, time: &str) -> bool {
    if date.len() != 8 || time.len() < 6 {
        return false;
    }
    is_date(&date[..4], &date[4..6], &date[6..])
        && is_clock(&time[..2], &time[2..4], &time[4..6])
        && is_end(&time[6..])
}

fn is_date(year: &str, month: &str, day: &str) -> bool {
    number(year, 4).is_some() && is_within(month, 1, 12) && is_within(day, 1, 31)
}

/// A minute may have a leap second.
fn is_clock(hour: &str, minute: &str, second: &str) -> bool {
    is_within(hour, 0, 23) && is_within(minute, 0, 59) && is_within(second, 0, 60)
}

/// A fraction if there is one, and how far the clock is off.
fn is_end(text: &str) -> bool {
    let fraction = text.strip_prefix('.').map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    let (zone, has_digits) = match fraction {
        Some(zone) => (zone, zone.len() + 1 < text.len()),
        None => (text, true),
    };
    has_digits && is_zone(zone)
}

fn is_zone(text: &str) -> bool {
    let Some(offset) = text.strip_prefix(['+', '-']) else { return matches!(text, "Z" | "z") };
    offset
        .split_once(':')
        .is_some_and(|(hours, minutes)| is_within(hours, 0, 23) && is_within(minutes, 0, 59))
}

fn is_within(text: &str, least: u32, most: u32) -> bool {
    number(text, 2).is_some_and(|number| (least..=most).contains(&number))
}

fn number(text: &str, digits: usize) -> Option<u32> {
    let is_number = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_from_what_is_none() {
        let cases = [
            ("2026-01-02T03:04:05Z", true),
            ("2026-01-02t03:04:05.123456z", true),
            ("2026-01-02 03:04:05+01:30", true),
            ("2026-12-31T23:59:60-00:00", true),
            ("20260102T030405Z", true),
            ("20260102T030405.5Z", true),
            ("", false),
            ("T", false),
            ("now", false),
            ("2026-01-02", false),
            ("2026-01-02T03:04:05", false),
            ("2026-01-02T03:04:05.Z", false),
            ("2026-01-02T03:04Z", false),
            ("2026-13-02T03:04:05Z", false),
            ("2026-01-32T03:04:05Z", false),
            ("2026-01-02T24:04:05Z", false),
            ("2026-1-02T03:04:05Z", false),
            ("2026-01-02T03:04:05+0100", false),
            ("20260102T0304Z", false),
            ("20260102T03040٥Z", false),
            ("+0260102T030405Z", false),
            ("1767322800", false),
        ];
        for (text, expected) in cases {
            assert_eq!(is_time(text), expected, "{text}");
        }
    }
}
