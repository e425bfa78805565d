//! The header Range (RFC 9110, 14.2), as far as files are delivered by it (files.md, "Delivery to a host"): one range of bytes.

use std::ops::Range;

/// Why no range of a file can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeError {
    /// Malformed, or beyond the file.
    Unsatisfiable,
    /// Several at once.
    Several,
}

/// Ranges that one header may name; more are no honest client's.
const RANGES_MAX: usize = 64;

/// The part of a file of `bytes` that a header asks for; `None`: the whole. An end beyond the file is that of the file. Ranges
/// that lie beyond it do not count where others do not.
pub fn read(header: Option<&str>, bytes: u64) -> Result<Option<Range<u64>>, RangeError> {
    let Some(header) = header else { return Ok(None) };
    let list = header.trim().strip_prefix("bytes=").ok_or(RangeError::Unsatisfiable)?;
    let parts = list.split(',').map(str::trim).filter(|part| !part.is_empty());
    let mut wanted = Vec::new();
    let mut count = 0;
    for part in parts {
        count += 1;
        if count > RANGES_MAX {
            return Err(RangeError::Several);
        }
        wanted.extend(one(part, bytes)?);
    }
    let total: u64 = wanted.iter().fold(0, |total: u64, part| total.saturating_add(part.end - part.start));
    match wanted.len() {
        0 if count == 0 => Ok(None),
        0 => Err(RangeError::Unsatisfiable),
        1 => Ok(wanted.pop()),
        // to send it once is less than that
        _ if total > bytes => Ok(None),
        _ => Err(RangeError::Several),
    }
}

/// `a-b`, `a-` or `-n`; `None` if it begins beyond the file.
fn one(part: &str, bytes: u64) -> Result<Option<Range<u64>>, RangeError> {
    let (first, last) = part.split_once('-').ok_or(RangeError::Unsatisfiable)?;
    let (first, last) = (first.trim(), last.trim());
    if first.is_empty() {
        let length = number(last)?.min(bytes);
        return if length == 0 { Err(RangeError::Unsatisfiable) } else { Ok(Some(bytes - length..bytes)) };
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if first > last {
        return Err(RangeError::Unsatisfiable);
    }
    Ok((first < bytes).then(|| first..last.saturating_add(1).min(bytes)))
}

/// Digits and nothing else, not beyond 64 bits.
fn number(text: &str) -> Result<u64, RangeError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or(RangeError::Unsatisfiable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_100(header: &str) -> Result<Option<Range<u64>>, RangeError> {
        read(Some(header), 100)
    }

    #[test]
    fn one_range_is_clipped_to_the_file() {
        for (header, range) in [
            ("bytes=0-0", 0..1),
            ("bytes=10-19", 10..20),
            ("bytes=90-", 90..100),
            ("bytes=90-100", 90..100),
            ("bytes=0-18446744073709551615", 0..100),
            ("bytes=-1", 99..100),
            ("bytes=-1000", 0..100),
            ("bytes= 1 - 2 ,", 1..3),
            ("bytes=5-6, 100-200", 5..7),
        ] {
            assert_eq!(of_100(header), Ok(Some(range)), "{header}");
        }
    }

    #[test]
    fn no_range_is_the_whole_file() {
        assert_eq!(read(None, 100), Ok(None));
        for header in ["bytes=", "bytes= , ,", "bytes=0-99,0-99", "bytes=0-60,50-99"] {
            assert_eq!(of_100(header), Ok(None), "{header}");
        }
    }

    #[test]
    fn what_is_malformed_or_beyond_the_file_is_refused() {
        for header in [
            "bytes=100-",
            "bytes=100-200",
            "bytes=-0",
            "bytes=5-4",
            "bytes=a-b",
            "bytes=1",
            "bytes=--1",
            "bytes=-1-2",
            "bytes=+1-2",
            "bytes=18446744073709551616-",
            "bytes=0-18446744073709551616",
            "bytes=1.5-2",
            "items=0-1",
            "0-1",
            "",
            "bytes=0-1,x",
            "bytes",
        ] {
            assert_eq!(of_100(header), Err(RangeError::Unsatisfiable), "{header}");
        }
        assert_eq!(read(Some("bytes=0-"), 0), Err(RangeError::Unsatisfiable));
        assert_eq!(read(Some("bytes=-1"), 0), Err(RangeError::Unsatisfiable));
    }

    #[test]
    fn several_ranges_are_refused() {
        for header in ["bytes=0-1,3-4", "bytes=0-1,0-1", "bytes=-1,-2"] {
            assert_eq!(of_100(header), Err(RangeError::Several), "{header}");
        }
        assert_eq!(of_100(&format!("bytes={}", "0-99,".repeat(1_000))), Err(RangeError::Several));
    }
}
