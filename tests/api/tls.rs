//! TLS as agents meet it: our own CA, an operator's certificates, client certificates, and their renewal.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::Signal;
use rustls::{ClientConfig, ProtocolVersion};

use crate::support::{
    Authority, Connection, Installation, Options, Pair, Request, Server, eventually, roots,
};

fn answers(connection: &mut Connection) -> bool {
    connection.try_send(Request::get("/api/status").bytes())
        && connection.whole_answer().is_some_and(|answer| answer.status == 200)
}

/// A directory with a CA and a server's pair from it.
struct Certificates {
    directory: tempfile::TempDir,
    authority: Authority,
    pair: Pair,
}

fn certificates() -> Certificates {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::make(directory.path(), "first");
    let pair = Pair::in_directory(directory.path(), "server");
    authority.issue("localhost", &pair);
    Certificates { directory, authority, pair }
}

impl Certificates {
    fn options(&self) -> Options {
        Options::default().certificate(&self.pair, &self.authority.file)
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }
}

fn client(authority: &Path, versions: &[&'static rustls::SupportedProtocolVersion]) -> ClientConfig {
    ClientConfig::builder_with_protocol_versions(versions)
        .with_root_certificates(roots(authority))
        .with_no_client_auth()
}

#[test]
fn tls_1_3_and_1_2_are_spoken() {
    let server = Server::start();
    let versions = [
        (&rustls::version::TLS13, ProtocolVersion::TLSv1_3),
        (&rustls::version::TLS12, ProtocolVersion::TLSv1_2),
    ];
    for (version, spoken) in versions {
        let mut connection = server.connect_as(client(&server.authority(), &[version])).unwrap();
        assert!(answers(&mut connection));
        assert_eq!(connection.session().protocol_version(), Some(spoken));
    }
}

#[test]
fn the_versions_spoken_are_configurable() {
    let certificates = certificates();
    let server = Server::with(certificates.options().server("ssl.supported_protocols", "[TLSv1.3]"));
    assert!(server.connect_as(client(&server.authority(), &[&rustls::version::TLS12])).is_err());
    assert!(answers(&mut server.connect()));
}

#[test]
fn a_client_that_offers_http_2_gets_http_1_1() {
    let server = Server::start();
    let mut config = client(&server.authority(), rustls::ALL_VERSIONS);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut connection = server.connect_as(config).unwrap();
    assert!(answers(&mut connection));
    assert_eq!(connection.session().alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[test]
fn our_own_files_are_for_the_owner_alone() {
    let server = Server::start();
    let folder = server.installation.path();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for file in
        ["fleet.db", "lock", "admin.sock", "tls/ca.crt", "tls/ca.key", "tls/server.crt", "tls/server.key"]
    {
        assert_eq!(mode(&folder.join(file)), 0o600, "{file}");
    }
}

#[test]
fn a_certificate_of_the_operators_is_served() {
    let certificates = certificates();
    let server = Server::with(certificates.options());
    assert!(answers(&mut server.connect()));
    assert!(!server.installation.path().join("tls").exists(), "no CA of our own is made");
}

#[test]
fn an_operators_certificate_prints_no_ca() {
    let certificates = certificates();
    let server = Server::with(certificates.options());
    assert!(!server.process.stdout.text().contains("--certificate-authorities"));
}

/// Options that demand a client certificate from the CA in `authority`.
fn demanding(certificates: &Certificates) -> Options {
    certificates.options().server("ssl.certificate_authorities", certificates.authority.file.display())
}

/// Whether this connection, once there is one, is served: TLS 1.3 refuses clients after their handshake.
fn is_served(connection: std::io::Result<Connection>) -> bool {
    connection.is_ok_and(|mut connection| answers(&mut connection))
}

/// Starts a server whose health cannot be asked for without a client certificate.
fn start_demanding(certificates: &Certificates, options: Options) -> (Server, Pair) {
    let pair = Pair::in_directory(certificates.path(), "client");
    certificates.authority.issue("a.name.that.is.not.ours", &pair);
    (Server::with(options.showing(&pair)), pair)
}

#[test]
fn a_client_without_a_certificate_is_refused_where_authorities_are_given() {
    let certificates = certificates();
    let (server, _) = start_demanding(&certificates, demanding(&certificates));
    assert!(!is_served(server.connect_as(client(&certificates.authority.file, rustls::ALL_VERSIONS))));
}

#[test]
fn a_client_certificate_is_accepted_whatever_its_name() {
    let certificates = certificates();
    let (server, pair) = start_demanding(&certificates, demanding(&certificates));
    assert!(is_served(server.connect_showing(&pair)));
}

#[test]
fn a_client_certificate_of_another_ca_is_refused() {
    let certificates = certificates();
    let (server, _) = start_demanding(&certificates, demanding(&certificates));
    let stranger = Pair::in_directory(certificates.path(), "stranger");
    Authority::make(certificates.path(), "other").issue("localhost", &stranger);
    assert!(!is_served(server.connect_showing(&stranger)));
}

#[test]
fn an_optional_client_certificate_may_be_left_out() {
    let certificates = certificates();
    let options = demanding(&certificates).server("ssl.client_authentication", "optional");
    let (server, pair) = start_demanding(&certificates, options);
    assert!(is_served(server.connect_as(client(&certificates.authority.file, rustls::ALL_VERSIONS))));
    assert!(is_served(server.connect_showing(&pair)));
}

/// Replaces the server's pair by one of a new CA; the CA.
fn renew(certificates: &Certificates) -> Authority {
    let authority = Authority::make(certificates.path(), "second");
    authority.issue("localhost", &certificates.pair);
    authority
}

fn is_trusted_by(server: &Server, authority: &Authority) -> bool {
    is_served(server.connect_as(client(&authority.file, rustls::ALL_VERSIONS)))
}

#[test]
fn sighup_brings_a_renewed_certificate_and_keeps_who_is_connected() {
    let certificates = certificates();
    let options = certificates.options().server("ssl.certificate_reload.enabled", false);
    let server = Server::with(options);
    let agent = server.settled();
    let mut parked = server.park(&agent);
    let renewed = renew(&certificates);
    server.process.signal(Signal::HUP);
    eventually("the renewed certificate is served", || is_trusted_by(&server, &renewed).then_some(()));
    assert!(!is_trusted_by(&server, &certificates.authority));
    let action = server.order_settings(&agent.id, "debug");
    assert_eq!(parked.response().ok()["actions"][0]["id"], action);
}

#[test]
fn a_renewed_certificate_is_found_without_a_signal() {
    let certificates = certificates();
    let options = certificates.options().server("ssl.certificate_reload.reload_interval", "1s");
    let server = Server::with(options);
    let mut connected = server.connect();
    let renewed = renew(&certificates);
    eventually("the renewed certificate is served", || is_trusted_by(&server, &renewed).then_some(()));
    assert!(answers(&mut connected));
}

#[test]
fn a_bad_pair_keeps_the_old_one() {
    let certificates = certificates();
    let server = Server::with(certificates.options());
    fs::write(&certificates.pair.certificate, "no certificate").unwrap();
    server.process.signal(Signal::HUP);
    server.process.stderr.wait_for("server.crt");
    assert!(answers(&mut server.connect()));
}

/// Starts a server in vain; what it says.
#[track_caller]
fn refusal(options: Options) -> String {
    let failed = Installation::new(options).start_in_vain();
    assert_eq!(failed.status.code(), Some(1), "{}", failed.stderr);
    failed.stderr
}

#[test]
fn a_certificate_that_is_not_there_ends_the_start() {
    let certificates = certificates();
    fs::remove_file(&certificates.pair.certificate).unwrap();
    let said = refusal(certificates.options());
    assert!(said.contains("server.crt"), "{said}");
}

#[test]
fn a_certificate_that_cannot_be_read_ends_the_start() {
    let certificates = certificates();
    fs::remove_file(&certificates.pair.certificate).unwrap();
    fs::create_dir(&certificates.pair.certificate).unwrap();
    let said = refusal(certificates.options());
    assert!(said.contains("server.crt"), "{said}");
}

#[test]
fn a_certificate_that_is_none_ends_the_start() {
    let certificates = certificates();
    fs::write(&certificates.pair.certificate, "no certificate").unwrap();
    let said = refusal(certificates.options());
    assert!(said.contains("server.crt"), "{said}");
}

#[test]
fn the_key_of_another_certificate_ends_the_start() {
    let certificates = certificates();
    let other = Pair::in_directory(certificates.path(), "other");
    certificates.authority.issue("localhost", &other);
    let pair = Pair { certificate: certificates.pair.certificate.clone(), key: other.key };
    let said = refusal(Options::default().certificate(&pair, &certificates.authority.file));
    assert!(said.contains("key"), "{said}");
}

#[test]
fn tls_without_a_certificate_ends_the_start() {
    let said = refusal(Options::default().server("ssl.enabled", true));
    assert!(said.contains("certificate is missing") && said.contains("key is missing"), "{said}");
}

#[test]
fn a_damaged_ca_of_our_own_ends_the_start_and_is_not_replaced() {
    let mut installation = Server::start().stop();
    let authority = installation.path().join("tls/ca.crt");
    fs::write(&authority, "damaged").unwrap();
    let failed = installation.start_in_vain();
    assert!(failed.stderr.contains("ca.crt"), "{}", failed.stderr);
    assert_eq!(fs::read_to_string(&authority).unwrap(), "damaged");
}

#[test]
fn a_server_certificate_of_our_own_that_is_gone_is_made_anew_and_the_log_says_so() {
    let installation = Server::start().stop();
    fs::remove_file(installation.path().join("tls/server.crt")).unwrap();
    let server = installation.start();
    assert!(answers(&mut server.connect()));
    let log = server.process.stderr.text();
    assert!(log.contains("a certificate of our own was made") && log.contains("server.crt"), "{log}");
}
