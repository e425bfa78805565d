//! The request target's forms (RFC 9112, 3.2) and percent-decoding. Knows no route.

use std::borrow::Cow;
use std::ops::Range;

use super::bad::BadRequest;

/// Where path and query lie in a target.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Empty for an absolute form without a path, which means `/`.
    pub(super) path: Range<usize>,
    pub(super) query: Option<Range<usize>>,
}

/// Splits a target. Origin form, absolute form (of which the path counts), and `*` for OPTIONS.
pub(super) fn split(method: &str, target: &str) -> Result<Target, BadRequest> {
    if method == "CONNECT" {
        return Err(BadRequest::Connect);
    }
    if !target.is_ascii() {
        return Err(BadRequest::Target);
    }
    let path_start = match target.as_bytes() {
        [b'/', ..] => 0,
        b"*" if method == "OPTIONS" => 0,
        _ => absolute_path_start(target).ok_or(BadRequest::Target)?,
    };
    let query_mark = target[path_start..].find('?').map(|offset| path_start + offset);
    Ok(Target {
        path: path_start..query_mark.unwrap_or(target.len()),
        query: query_mark.map(|mark| mark + 1..target.len()),
    })
}

/// Where the path begins in `http://authority/path`. Not for other schemes: they are for a proxy.
fn absolute_path_start(target: &str) -> Option<usize> {
    let (scheme, rest) = target.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let authority_length = rest.find(['/', '?']).unwrap_or(rest.len());
    let authority = &rest[..authority_length];
    (!authority.is_empty() && is_authority(authority.as_bytes()))
        .then(|| target.len() - rest.len() + authority_length)
}

/// Whether these are bytes of a host with an optional port (RFC 3986, 3.2.2). User information is
/// not allowed (RFC 9110, 4.2.4).
pub(super) fn is_authority(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte))
}

/// Decodes a path segment or a query value. A `%` without two hexadecimal digits, or bytes that are
/// not UTF-8 in the end: `None`. `+` stays a plus. Slashes and controls may come out: the result is
/// a name, not a path.
pub fn percent_decode(segment: &str) -> Option<Cow<'_, str>> {
    let Some(first) = segment.find('%') else { return Some(Cow::Borrowed(segment)) };
    let mut decoded = Vec::with_capacity(segment.len());
    decoded.extend_from_slice(&segment.as_bytes()[..first]);
    let mut rest = &segment.as_bytes()[first..];
    while let Some((byte, after)) = rest.split_first() {
        if *byte == b'%' {
            let [high, low, after @ ..] = after else { return None };
            decoded.push(hex_digit(*high)? << 4 | hex_digit(*low)?);
            rest = after;
        } else {
            decoded.push(*byte);
            rest = after;
        }
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

/// The value of a hexadecimal digit.
pub(super) fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
