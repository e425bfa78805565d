//! A small HTTP/1.1 client that lets a test send any bytes at any pace.

use std::io::{ErrorKind, Read, Write};

use serde_json::Value;

use super::stream::Stream;

/// A request to be sent as a whole or in pieces.
#[derive(Clone)]
pub(crate) struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Request {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        let host = ("Host".to_owned(), "localhost".to_owned());
        Request { method: method.to_owned(), target: target.to_owned(), headers: vec![host], body: None }
    }

    pub(crate) fn get(target: &str) -> Self {
        Request::new("GET", target)
    }

    pub(crate) fn post(target: &str) -> Self {
        Request::new("POST", target).body("")
    }

    /// Adds a header line.
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Takes all lines of a header out.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(header, _)| !header.eq_ignore_ascii_case(name));
        self
    }

    /// The only line of this header.
    pub(crate) fn with(self, name: &str, value: impl Into<String>) -> Self {
        self.without(name).header(name, value)
    }

    /// Asks with this key.
    pub(crate) fn key(self, key: &str) -> Self {
        self.with("Authorization", format!("ApiKey {key}"))
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.body(body.to_string())
    }

    /// The body compressed, and said to be.
    pub(crate) fn gzipped(mut self) -> Self {
        self.body = Some(gzip(&self.body.unwrap_or_default()));
        self.header("Content-Encoding", "gzip")
    }

    /// Line and headers, with the body's length.
    pub(crate) fn head(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if let Some(body) = &self.body {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        (head + "\r\n").into_bytes()
    }

    /// As it goes over the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head();
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }

    /// As it goes over the wire with a chunked body, `chunk_bytes` a chunk.
    pub(crate) fn chunked_bytes(&self, chunk_bytes: usize) -> Vec<u8> {
        let body = self.body.clone().unwrap_or_default();
        let mut bytes = Request { body: None, ..self.clone() }.header("Transfer-Encoding", "chunked").head();
        for chunk in body.chunks(chunk_bytes) {
            bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        bytes
    }
}

/// `bytes` as gzip.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    /// Inflated, if it came as gzip.
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The only line of this header, if there is one.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.headers.iter().filter(|(header, _)| header.eq_ignore_ascii_case(name));
        let line = lines.next();
        assert!(lines.next().is_none(), "{name} came twice: {self:?}");
        line.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body of a 200.
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()
    }

    /// Status and name of an error answer, whose form is checked.
    pub(crate) fn error(&self) -> (u16, String) {
        let json = self.json();
        assert_eq!(json["statusCode"], self.status, "{json}");
        assert!(json["message"].is_string(), "{json}");
        assert_eq!(self.header("Content-Type"), Some("application/json; charset=utf-8"));
        assert_eq!(self.header("X-Content-Type-Options"), Some("nosniff"));
        (self.status, json["error"].as_str().unwrap().to_owned())
    }

    /// Fails unless this is the error answer with that status and name.
    #[track_caller]
    pub(crate) fn is_error(&self, status: u16, name: &str) {
        assert_eq!(self.error(), (status, name.to_owned()), "{}", self.text());
    }
}

/// A connection to a server.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    /// Read, and not yet part of an answer.
    buffer: Vec<u8>,
}

impl Connection {
    /// To a server that speaks plain HTTP on this port.
    pub(crate) fn plain(port: u16) -> Self {
        Connection::new(super::stream::tcp(port).unwrap())
    }

    pub(crate) fn new(stream: impl Stream + 'static) -> Self {
        Connection { stream: Box::new(stream), buffer: Vec::new() }
    }

    /// The TLS session.
    pub(crate) fn session(&self) -> &rustls::ClientConnection {
        self.stream.session().expect("the connection has TLS")
    }

    /// Sends `bytes`; false if the server does not take them any more.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).and_then(|()| self.stream.flush()).is_ok()
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        assert!(self.try_send(bytes), "the server does not read any more");
    }

    /// Sends nothing more; the answer may still be read.
    pub(crate) fn end_sending(&mut self) {
        self.stream.end_sending().unwrap();
    }

    /// Ends the connection without a word of good-bye.
    pub(crate) fn break_off(mut self) {
        self.stream.break_off();
    }

    /// Sends `request` and reads the answer.
    pub(crate) fn ask(&mut self, request: &Request) -> Response {
        self.send(request.bytes());
        self.response()
    }

    /// The next answer.
    pub(crate) fn response(&mut self) -> Response {
        self.answer().expect("the connection ended without an answer")
    }

    /// The next answer, to a HEAD.
    pub(crate) fn response_without_body(&mut self) -> Response {
        self.read_response(false).unwrap().expect("the connection ended without an answer")
    }

    /// The next answer; none if the connection ends first.
    pub(crate) fn answer(&mut self) -> Option<Response> {
        self.read_response(true).unwrap()
    }

    /// The next answer; none if the connection ends before it is whole.
    pub(crate) fn whole_answer(&mut self) -> Option<Response> {
        self.read_response(true).ok().flatten()
    }

    /// Whether the connection has ended, with nothing more to read; waits for either.
    pub(crate) fn is_over(&mut self) -> bool {
        self.buffer.is_empty() && !self.fill()
    }

    /// Waits for the end of the connection, whatever comes before; all of that.
    pub(crate) fn read_to_its_end(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.buffer)
    }

    /// The next so many bytes, whatever they are; none if the connection ends first.
    pub(crate) fn bytes(&mut self, count: usize) -> Option<Vec<u8>> {
        self.take(count).ok()
    }

    fn read_response(&mut self, has_body: bool) -> Result<Option<Response>, CutOff> {
        let (mut response, head_bytes) = loop {
            if let Some(parsed) = parse_head(&self.buffer) {
                break parsed;
            }
            if !self.fill() {
                return if self.buffer.is_empty() { Ok(None) } else { Err(CutOff) };
            }
        };
        self.buffer.drain(..head_bytes);
        if has_body && response.status >= 200 && response.status != 204 {
            response.body = self.body(&response)?;
        }
        if response.header("Content-Encoding") == Some("gzip") {
            let mut inflated = Vec::new();
            flate2::read::MultiGzDecoder::new(&response.body[..]).read_to_end(&mut inflated).unwrap();
            response.body = inflated;
        }
        Ok(Some(response))
    }

    fn body(&mut self, response: &Response) -> Result<Vec<u8>, CutOff> {
        if response.header("Transfer-Encoding") == Some("chunked") {
            return self.chunked_body();
        }
        let length = response.header("Content-Length").expect("an answer says its length").parse().unwrap();
        self.take(length)
    }

    fn chunked_body(&mut self) -> Result<Vec<u8>, CutOff> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let chunk_bytes = usize::from_str_radix(&line, 16).unwrap();
            body.extend(self.take(chunk_bytes)?);
            assert_eq!(self.line()?, "");
            if chunk_bytes == 0 {
                return Ok(body);
            }
        }
    }

    fn line(&mut self) -> Result<String, CutOff> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.take(end + 2)?;
                return Ok(String::from_utf8(line).unwrap().trim_end().to_owned());
            }
            if !self.fill() {
                return Err(CutOff);
            }
        }
    }

    fn take(&mut self, count: usize) -> Result<Vec<u8>, CutOff> {
        while self.buffer.len() < count {
            if !self.fill() {
                return Err(CutOff);
            }
        }
        Ok(self.buffer.drain(..count).collect())
    }

    /// Reads what comes; false at the end, however that comes about.
    fn fill(&mut self) -> bool {
        let mut piece = [0; 16 * 1024];
        match self.stream.read(&mut piece) {
            Ok(0) => false,
            Ok(count) => {
                self.buffer.extend_from_slice(&piece[..count]);
                true
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the server did not answer in time")
            }
            Err(_) => false,
        }
    }
}

/// The connection ended in the middle of an answer.
#[derive(Debug)]
struct CutOff;

/// The head at the start of `bytes` and its length, once it is complete.
fn parse_head(bytes: &[u8]) -> Option<(Response, usize)> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = head.parse(bytes).expect("an answer is HTTP") else {
        return None;
    };
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
    let headers = head.headers.iter().map(|line| (line.name.to_owned(), text(line.value))).collect();
    Some((Response { status: head.code.unwrap(), headers, body: Vec::new() }, length))
}
