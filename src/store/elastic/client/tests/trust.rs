//! Whose certificates are good: authorities, fingerprints, pins, names, dates.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, PublicKeyData, date_time_ymd};
use sha2::{Digest, Sha256};

use super::certificates::{
    Ca, Pair, Serving, ca, client_with, fingerprint, inline, params, pem, self_signed, settings_with, signed,
    trusting,
};
use super::server::{Server, elasticsearch};
use super::support::{client, error_of, get, succeed};
use crate::config::{ClientTls, VerificationMode};
use crate::store::elastic::client::{Client, SendError};

fn serving(pair: &Pair) -> Server {
    Server::tls(&Serving::with(pair).config(), elasticsearch)
}

/// Whether a server with this pair is trusted by this section.
fn accepts(pair: &Pair, tls: &ClientTls) -> bool {
    let server = serving(pair);
    let client = client_with(server.https(), tls.clone());
    match client.send(&get()) {
        Ok(response) => response.status == 200,
        Err(SendError::NotReached { reason, .. }) => {
            assert!(reason.starts_with("TLS: "), "{reason}");
            // the request never left
            assert!(!server.saw_more());
            false
        }
        Err(other) => panic!("{other}"),
    }
}

/// A section that trusts `ca` in a mode.
fn in_mode(ca: &Ca, mode: VerificationMode) -> ClientTls {
    ClientTls { verification_mode: mode, ..trusting(ca) }
}

/// Base64 SHA-256 of a public key.
fn pin(key: &impl PublicKeyData) -> String {
    STANDARD.encode(Sha256::digest(key.subject_public_key_info()))
}

#[test]
fn a_configured_authority_is_trusted_and_no_other() {
    let (good, other) = (ca("good"), ca("other"));
    assert!(accepts(&signed(&good, &params()), &trusting(&good)));
    assert!(!accepts(&signed(&other, &params()), &trusting(&good)));
}

#[test]
fn a_file_may_hold_several_authorities() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    let (first, second) = (ca("first"), ca("second"));
    std::fs::write(&path, first.pem() + &second.pem()).unwrap();
    let authorities = vec![crate::config::PemSource::File(path)];
    let tls = ClientTls { certificate_authorities: authorities, ..ClientTls::default() };
    assert!(accepts(&signed(&first, &params()), &tls) && accepts(&signed(&second, &params()), &tls));
}

#[test]
fn without_a_section_only_the_systems_authorities_are_trusted() {
    let server = serving(&signed(&ca("nobody's"), &params()));
    let error = error_of(&client(&[server.https()]), &get());
    assert!(matches!(error, SendError::NotReached { .. }), "{error}");
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
}

#[test]
fn a_bad_host_is_no_end_where_another_is_good() {
    let good = ca("good");
    let (first, second) = (serving(&signed(&ca("bad"), &params())), serving(&signed(&good, &params())));
    let mut settings = settings_with(first.https(), trusting(&good));
    settings.hosts.push(second.https());
    let client = Client::new(&settings).unwrap();
    succeed(&client, &get());
    succeed(&client, &get());
    assert_eq!(second.connections(), 1);
}

#[test]
fn a_presented_authority_is_trusted_by_its_fingerprint() {
    let good = ca("good");
    let with = |text: String| ClientTls { ca_trusted_fingerprint: Some(text), ..ClientTls::default() };
    let pair = signed(&good, &params());
    assert!(accepts(&pair, &with(fingerprint(good.der()))));
    assert!(accepts(&pair, &with(fingerprint(&pair.chain[0]))));
    assert!(!accepts(&pair, &with(fingerprint(ca("good").der()))));
    // shown alone it proves nothing: the leaf must be by it
    let mut unrelated = signed(&ca("other"), &params());
    unrelated.chain.push(good.der().clone());
    assert!(!accepts(&unrelated, &with(fingerprint(good.der()))));
}

#[test]
fn a_fingerprint_adds_to_configured_authorities() {
    let (first, second) = (ca("first"), ca("second"));
    let tls = ClientTls { ca_trusted_fingerprint: Some(fingerprint(second.der())), ..trusting(&first) };
    assert!(accepts(&signed(&first, &params()), &tls) && accepts(&signed(&second, &params()), &tls));
}

#[test]
fn mode_none_asks_for_nothing() {
    let tls = ClientTls { verification_mode: VerificationMode::None, ..ClientTls::default() };
    let mut old = CertificateParams::new(vec!["elsewhere".to_owned()]).unwrap();
    old.not_after = date_time_ymd(2001, 1, 1);
    assert!(accepts(&self_signed(&old), &tls));
}

#[test]
fn another_name_is_refused_unless_only_the_chain_counts() {
    let good = ca("good");
    let elsewhere = signed(&good, &CertificateParams::new(vec!["elsewhere".to_owned()]).unwrap());
    assert!(!accepts(&elsewhere, &in_mode(&good, VerificationMode::Full)));
    assert!(!accepts(&elsewhere, &in_mode(&good, VerificationMode::Strict)));
    assert!(accepts(&elsewhere, &in_mode(&good, VerificationMode::Certificate)));
    assert!(!accepts(&elsewhere, &in_mode(&ca("other"), VerificationMode::Certificate)));
}

#[test]
fn a_host_may_be_an_address() {
    let good = ca("good");
    let server = serving(&signed(&good, &params()));
    let host = format!("https://{}", server.address);
    succeed(&client_with(host, trusting(&good)), &get());
}

#[test]
fn the_subjects_name_counts_where_there_is_no_other_and_the_mode_is_not_strict() {
    let good = ca("good");
    let mut named = CertificateParams::new(vec![]).unwrap();
    named.distinguished_name.push(DnType::CommonName, "LocalHost");
    let old_style = signed(&good, &named);
    assert!(accepts(&old_style, &in_mode(&good, VerificationMode::Full)));
    assert!(!accepts(&old_style, &in_mode(&good, VerificationMode::Strict)));
    let mut both = CertificateParams::new(vec!["elsewhere".to_owned()]).unwrap();
    both.distinguished_name.push(DnType::CommonName, "localhost");
    assert!(!accepts(&signed(&good, &both), &in_mode(&good, VerificationMode::Full)));
}

#[test]
fn an_expired_certificate_is_refused_also_where_it_is_trusted_itself() {
    let good = ca("good");
    let mut old = params();
    old.not_after = date_time_ymd(2001, 1, 1);
    assert!(!accepts(&signed(&good, &old), &trusting(&good)));
    let alone = self_signed(&old);
    let tls = ClientTls { certificate_authorities: vec![inline(&pem(&alone.chain))], ..ClientTls::default() };
    assert!(!accepts(&alone, &tls));
}

#[test]
fn a_certificate_that_is_itself_configured_needs_no_issuer_but_its_name() {
    let trusting_itself = |pair: &Pair| ClientTls {
        certificate_authorities: vec![inline(&pem(&pair.chain))],
        ..ClientTls::default()
    };
    let mut as_authority = params();
    as_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    for params in [params(), as_authority] {
        let pair = self_signed(&params);
        assert!(accepts(&pair, &trusting_itself(&pair)));
    }
    let elsewhere = self_signed(&CertificateParams::new(vec!["elsewhere".to_owned()]).unwrap());
    assert!(!accepts(&elsewhere, &trusting_itself(&elsewhere)));
}

#[test]
fn one_certificate_of_the_chain_must_be_pinned() {
    let good = ca("good");
    let pair = signed(&good, &params());
    let with = |pin: String| ClientTls { ca_sha256: vec![pin], ..trusting(&good) };
    assert!(accepts(&pair, &with(pin(good.key()))));
    assert!(accepts(&pair, &with(pin(&pair.key))));
    assert!(!accepts(&pair, &with(pin(ca("other").key()))));
    // shown, but the leaf is not by it
    let other = ca("other");
    let mut stuffed = signed(&good, &params());
    stuffed.chain.push(other.der().clone());
    assert!(!accepts(&stuffed, &with(pin(other.key()))));
}
