// SPDX-License-Identifier: MIT OR Apache-2.0
//! Times as text.

use std::time::{SystemTime, UNIX_EPOCH};

/// `time` as RFC 3339 in UTC, to the second: `2026-01-31T12:00:00Z`. Times
/// before 1970 are written as its beginning.
pub fn timestamp(time: SystemTime) -> String {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let clock = seconds % 86_400;
    let mut days = seconds / 86_400;
    let mut year = 1970_i64;
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!(
        "{year:04}-{month:02}-{:02}T{:02}:{:02}:{:02}Z",
        days + 1,
        clock / 3600,
        clock / 60 % 60,
        clock % 60
    )
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Whether `text` has the shape of a UTC time, with or without a fraction.
pub(crate) fn is_timestamp(text: &str) -> bool {
    let Some((whole, fraction)) = text
        .strip_suffix('Z')
        .map(|rest| rest.split_once('.').unwrap_or((rest, "0")))
    else {
        return false;
    };
    let shape = b"0000-00-00T00:00:00";
    whole.len() == shape.len()
        && whole.bytes().zip(shape).all(|(byte, wanted)| match wanted {
            b'0' => byte.is_ascii_digit(),
            other => byte == *other,
        })
        && !fraction.is_empty()
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn timestamps() {
        let at = |seconds| timestamp(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_735_689_599), "2024-12-31T23:59:59Z");
        assert!(is_timestamp(&timestamp(SystemTime::now())));
        assert!(is_timestamp("2026-01-31T12:00:00.25Z"));
        assert!(!is_timestamp("2026-01-31T12:00:00+01:00"));
        assert!(!is_timestamp("2026-01-31 12:00:00Z"));
    }
}
