//! The key that agents check upgrades with: from a file, else from a host of ours in the place of its maker's.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::{Authority, Options, PATIENCE, Pair, Request, Response, Server, online};

const KEY: &str = include_str!("../../src/pgp/tests/ed25519.asc");

/// A host that gives what the test says, each time it is asked.
struct Upstream {
    url: String,
    /// A word for each request.
    asked: Receiver<()>,
    answers: Sender<(&'static str, &'static str)>,
}

trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

impl Upstream {
    fn start() -> Self {
        Upstream::over(None)
    }

    /// With this certificate, which is for localhost.
    fn over(tls: Option<&Pair>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://localhost:{}/key", listener.local_addr().unwrap().port());
        let (note, asked) = channel();
        let (answers, to_give) = channel::<(&str, &str)>();
        let tls = tls.map(encryption);
        let serve = move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut stream: Box<dyn Stream> = match &tls {
                    None => Box::new(stream),
                    Some(tls) => {
                        Box::new(StreamOwned::new(ServerConnection::new(Arc::clone(tls)).unwrap(), stream))
                    }
                };
                if stream.read(&mut [0; 4_096]).is_err() {
                    // who does not trust the certificate says no word
                    continue;
                }
                // ends with the test, whichever side goes first
                let (Ok(()), Ok((status, body))) = (note.send(()), to_give.recv()) else { return };
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
                let _ = stream.write_all(answer.as_bytes());
            }
        };
        std::thread::Builder::new().name("upstream".into()).spawn(serve).unwrap();
        Upstream { url, asked, answers }
    }

    fn gives(&self, status: &'static str, body: &'static str) {
        self.answers.send((status, body)).unwrap();
    }

    fn is_asked(&self) {
        self.asked.recv_timeout(PATIENCE).expect("the host is asked");
    }

    fn was_asked(&self) -> bool {
        self.asked.try_recv().is_ok()
    }
}

struct Keys {
    _parent: tempfile::TempDir,
    directory: PathBuf,
}

impl Keys {
    fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        Keys { directory: parent.path().join("keys"), _parent: parent }
    }

    fn file(&self) -> PathBuf {
        self.directory.join("default.pgp")
    }

    fn options(&self, options: Options, upstream: &Upstream) -> Options {
        options.server("pgp.dir", self.directory.display()).server("pgp.upstream_url", &upstream.url)
    }
}

fn request() -> Request {
    Request::get("/api/agents/upgrades/9.6.0/pgp-public-key")
}

fn ask(server: &Server) -> Response {
    server.ask(&request())
}

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_key_is_fetched_once_kept_and_served_to_anybody() {
    let (upstream, keys) = (Upstream::start(), Keys::new());
    let server = Server::with(keys.options(Options::default(), &upstream));
    upstream.gives("200 OK", KEY);
    for _ in 0..2 {
        let answer = ask(&server);
        assert_eq!((answer.status, answer.text()), (200, KEY));
        assert_eq!(answer.header("Content-Type"), Some("text/plain; charset=utf-8"));
    }
    assert_eq!((mode(&keys.directory), mode(&keys.file())), (0o700, 0o600));
    upstream.is_asked();
    let server = server.stop().start();
    assert_eq!(ask(&server).text(), KEY);
    assert!(!upstream.was_asked(), "it is on the disk");
}

#[test]
fn over_plain_http_there_is_no_key() {
    let (upstream, keys) = (Upstream::start(), Keys::new());
    let server = Server::with(keys.options(Options::plain(), &upstream));
    ask(&server).is_error(501, "ErrTLSRequired");
    assert!(!upstream.was_asked());
}

#[test]
fn a_file_that_others_may_read_is_not_served() {
    let (upstream, keys) = (Upstream::start(), Keys::new());
    fs::create_dir(&keys.directory).unwrap();
    fs::write(keys.file(), KEY).unwrap();
    fs::set_permissions(keys.file(), Permissions::from_mode(0o644)).unwrap();
    let server = Server::with(keys.options(Options::default(), &upstream));
    ask(&server).is_error(500, "InternalServerError");
    server.process.stderr.wait_for("has the mode 0644");
    fs::set_permissions(keys.file(), Permissions::from_mode(0o600)).unwrap();
    assert_eq!(ask(&server).text(), KEY);
    assert!(!upstream.was_asked());
}

#[test]
fn what_the_host_does_not_give_is_not_kept_and_asked_for_again() {
    let (upstream, keys) = (Upstream::start(), Keys::new());
    let server = Server::with(keys.options(Options::default(), &upstream));
    for (status, body) in [("404 Not Found", KEY), ("200 OK", "no key at all"), ("500 Oh", "")] {
        upstream.gives(status, body);
        ask(&server).is_error(500, "InternalServerError");
        upstream.is_asked();
        assert!(!keys.file().exists());
    }
    upstream.gives("200 OK", KEY);
    assert_eq!(ask(&server).text(), KEY);
}

#[test]
fn while_the_host_keeps_us_waiting_one_asks_it_and_agents_are_served() {
    let (upstream, keys) = (Upstream::start(), Keys::new());
    let server = Server::with(keys.options(Options::default(), &upstream));
    let mut waiting: Vec<_> = (0..5)
        .map(|_| {
            let mut connection = server.connect();
            connection.send(request().bytes());
            connection
        })
        .collect();
    upstream.is_asked();
    let agent = server.enrol();
    server.settle(&agent);
    let policy =
        serde_json::json!({ "outputs": { "default": { "type": "kafka", "hosts": ["h:1"] } }, "inputs": [] });
    server.apply("default", &policy);
    let told = server.told(&agent, &online());
    assert_eq!(told["actions"][0]["data"]["policy"]["outputs"]["default"]["type"], "kafka");
    upstream.gives("200 OK", KEY);
    for connection in &mut waiting {
        assert_eq!(connection.response().text(), KEY);
    }
    assert!(!upstream.was_asked());
}

#[test]
fn a_host_that_never_answers_does_not_hold_up_the_end() {
    let (upstream, keys) = (Upstream::start(), Keys::new());
    let options = keys.options(Options::default(), &upstream).server("timeouts.drain", "100ms");
    let server = Server::with(options);
    let mut connection = server.connect();
    connection.send(request().bytes());
    upstream.is_asked();
    drop(server.stop());
}

#[test]
fn a_host_over_tls_must_be_one_that_the_system_trusts() {
    let (directory, keys) = (tempfile::tempdir().unwrap(), Keys::new());
    let (authority, pair) =
        (Authority::make(directory.path(), "a"), Pair::in_directory(directory.path(), "a"));
    authority.issue("localhost", &pair);
    let upstream = Upstream::over(Some(&pair));
    let stranger = Authority::make(directory.path(), "b");
    for (trusted, status) in [(&stranger, 500), (&authority, 200)] {
        let options = keys.options(Options::default(), &upstream);
        let options = options.variable("SSL_CERT_FILE", trusted.file.to_str().unwrap());
        let server = Server::with(options);
        if status == 200 {
            upstream.gives("200 OK", KEY);
        }
        assert_eq!(ask(&server).status, status);
        assert_eq!(keys.file().exists(), status == 200);
    }
}

/// The settings of a host with this certificate.
fn encryption(pair: &Pair) -> Arc<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(&pair.certificate).unwrap().collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(&pair.key).unwrap();
    Arc::new(ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap())
}
