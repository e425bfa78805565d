//! HTTP/1.1 over the admin socket: one request, one connection. Blocking, with bounds for time and size.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::download::{self, DownloadError};
use super::failure::Failure;
use super::response;
use crate::serve::ADMIN_SOCKET;

/// The server gives up earlier itself (90 s for the store).
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(120);
/// Whether the server is well it says at once, or it is not.
const STATUS_WAIT_MAX: Duration = Duration::from_secs(10);
/// Until the server takes more of a request.
const SEND_WAIT_MAX: Duration = Duration::from_secs(30);
/// Bytes of an answer; a page of a list has a few MB.
const RESPONSE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Talks to the server of one data directory.
pub(super) struct Client {
    directory: PathBuf,
}

impl Client {
    /// A client of the server that runs on `directory`. Nothing is opened yet.
    pub(super) fn new(directory: PathBuf) -> Self {
        Client { directory }
    }

    /// GETs a JSON answer; `target` is path and query, encoded.
    pub(super) fn get(&self, target: &str) -> Result<Value, Failure> {
        self.ask("GET", target, b"")
    }

    /// DELETEs.
    pub(super) fn delete(&self, target: &str) -> Result<Value, Failure> {
        self.ask("DELETE", target, b"")
    }

    /// POSTs JSON.
    pub(super) fn post(&self, target: &str, body: &Value) -> Result<Value, Failure> {
        self.post_bytes(target, body.to_string().as_bytes())
    }

    /// POSTs whatever it is.
    pub(super) fn post_bytes(&self, target: &str, body: &[u8]) -> Result<Value, Failure> {
        self.ask("POST", target, body)
    }

    /// PUTs a text.
    pub(super) fn put(&self, target: &str, body: &str) -> Result<Value, Failure> {
        self.ask("PUT", target, body.as_bytes())
    }

    /// How the server does, soon or not at all.
    pub(super) fn status(&self) -> Result<Value, Failure> {
        self.ask_within(STATUS_WAIT_MAX, "GET", "/api/status", b"")
    }

    /// PUTs bytes.
    pub(super) fn put_bytes(&self, target: &str, body: &[u8]) -> Result<Value, Failure> {
        self.ask("PUT", target, body)
    }

    /// GETs content, which is handed to `sink` as it comes and goes to `file`; how many bytes it has.
    pub(super) fn download(
        &self,
        target: &str,
        file: &Path,
        sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<u64, Failure> {
        let mut stream = self.connect(ANSWER_WAIT_MAX)?;
        let sent = stream.write_all(&request("GET", target, b"")).map_err(DownloadError::Server);
        let received = sent.and_then(|()| download::receive(&mut stream, sink));
        received.map_err(|error| match error {
            DownloadError::Server(source) => Failure::Silent { directory: self.directory.clone(), source },
            DownloadError::File(source) => Failure::File { file: file.to_owned(), source },
            DownloadError::Failure(failure) => failure,
        })
    }

    fn ask(&self, method: &str, target: &str, body: &[u8]) -> Result<Value, Failure> {
        self.ask_within(ANSWER_WAIT_MAX, method, target, body)
    }

    fn ask_within(&self, wait: Duration, method: &str, target: &str, body: &[u8]) -> Result<Value, Failure> {
        let mut stream = self.connect(wait)?;
        let received = exchange(&mut stream, &request(method, target, body));
        let received =
            received.map_err(|source| Failure::Silent { directory: self.directory.clone(), source })?;
        response::json(&received)
    }

    fn connect(&self, wait: Duration) -> Result<UnixStream, Failure> {
        let socket = self.directory.join(ADMIN_SOCKET);
        let connected = UnixStream::connect(&socket).and_then(|stream| {
            stream.set_read_timeout(Some(wait))?;
            stream.set_write_timeout(Some(SEND_WAIT_MAX))?;
            Ok(stream)
        });
        connected.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                Failure::NoServer(self.directory.clone())
            }
            _ => Failure::Socket { socket, source },
        })
    }
}

fn request(method: &str, target: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn exchange(stream: &mut (impl Read + Write), request: &[u8]) -> io::Result<Vec<u8>> {
    // a server that refuses a body may close before it has taken all of it: what it said counts
    let sent = stream.write_all(request);
    let mut received = Vec::new();
    let ended = stream.take(RESPONSE_BYTES_MAX + 1).read_to_end(&mut received);
    if received.is_empty() {
        sent?;
        ended?;
    }
    if received.len() as u64 > RESPONSE_BYTES_MAX {
        return Err(io::Error::other(format!("its answer is larger than {RESPONSE_BYTES_MAX} bytes")));
    }
    Ok(received)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use serde_json::json;

    use super::*;

    /// A server that takes one request of so many bytes and gives this answer; what it got is returned.
    fn serve(listener: UnixListener, bytes: usize, answer: &'static str) -> std::thread::JoinHandle<String> {
        let serve = move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = vec![0; bytes];
            stream.read_exact(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(request).unwrap()
        };
        std::thread::Builder::new().spawn(serve).unwrap()
    }

    #[test]
    fn a_request_and_its_answer() {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join(ADMIN_SOCKET)).unwrap();
        let expected = request("POST", "/x", br#"{"a":1}"#);
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{\"b\": 2}";
        let server = serve(listener, expected.len(), answer);
        let client = Client::new(directory.path().to_owned());
        assert_eq!(client.post("/x", &json!({ "a": 1 })).unwrap(), json!({ "b": 2 }));
        assert_eq!(server.join().unwrap().as_bytes(), expected);
    }

    #[test]
    fn a_refusal_counts_although_the_body_was_not_taken() {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join(ADMIN_SOCKET)).unwrap();
        let answer = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 21\r\n\r\n{\"message\":\"too much\"}";
        let server = serve(listener, 10, answer);
        let client = Client::new(directory.path().to_owned());
        let failure = client.put("/x", &"x".repeat(4 * 1024 * 1024)).unwrap_err();
        server.join().unwrap();
        // the reset may overtake the answer
        assert!(matches!(
            failure,
            Failure::Refused { status: 413, .. } | Failure::Silent { .. } | Failure::Answer(_)
        ));
    }

    #[test]
    fn without_a_socket_or_a_listener_no_server_is_running() {
        let directory = tempfile::tempdir().unwrap();
        let client = Client::new(directory.path().to_owned());
        let failure = client.get("/").unwrap_err();
        assert_eq!(failure.to_string(), format!("no server is running on {}", directory.path().display()));
        drop(UnixListener::bind(directory.path().join(ADMIN_SOCKET)).unwrap());
        assert!(matches!(client.get("/").unwrap_err(), Failure::NoServer(_)));
    }

    #[test]
    fn a_server_that_hangs_up_is_no_answer() {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join(ADMIN_SOCKET)).unwrap();
        let server = serve(listener, 4, "");
        let client = Client::new(directory.path().to_owned());
        let failure = client.get("/").unwrap_err();
        server.join().unwrap();
        assert!(failure.is_unreachable(), "{failure}");
    }

    #[test]
    fn a_path_that_is_too_long_for_a_socket_is_said_to_be() {
        let directory = tempfile::tempdir().unwrap().path().join("x".repeat(120));
        let failure = Client::new(directory).get("/").unwrap_err();
        assert!(matches!(failure, Failure::Socket { .. }), "{failure}");
    }
}
