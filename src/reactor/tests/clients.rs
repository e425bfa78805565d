//! Client certificates: asked for, required, pinned.

use std::io::{Read, Write};

use base64::Engine;
use rustls::version::{TLS12, TLS13};
use sha2::{Digest, Sha256};

use super::support::{Ca, Client, Pair, Running, ca, client, client_config, pair, settings, start};
use crate::config::{ClientAuthentication, PemSource, Secret, Tls, VerificationMode};
use crate::reactor::{Reactor, ReactorError};
use crate::tls::TlsError;

/// A server that trusts the clients of `authorities`, changed by `change`.
fn server(ca: &Ca, authorities: &[&str], change: impl Fn(&mut Tls)) -> Running {
    let mut tls = pair(ca, 1).tls();
    tls.certificate_authorities =
        authorities.iter().map(|text| PemSource::Inline(Secret::new(*text))).collect();
    tls.client_authentication = ClientAuthentication::Required;
    change(&mut tls);
    let mut settings = settings();
    settings.tls = Some(tls);
    start(settings)
}

fn try_echo(client: &mut Client) -> std::io::Result<()> {
    client.write_all(b"x")?;
    client.read_exact(&mut [0])
}

/// Whether a client that shows `identity` is served, in both versions alike.
fn served(running: &Running, ca: &Ca, identity: Option<&Pair>) -> bool {
    let [old, new] = [&TLS12, &TLS13].map(|version| {
        try_echo(&mut client(running.external, &client_config(ca, identity, version))).is_ok()
    });
    assert_eq!(old, new, "both versions alike");
    new
}

#[test]
fn required_means_that_a_client_without_certificate_is_refused() {
    let ca = ca("test");
    let running = server(&ca, &[&ca.pem()], |_| {});
    assert!(!served(&running, &ca, None));
    assert!(served(&running, &ca, Some(&pair(&ca, 2))));
}

#[test]
fn optional_means_that_it_is_not_but_a_foreign_certificate_is() {
    let (ours, foreign) = (ca("ours"), ca("foreign"));
    let running =
        server(&ours, &[&ours.pem()], |tls| tls.client_authentication = ClientAuthentication::Optional);
    assert!(served(&running, &ours, None));
    assert!(served(&running, &ours, Some(&pair(&ours, 2))));
    assert!(!served(&running, &ours, Some(&pair(&foreign, 3))));
}

#[test]
fn no_name_is_compared() {
    let ca = ca("test");
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["an-agent.elsewhere".to_owned()]).unwrap();
    let identity = Pair { certificate: params.signed_by(&key, &ca).unwrap().pem(), key: key.serialize_pem() };
    for mode in [VerificationMode::Full, VerificationMode::Strict, VerificationMode::Certificate] {
        let running = server(&ca, &[&ca.pem()], |tls| tls.verification_mode = mode);
        assert!(served(&running, &ca, Some(&identity)));
    }
}

/// A certificate that has signed itself.
fn self_signed(expired: bool) -> Pair {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["agent".to_owned()]).unwrap();
    if expired {
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    }
    Pair { certificate: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

#[test]
fn a_self_signed_leaf_that_is_configured_is_accepted_while_it_is_valid() {
    let ca = ca("test");
    let (known, unknown, expired) = (self_signed(false), self_signed(false), self_signed(true));
    let running = server(&ca, &[&known.certificate, &expired.certificate], |_| {});
    assert!(served(&running, &ca, Some(&known)));
    assert!(!served(&running, &ca, Some(&unknown)));
    assert!(!served(&running, &ca, Some(&expired)));
}

#[test]
fn verification_mode_none_takes_any_certificate() {
    let ca = ca("test");
    let running = server(&ca, &[&ca.pem()], |tls| tls.verification_mode = VerificationMode::None);
    assert!(served(&running, &ca, Some(&self_signed(true))));
    assert!(!served(&running, &ca, None));
}

fn pin(ca: &Ca) -> String {
    use x509_parser::prelude::{FromDer, X509Certificate};
    let (_, parsed) = X509Certificate::from_der(ca.der()).unwrap();
    base64::engine::general_purpose::STANDARD.encode(Sha256::digest(parsed.public_key().raw))
}

#[test]
fn a_pin_must_be_in_the_chain() {
    let (pinned, other) = (ca("pinned"), ca("other"));
    let running = server(&pinned, &[&pinned.pem(), &other.pem()], |tls| tls.ca_sha256 = vec![pin(&pinned)]);
    assert!(served(&running, &pinned, Some(&pair(&pinned, 2))));
    assert!(!served(&running, &pinned, Some(&pair(&other, 3))));
    // the pinned certificate merely sent along proves nothing
    let mut padded = pair(&other, 4);
    padded.certificate += &pinned.pem();
    assert!(!served(&running, &pinned, Some(&padded)));
}

#[test]
fn a_long_chain_of_certificates_fits() {
    let ca = ca("test");
    let running = server(&ca, &[&ca.pem()], |_| {});
    let mut identity = pair(&ca, 2);
    // 35 kB in a single message of several records
    for name in 0..80 {
        identity.certificate += &super::support::ca(&name.to_string()).pem();
    }
    assert!(served(&running, &ca, Some(&identity)));
}

#[test]
fn asking_without_anyone_to_trust_is_an_error() {
    let ca = ca("test");
    let mut tls = pair(&ca, 1).tls();
    tls.client_authentication = ClientAuthentication::Required;
    let mut settings = settings();
    settings.tls = Some(tls);
    assert!(matches!(Reactor::new(settings), Err(ReactorError::Tls(TlsError::NoAuthorities))));
}
