//! A file from the server, written as it comes.

use std::io::{self, Read};

use super::failure::Failure;
use super::response;

/// Bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Bytes of an answer that is no file.
const REFUSAL_BYTES_MAX: u64 = 1024 * 1024;

/// Reads an answer from `stream` and hands the content of a 200 to `sink`; how many bytes those are. An answer of another
/// status is the failure that it tells.
pub(super) fn receive(
    stream: &mut impl Read,
    mut sink: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<u64, DownloadError> {
    let mut received = Vec::new();
    let mut piece = vec![0; 64 * 1024];
    let (start, length) = loop {
        let count = stream.read(&mut piece).map_err(DownloadError::Server)?;
        received.extend_from_slice(&piece[..count]);
        match head(&received)? {
            Some(Head { status: 200, start, length: Some(length) }) => break (start, length),
            Some(_) => {
                stream.take(REFUSAL_BYTES_MAX).read_to_end(&mut received).map_err(DownloadError::Server)?;
                return Err(match response::json(&received) {
                    Err(failure) => DownloadError::Failure(failure),
                    Ok(_) => DownloadError::Failure(Failure::Answer("it is no file".to_owned())),
                });
            }
            None if count == 0 || received.len() > HEAD_BYTES_MAX => return Err(ends_early()),
            None => {}
        }
    };
    let mut left = length;
    let mut next = &received[start..];
    loop {
        let taken = next.len() as u64;
        left = left.checked_sub(taken).ok_or_else(ends_early)?;
        sink(next).map_err(DownloadError::File)?;
        if left == 0 {
            return Ok(length);
        }
        let count = stream.read(&mut piece).map_err(DownloadError::Server)?;
        if count == 0 {
            return Err(ends_early());
        }
        next = &piece[..count];
    }
}

/// Why a file is not there.
#[derive(Debug)]
pub(super) enum DownloadError {
    /// The server's side of it.
    Server(io::Error),
    /// It cannot be written.
    File(io::Error),
    /// What the server says.
    Failure(Failure),
}

struct Head {
    status: u16,
    start: usize,
    length: Option<u64>,
}

fn head(received: &[u8]) -> Result<Option<Head>, DownloadError> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut headers);
    let parsed = head.parse(received);
    let parsed = parsed.map_err(|error| DownloadError::Failure(Failure::Answer(error.to_string())))?;
    let httparse::Status::Complete(start) = parsed else { return Ok(None) };
    let length = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok());
    Ok(Some(Head { status: head.code.unwrap_or_default(), start, length }))
}

fn ends_early() -> DownloadError {
    DownloadError::Failure(Failure::Answer("it ends too early".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(answer: &str) -> Result<String, DownloadError> {
        let mut content = Vec::new();
        let sink = |bytes: &[u8]| {
            content.extend_from_slice(bytes);
            Ok(())
        };
        receive(&mut answer.as_bytes(), sink).map(|_| ())?;
        Ok(String::from_utf8(content).unwrap())
    }

    #[test]
    fn the_content_of_a_200_is_handed_over_whole_or_not_at_all() {
        assert_eq!(received("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap(), "hello");
        for odd in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello"] {
            assert!(received(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn a_refusal_is_what_the_server_says() {
        let answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 18\r\n\r\n{\"message\":\"gone\"}";
        let Err(DownloadError::Failure(failure)) = received(answer) else { panic!("no failure") };
        assert_eq!(failure.to_string(), "gone");
    }
}
