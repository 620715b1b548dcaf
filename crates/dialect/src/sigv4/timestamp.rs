//! `YYYYMMDDTHHMMSSZ`, the only way Signature Version 4 writes a time.

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

const FORMAT: &[BorrowedFormatItem<'_>] = format_description!("[year][month][day]T[hour][minute][second]Z");

/// Seconds since 1970; `None` if it is no such time.
pub(super) fn parse(text: &str) -> Option<i64> {
    // The length first: a year may not have a sign or more digits.
    (text.len() == 16)
        .then(|| PrimitiveDateTime::parse(text, FORMAT).ok())
        .flatten()
        .map(|time| time.assume_utc().unix_timestamp())
}

/// Writes a time as `x-amz-date` wants it; a time beyond the year 9999 as 1970.
pub fn format(unix_s: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(unix_s).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(FORMAT).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        assert_eq!(parse("20261122T120000Z"), Some(1_795_348_800));
        assert_eq!(format(1_795_348_800), "20261122T120000Z");
        assert_eq!(parse("20240229T235959Z").map(format).as_deref(), Some("20240229T235959Z"));
    }

    #[test]
    fn nonsense_is_none() {
        for text in [
            "",
            "20261122",
            "20261322T120000Z",
            "20230229T120000Z",
            "20261122T240000Z",
            "20261122T120000",
            "20261122T120000z",
            "-0261122T120000Z",
            "+0261122T120000Z",
            "2026112２T12000Z",
            "20261122 120000Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
