//! The body of an answer: whole, inflated, within a bound.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use ureq::Body;
use ureq::http::HeaderMap;
use ureq::http::header::CONTENT_ENCODING;

use super::error::{Failure, SendError, cause, is_late};

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
    #[error("{}", cause(.0))]
    Broken(#[from] io::Error),
}

impl AnswerError {
    /// For the caller. An answer that is too large is so on each host.
    pub(super) fn into_failure(self, host: &str) -> Failure {
        let of_host = !matches!(self, AnswerError::TooLarge(_));
        let at_once = of_host && !matches!(&self, AnswerError::Broken(error) if is_late(error));
        let error = SendError::Answer { host: host.to_owned(), reason: self.to_string() };
        Failure { error, of_host, at_once }
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
    let body = body.into_reader();
    let count = if is_gzip {
        let mut body = BufReader::new(body);
        // an answer to HEAD names the coding of a body that it does not have
        if body.fill_buf()?.is_empty() {
            return Ok(bytes);
        }
        MultiGzDecoder::new(body).take(bytes_max + 1).read_to_end(&mut bytes)?
    } else {
        body.take(bytes_max + 1).read_to_end(&mut bytes)?
    };
    if u64::try_from(count).unwrap_or(u64::MAX) > bytes_max {
        return Err(AnswerError::TooLarge(bytes_max));
    }
    Ok(bytes)
}
