//! The body of an answer: whole, inflated, within a bound.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use ureq::Body;
use ureq::http::HeaderMap;
use ureq::http::header::CONTENT_ENCODING;

use super::error::{Failure, IN_TIME, SendError, cause};

/// Memory that is taken in advance on the word of a Content-Length.
const CAPACITY_MAX: u64 = 1024 * 1024;

/// Why an answer cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnswerError {
    /// Nobody shall send us more.
    #[error("it has more than {0} bytes")]
    TooLarge(u64),
    /// Not asked for, and not known here.
    #[error("its Content-Encoding is unknown")]
    Encoding,
    /// Cut off, or no gzip.
    #[error("{0}")]
    Broken(io::Error),
}

impl AnswerError {
    /// For the caller. An answer that is too large is so on each host.
    pub(super) fn into_failure(self, host: &str) -> Failure {
        let of_host = !matches!(self, AnswerError::TooLarge(_));
        let reason = match self {
            AnswerError::Broken(error) => cause(&error),
            other => other.to_string(),
        };
        let at_once = of_host && reason != IN_TIME;
        Failure { error: SendError::Answer { host: host.to_owned(), reason }, of_host, at_once }
    }
}

/// Reads all of `body`, inflated, of at most `bytes_max`.
pub(super) fn read(headers: &HeaderMap, body: Body, bytes_max: u64) -> Result<Vec<u8>, AnswerError> {
    let is_gzip = match headers.get(CONTENT_ENCODING).map(|value| value.as_bytes()) {
        None => false,
        Some(value) if value.eq_ignore_ascii_case(b"identity") => false,
        Some(value) if value.eq_ignore_ascii_case(b"gzip") => true,
        Some(_) => return Err(AnswerError::Encoding),
    };
    // also for gzip: there is no small answer in a large body
    let announced = body.content_length().unwrap_or(0);
    if announced > bytes_max {
        return Err(AnswerError::TooLarge(bytes_max));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(announced.min(CAPACITY_MAX)).unwrap_or(0));
    let reader = body.into_reader();
    let read = if is_gzip {
        MultiGzDecoder::new(reader).take(bytes_max + 1).read_to_end(&mut bytes)
    } else {
        reader.take(bytes_max + 1).read_to_end(&mut bytes)
    };
    match read {
        Err(error) => Err(AnswerError::Broken(error)),
        Ok(count) if u64::try_from(count).unwrap_or(u64::MAX) > bytes_max => {
            Err(AnswerError::TooLarge(bytes_max))
        }
        Ok(_) => Ok(bytes),
    }
}
