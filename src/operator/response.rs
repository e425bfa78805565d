//! An answer's bytes to its JSON, or to the reason that it gives.

use serde_json::Value;

use super::failure::Failure;

/// Header lines of an answer.
const HEADERS_MAX: usize = 64;

/// Reads a whole answer: the connection is closed behind it.
pub(super) fn json(received: &[u8]) -> Result<Value, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let wrong = |what: &str| Failure::Answer(what.to_owned());
    let parsed = head.parse(received).map_err(|error| Failure::Answer(error.to_string()))?;
    let httparse::Status::Complete(start) = parsed else { return Err(wrong("it ends too early")) };
    let body = &received[start..];
    let header = |name: &str| head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    if header("transfer-encoding").is_some() {
        return Err(wrong("it is in pieces"));
    }
    let length =
        header("content-length").and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok());
    if length.is_some_and(|length: usize| length != body.len()) {
        return Err(wrong("it ends too early"));
    }
    let status = head.code.unwrap_or_default();
    let value: Option<Value> = serde_json::from_slice(body).ok();
    match (status, value) {
        (200..=299, Some(value)) => Ok(value),
        (200..=299, None) => Err(wrong("it is not JSON")),
        (status, value) => Err(Failure::Refused { status, message: message(status, value.as_ref()) }),
    }
}

fn message(status: u16, value: Option<&Value>) -> String {
    let said = value.and_then(|value| value["message"].as_str()).filter(|message| !message.is_empty());
    said.map_or_else(|| format!("the server answered {status}"), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn failure(received: &str) -> String {
        json(received.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_200_is_its_json() {
        assert_eq!(json(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]").unwrap(), json!([]));
    }

    #[test]
    fn an_error_is_its_message() {
        assert_eq!(failure("HTTP/1.1 404 Not Found\r\n\r\n{\"message\":\"there is no x\"}"), "there is no x");
        assert_eq!(failure("HTTP/1.1 500 \r\n\r\n"), "the server answered 500");
    }

    #[test]
    fn half_an_answer_is_none() {
        assert!(failure("HTTP/1.1 200 OK\r\nContent-Le").contains("too early"));
        assert!(failure("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[]").contains("too early"));
        assert!(failure("hello").contains("cannot be read"));
        assert!(failure("HTTP/1.1 200 OK\r\n\r\n<html>").contains("not JSON"));
    }
}
