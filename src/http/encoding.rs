//! Content codings as headers name them: does Accept-Encoding allow gzip, what is the request body's
//! coding. Compresses nothing.

/// What a request's Content-Encoding says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentCoding {
    /// No header, an empty one, or `identity`.
    Identity,
    /// `gzip`, or `x-gzip`, which is the same (RFC 9110, 8.4.1.3).
    Gzip,
    /// Anything else, several codings included: 415.
    Other,
}

impl ContentCoding {
    /// Reads the header's value; several lines are the caller's to refuse.
    pub fn of(value: Option<&str>) -> Self {
        let coding = value.unwrap_or_default().trim_ascii();
        if coding.is_empty() || coding.eq_ignore_ascii_case("identity") {
            Self::Identity
        } else if is_gzip(coding.as_bytes()) {
            Self::Gzip
        } else {
            Self::Other
        }
    }
}

/// Whether the Accept-Encoding lines, joined to one list, allow gzip (RFC 9110, 12.5.3). An explicit
/// `gzip` decides, else `*`; a weight of 0, or one that is malformed, forbids. Without a line: not
/// allowed, as small clients do not inflate.
pub fn accepts_gzip<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> bool {
    let (mut gzip, mut any) = (None, None);
    for member in lines.into_iter().flat_map(|line| line.split(|byte| *byte == b',')) {
        let mut parts = member.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let coding = parts.next().unwrap_or_default();
        let verdict = if is_gzip(coding) {
            &mut gzip
        } else if coding == b"*" {
            &mut any
        } else {
            continue;
        };
        // named twice: the refusal wins
        *verdict = Some(verdict.unwrap_or(true) && parts.all(allows));
    }
    gzip.or(any).unwrap_or(false)
}

fn is_gzip(coding: &[u8]) -> bool {
    coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip")
}

/// Whether a parameter is a weight above 0. Parameters of another name do not exist and change nothing.
fn allows(parameter: &[u8]) -> bool {
    let [b'q' | b'Q', b'=', weight @ ..] = parameter else { return true };
    match weight {
        [b'0', b'.', digits @ ..] => is_fraction(digits) && digits.iter().any(|digit| *digit != b'0'),
        [b'1', b'.', digits @ ..] => is_fraction(digits) && digits.iter().all(|digit| *digit == b'0'),
        [b'1'] => true,
        _ => false,
    }
}

fn is_fraction(digits: &[u8]) -> bool {
    digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit)
}
