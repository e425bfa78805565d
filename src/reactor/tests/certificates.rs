//! Certificates that change while the server runs, and keys in every form.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::version::TLS13;

use super::support::{Ca, Client, Pair, Running, ca, client, client_config, pair, settings, start};
use crate::config::{PemSource, Secret, Tls};
use crate::reactor::tls::Certificates;

/// A server with a pair in files, looked at anew at each handshake.
fn on_files(directory: &Path, pair: &Pair) -> Running {
    let (certificate, key) = pair.write(directory);
    let mut tls = Tls::new(PemSource::File(certificate), PemSource::File(key));
    tls.reload = Some(Duration::ZERO);
    let mut settings = settings();
    settings.tls = Some(tls);
    start(settings)
}

fn echo(client: &mut Client) {
    client.write_all(b"x").unwrap();
    client.read_exact(&mut [0]).unwrap();
}

/// Which certificate a fresh client meets.
fn served(running: &Running, config: &Arc<ClientConfig>) -> Vec<u8> {
    let mut client = client(running.external, config);
    echo(&mut client);
    client.conn.peer_certificates().unwrap()[0].to_vec()
}

fn der(pair: &Pair) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject;
    rustls::pki_types::CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap().to_vec()
}

/// A client that does not resume: each handshake shows a certificate.
fn client_of(ca: &Ca) -> Arc<ClientConfig> {
    let mut config = ClientConfig::clone(&client_config(ca, None, &TLS13));
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

#[test]
fn a_changed_pair_is_served_to_new_clients_and_old_ones_stay() {
    let directory = tempfile::tempdir().unwrap();
    let ca = ca("test");
    let (first, second) = (pair(&ca, 1), pair(&ca, 2));
    let running = on_files(directory.path(), &first);
    let config = client_of(&ca);
    let mut old = client(running.external, &config);
    echo(&mut old);
    assert_eq!(served(&running, &config), der(&first));
    second.write(directory.path());
    assert_eq!(served(&running, &config), der(&second));
    echo(&mut old);
}

#[test]
fn a_half_changed_pair_leaves_the_old_in_use_until_it_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let ca = ca("test");
    let (first, second) = (pair(&ca, 1), pair(&ca, 2));
    let running = on_files(directory.path(), &first);
    let config = client_of(&ca);
    std::fs::write(directory.path().join("server.crt"), &second.certificate).unwrap();
    assert_eq!(served(&running, &config), der(&first));
    std::fs::remove_file(directory.path().join("server.key")).unwrap();
    assert_eq!(served(&running, &config), der(&first));
    second.write(directory.path());
    assert_eq!(served(&running, &config), der(&second));
}

#[test]
fn files_are_not_looked_at_before_the_interval_has_passed() {
    let directory = tempfile::tempdir().unwrap();
    let ca = ca("test");
    let (certificate, key) = pair(&ca, 1).write(directory.path());
    let mut tls = Tls::new(PemSource::File(certificate), PemSource::File(key));
    tls.reload = Some(Duration::from_secs(5));
    let mut certificates = Certificates::read(tls).unwrap();
    let first = certificates.current(Duration::from_secs(6));
    pair(&ca, 2).write(directory.path());
    assert!(Arc::ptr_eq(&first, &certificates.current(Duration::from_secs(10))));
    assert!(!Arc::ptr_eq(&first, &certificates.current(Duration::from_secs(11))));
}

#[test]
fn resumption_outlives_a_new_certificate_but_not_a_new_client_ca() {
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("clients.crt");
    std::fs::write(&ca_file, ca("one").pem()).unwrap();
    let ca = ca("test");
    let (certificate, key) = pair(&ca, 1).write(directory.path());
    let mut tls = Tls::new(PemSource::File(certificate), PemSource::File(key));
    tls.certificate_authorities = vec![PemSource::File(ca_file.clone())];
    tls.client_authentication = crate::config::ClientAuthentication::Optional;
    let mut certificates = Certificates::read(tls).unwrap();
    let first = certificates.current(Duration::ZERO);
    pair(&ca, 2).write(directory.path());
    certificates.reload();
    let second = certificates.current(Duration::ZERO);
    assert!(!Arc::ptr_eq(&first, &second) && Arc::ptr_eq(&first.ticketer, &second.ticketer));
    std::fs::write(&ca_file, super::support::ca("two").pem()).unwrap();
    certificates.reload();
    assert!(!Arc::ptr_eq(&first.ticketer, &certificates.current(Duration::ZERO).ticketer));
}

fn error_of(tls: Tls) -> String {
    Certificates::read(tls).err().expect("an error").to_string()
}

fn inline(text: &str) -> PemSource {
    PemSource::Inline(Secret::new(text))
}

#[test]
fn unreadable_and_unfit_files_are_named() {
    let pair = pair(&ca("test"), 1);
    let mut missing = pair.tls();
    missing.certificate = PemSource::File("no/such/server.crt".into());
    assert!(error_of(missing).starts_with("cannot read no/such/server.crt: "));
    let mut swapped = pair.tls();
    swapped.certificate = inline(&pair.key);
    assert_eq!(error_of(swapped), "ssl.certificate holds no certificate in PEM format");
    let mut other = pair.tls();
    other.key = inline(&super::support::pair(&ca("test"), 2).key);
    assert!(error_of(other).starts_with("ssl.certificate and ssl.key cannot be used: "));
}

/// P-256, made with `openssl genpkey`, encrypted with `openssl pkcs8 -topk8 -v2 aes-256-cbc`; passphrase `open sesame`.
const ENCRYPTED: &str = include_str!("keys/encrypted.key");
const LEGACY: &str = "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END EC PRIVATE KEY-----\n";

#[test]
fn an_encrypted_key_needs_its_passphrase() {
    let key = rcgen::KeyPair::from_pem(include_str!("keys/decrypted.key")).unwrap();
    let mut tls = pair(&ca("test"), 1).tls();
    tls.certificate =
        inline(&rcgen::CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap().pem());
    tls.key = inline(ENCRYPTED);
    assert_eq!(error_of(tls.clone()), "ssl.key is encrypted and no key_passphrase is set");
    tls.key_passphrase = Some(Secret::new("wrong"));
    assert!(error_of(tls.clone()).starts_with("ssl.key cannot be decrypted"));
    tls.key_passphrase = Some(Secret::new("open sesame"));
    assert!(Certificates::read(tls).is_ok());
}

#[test]
fn a_legacy_encrypted_key_names_the_command_that_converts_it() {
    let mut tls = pair(&ca("test"), 1).tls();
    tls.key = inline(LEGACY);
    tls.key_passphrase = Some(Secret::new("x"));
    assert!(error_of(tls).contains("openssl pkcs8 -topk8"));
}

#[test]
fn chosen_suites_and_curves_bind_and_nothing_left_is_an_error() {
    let pair = pair(&ca("test"), 1);
    let mut tls = pair.tls();
    tls.cipher_suites = vec!["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384".to_owned()];
    tls.curve_types = vec!["X25519".to_owned()];
    let config = Certificates::read(tls.clone()).unwrap().current(Duration::ZERO);
    let of_tls12 = |suite: &&rustls::SupportedCipherSuite| suite.tls13().is_none();
    assert_eq!(config.crypto_provider().cipher_suites.iter().filter(of_tls12).count(), 1);
    assert_eq!(config.crypto_provider().kx_groups.len(), 1);
    tls.curve_types = vec!["secp521r1".to_owned()];
    assert!(error_of(tls.clone()).contains("curve_types"));
    tls.curve_types.clear();
    tls.protocols = vec![crate::config::Protocol::Tls12];
    tls.cipher_suites = vec!["TLS_RSA_WITH_AES_128_CBC_SHA".to_owned()];
    assert!(error_of(tls).contains("cipher_suites"));
}
