//! Messages of HTTP/1.1 as they go over a wire, for what stands between a server and a cluster: read whole, passed on
//! unchanged.

use std::io::{self, BufRead, Read};

/// A request or an answer, byte for byte.
pub(crate) struct Message {
    /// Line and headers, with the empty line at their end.
    pub(crate) head: Vec<u8>,
    /// As it came: chunks, if it has them, with their lines.
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// The next message; `None` at the end of the connection. An answer to HEAD has no body, whatever its head says.
    pub(crate) fn read(reader: &mut impl BufRead, has_body: bool) -> io::Result<Option<Message>> {
        let mut message = Message { head: Vec::new(), body: Vec::new() };
        while !message.head.ends_with(b"\r\n\r\n") {
            if reader.read_until(b'\n', &mut message.head)? == 0 {
                let is_end = message.head.is_empty();
                return if is_end { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
        if has_body && message.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
            read_chunks(reader, &mut message.body)?;
        } else if has_body {
            let bytes: u64 =
                message.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
            if reader.take(bytes).read_to_end(&mut message.body)? as u64 != bytes {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(Some(message))
    }

    /// The method of a request.
    pub(crate) fn method(&self) -> String {
        self.word(0)
    }

    /// The path of a request with its query.
    pub(crate) fn target(&self) -> String {
        self.word(1)
    }

    fn word(&self, place: usize) -> String {
        let head = String::from_utf8_lossy(&self.head);
        head.split_whitespace().nth(place).unwrap_or_default().to_owned()
    }

    fn header(&self, wanted: &str) -> Option<String> {
        let head = String::from_utf8_lossy(&self.head);
        let mut lines = head.lines().filter_map(|line| line.split_once(':'));
        lines
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.trim().to_lowercase())
    }
}

fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let start = body.len();
        reader.read_until(b'\n', body)?;
        let line = String::from_utf8_lossy(&body[start..]).trim().to_owned();
        let bytes = u64::from_str_radix(&line, 16).map_err(io::Error::other)?;
        // with the end of its line; after the last one that is the end of the body
        if reader.take(bytes + 2).read_to_end(body)? as u64 != bytes + 2 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if bytes == 0 {
            return Ok(());
        }
    }
}
