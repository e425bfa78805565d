//! Texts to values and back.

use std::time::Duration;

use super::{boolean, duration, duration_text, duration_with_days, elasticsearch_duration, integer, octal};

#[test]
fn booleans_in_any_case() {
    assert_eq!(boolean("True"), Some(true));
    assert_eq!(boolean("off"), Some(false));
    assert_eq!(boolean("1"), None);
    assert_eq!(boolean(""), None);
}

#[test]
fn numbers_decimal_octal_and_hexadecimal() {
    assert_eq!(integer("8220"), Some(8220));
    assert_eq!(integer("-1"), Some(-1));
    assert_eq!(integer("010"), Some(8));
    assert_eq!(integer("0x10"), Some(16));
    assert_eq!(integer("0"), Some(0));
    assert_eq!(integer("1_000"), Some(1000));
}

#[test]
fn whole_fractions_are_numbers_and_others_are_not() {
    assert_eq!(integer("8220.0"), Some(8220));
    assert_eq!(integer("8220.5"), None);
    assert_eq!(integer("08"), None);
    assert_eq!(integer("inf"), None);
    assert_eq!(integer("NaN"), None);
    assert_eq!(integer("--1"), None);
    assert_eq!(integer(""), None);
}

#[test]
fn modes_are_octal_with_or_without_the_zero() {
    assert_eq!(octal("0600"), Some(0o600));
    assert_eq!(octal("640"), Some(0o640));
    assert_eq!(octal("0o600"), Some(0o600));
    assert_eq!(octal("0800"), None);
    assert_eq!(octal(""), None);
}

#[test]
fn go_durations() {
    assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
    assert_eq!(duration("1h30m"), Some(Duration::from_secs(5400)));
    assert_eq!(duration("1.5s"), Some(Duration::from_millis(1500)));
    assert_eq!(duration(".5ms"), Some(Duration::from_micros(500)));
    assert_eq!(duration("1\u{b5}s"), Some(Duration::from_micros(1)));
    assert_eq!(duration("+5m"), Some(Duration::from_secs(300)));
}

#[test]
fn a_bare_number_is_seconds() {
    assert_eq!(duration("35"), Some(Duration::from_secs(35)));
    assert_eq!(duration("0"), Some(Duration::ZERO));
    assert_eq!(duration("0.25"), Some(Duration::from_millis(250)));
}

#[test]
fn what_is_no_duration() {
    for text in ["", "-5m", "-1", "5x", "m", "5m5", "1d", ".", ".s", "1..s", "9999999999h", "1e30"] {
        assert_eq!(duration(text), None, "{text}");
    }
}

#[test]
fn retention_counts_days_too() {
    assert_eq!(duration_with_days("30d"), Some(Duration::from_secs(30 * 86_400)));
    assert_eq!(duration_with_days("720h"), Some(Duration::from_secs(720 * 3600)));
}

#[test]
fn elasticsearch_durations() {
    assert_eq!(elasticsearch_duration("30d"), Some(Duration::from_secs(30 * 86_400)));
    assert_eq!(elasticsearch_duration("5ms"), Some(Duration::from_millis(5)));
    assert_eq!(elasticsearch_duration("30"), None);
    assert_eq!(elasticsearch_duration("1h30m"), None);
    assert_eq!(elasticsearch_duration("d"), None);
}

#[test]
fn durations_as_text() {
    assert_eq!(duration_text(Duration::from_secs(5400)), "1h30m");
    assert_eq!(duration_text(Duration::from_millis(1250)), "1s250ms");
    assert_eq!(duration_text(Duration::from_micros(500)), "500us");
    assert_eq!(duration_text(Duration::ZERO), "0s");
}
