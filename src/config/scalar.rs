//! Texts to booleans, numbers and durations, and durations back to text.

use std::time::Duration;

/// `true`, `on`, `yes` and their opposites in any case.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" => Some(true),
        "false" | "off" | "no" => Some(false),
        _ => None,
    }
}

/// A whole number: decimal, 0x, 0o, 0b, octal with a leading 0, or a fraction that is whole
/// (agents send 8220.0).
pub(super) fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = digits.replace('_', "");
    let magnitude = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => unsigned(&digits[2..], 16)?,
        [b'0', b'o' | b'O', ..] => unsigned(&digits[2..], 8)?,
        [b'0', b'b' | b'B', ..] => unsigned(&digits[2..], 2)?,
        [b'0', b'0'..=b'9', ..] => unsigned(&digits[1..], 8)?,
        _ => unsigned(&digits, 10).or_else(|| whole_fraction(&digits))?,
    };
    Some(if negative { -magnitude } else { magnitude })
}

fn unsigned(digits: &str, radix: u32) -> Option<i128> {
    u64::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+')).map(i128::from)
}

fn whole_fraction(digits: &str) -> Option<i128> {
    /// Above it a double has no room for every whole number.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let number: f64 = digits.parse().ok()?;
    (number.fract() == 0.0 && number <= EXACT_MAX).then(|| {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within the exact range")]
        let whole = number as i128;
        whole
    })
}

/// A number of octal digits, as file modes are written.
pub(super) fn octal(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| u32::from_str_radix(digits, 8).ok())?
}

/// A Go duration (`250ms`, `1h30m`); a bare number is seconds. Negative ones and those above 292
/// years are none.
pub(super) fn duration(text: &str) -> Option<Duration> {
    duration_in(text, &GO_UNITS).or_else(|| {
        let seconds = integer(text).and_then(|seconds| u64::try_from(seconds).ok());
        seconds
            .map(Duration::from_secs)
            .or_else(|| amount(text, 1_000_000_000))
            .filter(|time| *time <= DURATION_MAX)
    })
}

/// A Go duration with its units, `1h2m3.5s`; nothing else.
pub fn go_duration(text: &str) -> Option<Duration> {
    duration_in(text, &GO_UNITS)
}

/// A Go duration that may also count days, `30d`.
pub(super) fn duration_with_days(text: &str) -> Option<Duration> {
    duration(text).or_else(|| duration_in(text, &[("d", 24 * HOUR)]))
}

/// Elasticsearch's time units: one whole number and a unit.
pub(super) fn elasticsearch_duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u64); 7] = [
        ("nanos", 1),
        ("micros", 1000),
        ("ms", 1_000_000),
        ("d", 24 * HOUR),
        ("h", HOUR),
        ("m", MINUTE),
        ("s", SECOND),
    ];
    let start = text.find(|character: char| !character.is_ascii_digit())?;
    let (digits, unit) = text.split_at(start);
    let nanoseconds = UNITS.iter().find(|(name, _)| *name == unit)?.1;
    amount(digits, nanoseconds).filter(|time| *time <= DURATION_MAX)
}

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// The longest duration of Go.
const DURATION_MAX: Duration = Duration::from_nanos(i64::MAX.cast_unsigned());

const GO_UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1000),
    ("\u{b5}s", 1000),
    ("\u{3bc}s", 1000),
    ("ms", 1_000_000),
    ("s", SECOND),
    ("m", MINUTE),
    ("h", HOUR),
];

/// A sum of amounts with units.
fn duration_in(text: &str, units: &[(&str, u64)]) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return None;
    }
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let letters = rest[digits..].find(|character: char| character.is_ascii_digit() || character == '.');
        let end = letters.map_or(rest.len(), |letters| digits + letters);
        let nanoseconds = units.iter().find(|(name, _)| *name == &rest[digits..end])?.1;
        sum = sum.checked_add(amount(&rest[..digits], nanoseconds)?)?;
        rest = &rest[end..];
    }
    (sum <= DURATION_MAX).then_some(sum)
}

/// Digits after the point that count; a nanosecond is at most the thirteenth of an hour.
const FRACTION_DIGITS_MAX: usize = 15;

/// A decimal number of a unit, exact to the nanosecond.
fn amount(number: &str, unit_nanoseconds: u64) -> Option<Duration> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let unit = u128::from(unit_nanoseconds);
    let places = fraction.len().min(FRACTION_DIGITS_MAX);
    let part = fraction[..places].bytes().fold(0, |part, digit| part * 10 + u128::from(digit - b'0'));
    let parts = (0..places).fold(1_u128, |parts, _| parts * 10);
    let nanoseconds = u128::from(whole) * unit + part * unit / parts;
    Some(Duration::from_nanos(u64::try_from(nanoseconds).ok()?))
}

/// A duration as Go would write it, without parts that are zero: `1h30m`, `250ms`, `0s`.
pub(super) fn duration_text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let nanoseconds = duration.subsec_nanos();
    let parts = [
        (seconds / 3600, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
        (u64::from(nanoseconds / 1_000_000), "ms"),
        (u64::from(nanoseconds / 1000 % 1000), "us"),
        (u64::from(nanoseconds % 1000), "ns"),
    ];
    let text: String =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests;
