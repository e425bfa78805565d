//! The `ssl` sections.

use std::path::PathBuf;
use std::time::Duration;

use super::{Sources, server, yaml};
use crate::config::{ClientAuthentication, ClientTls, PemSource, Protocol, Store, Tls, VerificationMode};

fn ssl(keys: &str) -> Sources {
    server(&format!("ssl: {{{keys}}}"))
}

fn tls(sources: &Sources) -> Tls {
    sources.config().server.tls.unwrap()
}

fn client(keys: &str) -> Sources {
    yaml(&format!("output.elasticsearch: {{hosts: 'https://es', ssl: {{{keys}}}}}"))
}

fn client_tls(sources: &Sources) -> Option<ClientTls> {
    match sources.config().store {
        Store::Elasticsearch(store) => store.tls,
        Store::Embedded(_) => panic!("embedded"),
    }
}

#[test]
fn a_pair_without_enabled_is_tls() {
    let sources = ssl("certificate: a.crt, key: a.key");
    let tls = tls(&sources);
    assert!(tls == Tls::new(PemSource::File("/srv/a.crt".into()), PemSource::File("/srv/a.key".into())));
    assert!(!sources.config().server.own_certificate);
}

#[test]
fn enabled_without_a_pair_is_an_error() {
    let errors = ssl("enabled: true").errors();
    assert_eq!(errors[0].to_string(), "fleet-server.yml:3: inputs.0.server.ssl: certificate is missing");
    assert_eq!(errors[1].to_string(), "fleet-server.yml:3: inputs.0.server.ssl: key is missing");
}

#[test]
fn half_a_pair_is_an_error() {
    assert!(ssl("certificate: a.crt").error().ends_with("key is missing"));
    assert!(ssl("key: a.key, certificate: ''").error().ends_with("certificate is missing"));
}

#[test]
fn a_pair_that_failed_is_reported_once() {
    assert!(ssl("certificate: \"${X}\", key: a").error().contains("${X} is not set"));
}

#[test]
fn not_enabled_is_plain_http_on_every_store() {
    let config = ssl("enabled: false").config();
    assert!(config.server.tls.is_none() && !config.server.own_certificate);
    let config =
        ssl("enabled: false, supported_protocols: [TLSv1.0]").set("output.elasticsearch.hosts=es").config();
    assert!(config.server.tls.is_none() && !config.server.own_certificate);
}

#[test]
fn authorities_require_a_client_certificate_unless_said_otherwise() {
    let pair = "certificate: a, key: b";
    let required = tls(&ssl(&format!("{pair}, certificate_authorities: ca.crt")));
    assert_eq!(required.client_authentication, ClientAuthentication::Required);
    assert!(required.certificate_authorities == [PemSource::File(PathBuf::from("/srv/ca.crt"))]);
    let optional =
        ssl(&format!("{pair}, certificate_authorities: [ca.crt], client_authentication: optional"));
    assert_eq!(tls(&optional).client_authentication, ClientAuthentication::Optional);
    assert_eq!(tls(&ssl(pair)).client_authentication, ClientAuthentication::None);
}

#[test]
fn inline_pem_is_told_from_a_path() {
    let pem = "-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\\n";
    let tls = tls(&ssl(&format!("certificate: \"{pem}\", key: b")));
    assert!(matches!(tls.certificate, PemSource::Inline(text) if text.expose().contains("\nAAAA\n")));
}

#[test]
fn the_passphrase_file_is_trimmed() {
    let sources = ssl("certificate: a, key: b, key_passphrase_path: p").file("/srv/p", " secret\n");
    assert_eq!(tls(&sources).key_passphrase.unwrap().expose(), "secret");
}

#[test]
fn old_protocols_are_left_out_with_a_warning() {
    let sources = ssl("certificate: a, key: b, supported_protocols: [TLSv1.1, TLSv1.2]");
    assert_eq!(tls(&sources).protocols, [Protocol::Tls12]);
    assert!(sources.warnings()[0].ends_with("supported_protocols: not supported and left out: TLSv1.1"));
}

#[test]
fn no_protocol_left_is_an_error() {
    let error = ssl("certificate: a, key: b, supported_protocols: [TLSv1, TLSv1.1]").error();
    assert!(error.ends_with("none of the names listed can be used: TLSv1, TLSv1.1"), "{error}");
}

#[test]
fn cbc_suites_are_left_out_with_a_warning() {
    let suites = "ECDHE-RSA-AES-128-CBC-SHA, ECDHE-RSA-AES-128-GCM-SHA256";
    let sources = ssl(&format!("certificate: a, key: b, cipher_suites: [{suites}]"));
    assert_eq!(tls(&sources).cipher_suites, ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]);
    assert!(sources.warnings()[0].ends_with("left out: ECDHE-RSA-AES-128-CBC-SHA"));
    assert!(
        ssl("certificate: a, key: b, cipher_suites: [RSA-AES-256-CBC-SHA]")
            .error()
            .contains("none of the names")
    );
}

#[test]
fn p_521_is_left_out_with_a_warning() {
    let sources = ssl("certificate: a, key: b, curve_types: [P-521, P-256, X25519MLKEM768]");
    assert_eq!(tls(&sources).curve_types, ["secp256r1", "X25519MLKEM768"]);
    assert!(sources.warnings()[0].ends_with("left out: P-521"));
}

#[test]
fn an_unknown_name_is_an_error() {
    assert!(ssl("certificate: a, key: b, curve_types: [P-999]").error().ends_with("found `P-999`"));
}

#[test]
fn reload_can_be_set_and_switched_off() {
    let reload =
        |keys: &str| tls(&ssl(&format!("certificate: a, key: b, certificate_reload: {{{keys}}}"))).reload;
    assert_eq!(reload("reload_interval: 9s"), Some(Duration::from_secs(9)));
    assert_eq!(reload("enabled: false"), None);
    assert_eq!(reload(""), Some(Duration::from_secs(5)));
}

#[test]
fn a_client_needs_no_pair() {
    let tls = client_tls(&client("verification_mode: certificate")).unwrap();
    assert_eq!(tls.verification_mode, VerificationMode::Certificate);
    assert!(tls.identity.is_none());
}

#[test]
fn a_client_may_have_a_pair_but_not_half_of_one() {
    assert!(client_tls(&client("certificate: a, key: b")).unwrap().identity.is_some());
    assert!(client("certificate: a").error().ends_with("output.elasticsearch.ssl: key is missing"));
}

#[test]
fn a_client_section_that_is_not_enabled_is_none() {
    assert!(client_tls(&client("enabled: false")).is_none());
}

#[test]
fn a_fingerprint_is_hexadecimal() {
    let fingerprint = "AB".repeat(32);
    let tls = client_tls(&client(&format!("ca_trusted_fingerprint: {fingerprint}"))).unwrap();
    assert_eq!(tls.ca_trusted_fingerprint.unwrap(), "ab".repeat(32));
    assert!(client("ca_trusted_fingerprint: xyz").error().contains("fingerprint"));
}

#[test]
fn pins_are_base64_hashes() {
    let pin = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    assert_eq!(client_tls(&client(&format!("ca_sha256: {pin}"))).unwrap().ca_sha256, [pin]);
    assert!(client("ca_sha256: AAAA").error().contains("ca_sha256"));
}

#[test]
fn renegotiation_has_no_effect() {
    assert_eq!(client("renegotiation: once").warnings().len(), 1);
    assert!(client("renegotiation: never").warnings().is_empty());
}
