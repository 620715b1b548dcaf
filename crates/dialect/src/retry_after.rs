//! When to come back: what servers' headers say of it, and what ours say when nobody knows.
//!
//! In order of trust: `retry-after-ms`, `x-amz-retry-after` (milliseconds), `retry-after`
//! (seconds or a date), then the reset times of the rate limits, which OpenAI and those
//! like it write as spans (`x-ratelimit-reset-tokens: 6m0s`) and Anthropic as moments
//! (`anthropic-ratelimit-tokens-reset: 2026-11-22T20:00:00Z`). Moments are measured
//! against the server's own clock in `date`: nothing here knows the time.
//!
//! Sources: `openai` 3.54.0 and `anthropic` 2.12.0, `_base_client.py`, read 2026-11-22;
//! <https://platform.openai.com/docs/guides/rate-limits> and
//! <https://platform.claude.com/docs/en/api/rate-limits>.

use std::time::Duration;

use http::{HeaderMap, HeaderName, header};
use message::{ErrorKind, Failure, Retry};
use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

/// The longest wait believed: a day. More is a broken clock.
const MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What a client is told to wait when nobody knows how long, in seconds. Without the
/// header some clients hammer, others give up.
const DEFAULT_S: u64 = 1;

/// How long a server's answer says to wait.
pub(crate) fn read(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| text(headers, name)?.parse::<f64>().ok();
    let milliseconds = number("retry-after-ms").or_else(|| number("x-amz-retry-after"));
    let wait = match milliseconds {
        Some(milliseconds) => Duration::try_from_secs_f64(milliseconds / 1_000.0).ok(),
        None => match number("retry-after") {
            Some(seconds) => Duration::try_from_secs_f64(seconds).ok(),
            None => until(moment(text(headers, "retry-after")?), headers),
        },
    };
    wait.map(|wait| wait.min(MAX))
}

/// [`read`], and for a server that only tells of its limits when those are reset: the one
/// that is spent, or the slowest, since it is not told which was too small.
pub(crate) fn read_limited(headers: &HeaderMap) -> Option<Duration> {
    if headers.contains_key(header::RETRY_AFTER) || headers.contains_key("retry-after-ms") {
        return read(headers);
    }
    let resets = headers.keys().filter_map(|name| Some((limit(name)?, reset(headers, name)?)));
    let resets: Vec<((&str, &str), Duration)> = resets.collect();
    let spent = resets.iter().filter(|((vendor, limit), _)| remaining(headers, vendor, limit) == Some("0"));
    let wait = spent.map(|(_, wait)| *wait).max().or_else(|| resets.iter().map(|(_, wait)| *wait).max());
    wait.map(|wait| wait.min(MAX))
}

/// The seconds to tell a client, if any.
pub(crate) fn for_client_s(failure: &Failure) -> Option<u64> {
    let busy =
        matches!(failure.kind, ErrorKind::RateLimited | ErrorKind::Overloaded | ErrorKind::Unavailable);
    match failure.retry {
        // Rounded up, lest a client comes too early.
        Retry::After(wait) => Some((wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(DEFAULT_S)),
        Retry::Yes if busy => Some(DEFAULT_S),
        Retry::Yes | Retry::No => None,
    }
}

const OPENAI: &str = "x-ratelimit-reset-";
const ANTHROPIC: &str = "anthropic-ratelimit-";

/// Whose reset time a header tells, and of which limit.
fn limit(name: &HeaderName) -> Option<(&'static str, &str)> {
    let name = name.as_str();
    match name.strip_prefix(OPENAI) {
        Some(limit) => Some((OPENAI, limit)),
        None => name.strip_prefix(ANTHROPIC)?.strip_suffix("-reset").map(|limit| (ANTHROPIC, limit)),
    }
}

fn remaining<'h>(headers: &'h HeaderMap, vendor: &str, limit: &str) -> Option<&'h str> {
    match vendor {
        OPENAI => text(headers, &format!("x-ratelimit-remaining-{limit}")),
        _ => text(headers, &format!("{ANTHROPIC}{limit}-remaining")),
    }
}

fn reset(headers: &HeaderMap, name: &HeaderName) -> Option<Duration> {
    let text = text(headers, name.as_str())?;
    span(text).or_else(|| until(OffsetDateTime::parse(text, &Rfc3339).ok(), headers))
}

/// `1s`, `6m0s`, `120ms`, `1h2m3.5s`; a bare number is seconds.
fn span(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let unit_s = match unit {
            "ms" => 0.001,
            "s" | "" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        let seconds = number.parse::<f64>().ok()? * unit_s;
        total = total.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

/// From the server's own clock to a moment that is not past.
fn until(moment: Option<OffsetDateTime>, headers: &HeaderMap) -> Option<Duration> {
    (moment? - self::moment(text(headers, "date")?)?).try_into().ok()
}

/// An HTTP date.
fn moment(text: &str) -> Option<OffsetDateTime> {
    let text = text.strip_suffix("GMT")?;
    OffsetDateTime::parse(&format!("{text}+0000"), &Rfc2822).ok()
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const DATE: (&str, &str) = ("date", "Sun, 22 Nov 2026 20:00:00 GMT");

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))
        });
        pairs.collect()
    }

    fn seconds(wait: Option<Duration>) -> Option<f64> {
        wait.map(|wait| wait.as_secs_f64())
    }

    #[test]
    fn e1_every_way_to_say_when_is_understood() {
        for (pairs, wait) in [
            (&[("retry-after", "7")][..], Some(7.0)),
            (&[("retry-after", " 0.5 ")], Some(0.5)),
            (&[("retry-after", "7"), ("retry-after-ms", "250")], Some(0.25)),
            (&[("x-amz-retry-after", "1500")], Some(1.5)),
            (&[("retry-after", "Sun, 22 Nov 2026 20:00:10 GMT"), DATE], Some(10.0)),
            (&[("retry-after", "Sun, 22 Nov 2026 19:59:59 GMT"), DATE], None),
            (&[("retry-after", "Sun, 22 Nov 2026 20:00:10 GMT")], None),
            (&[("retry-after", "99999999")], Some(86_400.0)),
            (&[("retry-after", "1e300")], None),
            (&[("retry-after", "-1")], None),
            (&[("retry-after", "NaN")], None),
            (&[], None),
        ] {
            assert_eq!(seconds(read(&headers(pairs))), wait, "{pairs:?}");
            if !pairs.is_empty() && pairs[0].0 == "retry-after" {
                assert_eq!(seconds(read_limited(&headers(pairs))), wait, "{pairs:?}");
            }
        }
    }

    #[test]
    fn e1_the_spent_limits_reset_is_the_wait() {
        for (pairs, wait) in [
            (&[("x-ratelimit-reset-requests", "1s"), ("x-ratelimit-reset-tokens", "6m0s")][..], Some(360.0)),
            (
                &[
                    ("x-ratelimit-reset-requests", "120ms"),
                    ("x-ratelimit-remaining-requests", "0"),
                    ("x-ratelimit-reset-tokens", "6m0s"),
                    ("x-ratelimit-remaining-tokens", "900"),
                ],
                Some(0.12),
            ),
            (
                &[
                    DATE,
                    ("anthropic-ratelimit-input-tokens-reset", "2026-11-22T20:00:30Z"),
                    ("anthropic-ratelimit-input-tokens-remaining", "0"),
                    ("anthropic-ratelimit-requests-reset", "2026-11-22T20:01:00Z"),
                    ("anthropic-ratelimit-requests-remaining", "49"),
                ],
                Some(30.0),
            ),
            (&[("anthropic-ratelimit-requests-reset", "2026-11-22T20:01:00Z")], None),
            (&[("x-ratelimit-reset-tokens", "soon")], None),
            (&[("retry-after", "2"), ("x-ratelimit-reset-tokens", "6m0s")], Some(2.0)),
            (&[("x-ratelimit-limit-tokens", "5")], None),
        ] {
            assert_eq!(seconds(read_limited(&headers(pairs))), wait, "{pairs:?}");
        }
    }

    #[test]
    fn spans_are_read_as_go_writes_them() {
        for (text, wait) in [
            ("1s", Some(1.0)),
            ("6m0s", Some(360.0)),
            ("1h2m3.5s", Some(3723.5)),
            ("7.66s", Some(7.66)),
            ("20", Some(20.0)),
            ("2d", Some(172_800.0)),
            ("", None),
            ("s", None),
            ("1x", None),
            ("1.2.3s", None),
            ("é", None),
        ] {
            assert_eq!(seconds(span(text)), wait, "{text}");
        }
    }

    #[test]
    fn e2_a_busy_server_always_says_when() {
        for kind in [ErrorKind::RateLimited, ErrorKind::Overloaded, ErrorKind::Unavailable] {
            assert_eq!(for_client_s(&Failure::new(kind, "busy")), Some(DEFAULT_S), "{kind:?}");
            let no = Failure::new(kind, "never").with_retry(Retry::No);
            assert_eq!(for_client_s(&no), None);
        }
        let wait = |millis| {
            let retry = Retry::After(Duration::from_millis(millis));
            for_client_s(&Failure::new(ErrorKind::RateLimited, "busy").with_retry(retry))
        };
        assert_eq!((wait(0), wait(1), wait(1_500)), (Some(1), Some(1), Some(2)));
        assert_eq!(for_client_s(&Failure::invalid("no")), None);
    }

    proptest! {
        #[test]
        fn any_header_is_survived(value in "[ -~]{0,30}") {
            for name in ["retry-after", "retry-after-ms", "x-ratelimit-reset-a", "anthropic-ratelimit-a-reset", "date"] {
                let headers = headers(&[(name, &value), DATE]);
                let _ = (read(&headers), read_limited(&headers));
            }
        }
    }
}
