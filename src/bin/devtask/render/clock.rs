//! The time of day where the user is: as `TZ` says, else as the system is set up.

use std::{
    env,
    sync::LazyLock,
    time::{SystemTime, UNIX_EPOCH},
};

use tz::TimeZone;

static ZONE: LazyLock<TimeZone> = LazyLock::new(|| {
    let zone = match env::var("TZ") {
        Ok(zone) => TimeZone::from_posix_tz(&zone),
        Err(_) => TimeZone::local(),
    };
    zone.unwrap_or_else(|_| TimeZone::utc())
});

/// Hours, minutes, seconds.
pub(crate) fn time_of_day(time: SystemTime) -> String {
    in_zone(&ZONE, time)
}

fn in_zone(zone: &TimeZone, time: SystemTime) -> String {
    const DAY: i64 = 24 * 60 * 60;
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let seconds = i64::try_from(seconds).unwrap_or(0);
    let ahead = zone.find_local_time_type(seconds).map_or(0, tz::LocalTimeType::ut_offset);
    let today = (seconds + i64::from(ahead)).rem_euclid(DAY);
    format!("{:02}:{:02}:{:02}", today / 3600, today / 60 % 60, today % 60)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn clocks_go_forward_in_spring_and_other_places_have_other_times() {
        // 2026-01-15 and 2026-07-15, at noon in Greenwich.
        let (winter, summer) = (1_768_478_400, 1_784_116_800);
        for (zone, at, expected) in [
            ("UTC0", winter, "12:00:00"),
            ("CET-1CEST,M3.5.0,M10.5.0/3", winter, "13:00:00"),
            ("CET-1CEST,M3.5.0,M10.5.0/3", summer, "14:00:00"),
            ("<+0545>-5:45", winter, "17:45:00"),
            ("EST5EDT,M3.2.0,M11.1.0", summer + 59, "08:00:59"),
            ("<-13>13", winter, "23:00:00"),
        ] {
            let zone = TimeZone::from_posix_tz(zone).unwrap();
            assert_eq!(in_zone(&zone, UNIX_EPOCH + Duration::from_secs(at)), expected);
        }
    }
}
