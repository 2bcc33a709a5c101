//! When a provider wants to be asked again.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::{HeaderMap, header};

/// In milliseconds, as OpenAI and Azure send it beside the standard header.
const RETRY_AFTER_MS: &str = "retry-after-ms";

/// Reads `retry-after-ms`, or `retry-after` in seconds or as a date (RFC 9110, 10.2.3).
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let milliseconds = text(RETRY_AFTER_MS).and_then(|text| text.parse::<f64>().ok());
    if let Some(milliseconds) = milliseconds {
        return duration(milliseconds / 1_000.0);
    }
    let text = text(header::RETRY_AFTER.as_str())?;
    if let Ok(seconds) = text.parse::<f64>() {
        return duration(seconds);
    }
    let date = DateTime::parse_from_rfc2822(text).ok()?.to_utc();
    // A date in the past means now.
    Some((date - Utc::now()).to_std().unwrap_or_default())
}

/// Reads a length of time as Google's APIs write it, such as `37s` or `1.5s`:
/// <https://protobuf.dev/programming-guides/json/>
pub(super) fn parse_delay(text: &str) -> Option<Duration> {
    duration(text.strip_suffix('s')?.parse().ok()?)
}

fn duration(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;

    use super::{parse_delay, retry_after};

    fn read(name: &'static str, value: &str) -> Option<Duration> {
        retry_after(&HeaderMap::from_iter([(
            name.parse().expect("a name"),
            value.parse().expect("a value"),
        )]))
    }

    #[test]
    fn every_form_is_read() {
        assert_eq!(read("retry-after", "7"), Some(Duration::from_secs(7)));
        assert_eq!(read("retry-after", "0.5"), Some(Duration::from_millis(500)));
        assert_eq!(read("retry-after-ms", "250"), Some(Duration::from_millis(250)));
        assert_eq!(read("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        let later = chrono::Utc::now() + chrono::TimeDelta::seconds(60);
        let left = read("retry-after", &later.to_rfc2822()).expect("is read");
        assert!((55..=60).contains(&left.as_secs()), "{left:?}");
    }

    #[test]
    fn what_makes_no_sense_is_nothing() {
        for value in ["soon", "-1", "NaN", "1e300", ""] {
            assert_eq!(read("retry-after", value), None, "{value}");
        }
    }

    #[test]
    fn a_delay_has_a_unit() {
        assert_eq!(parse_delay("37s"), Some(Duration::from_secs(37)));
        assert_eq!(parse_delay("1.5s"), Some(Duration::from_millis(1_500)));
        for text in ["37", "s", "", "-1s", "infs", "1m"] {
            assert_eq!(parse_delay(text), None, "{text}");
        }
    }
}
