//! Reads the `ssl` sections.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::names;
use super::{
    ClientAuthentication, ClientIdentity, ClientTls, PemSource, Protocol, RELOAD_INTERVAL, Tls,
    VerificationMode,
};
use crate::config::report::Fault;
use crate::config::secret::Secret;
use crate::config::section::Section;

/// `server.ssl` that is present; `None` when it is not enabled. Enabled without a pair is an error.
pub(in crate::config) fn server(section: &mut Section<'_, '_>) -> Option<Tls> {
    let common = Common::read(section);
    // Authorities without another word mean that clients must show a certificate.
    let default = if common.certificate_authorities.is_empty() {
        ClientAuthentication::None
    } else {
        ClientAuthentication::Required
    };
    let client_authentication = section.choice("client_authentication", default, &CLIENT_AUTHENTICATION);
    if !common.enabled {
        return None;
    }
    let (Some(certificate), Some(key)) = (common.certificate, common.key) else {
        report_missing_pair(section);
        return None;
    };
    Some(Tls {
        certificate,
        key,
        key_passphrase: common.key_passphrase,
        certificate_authorities: common.certificate_authorities,
        client_authentication,
        verification_mode: common.verification_mode,
        protocols: common.protocols,
        cipher_suites: common.cipher_suites,
        curve_types: common.curve_types,
        ca_sha256: common.ca_sha256,
        reload: common.reload,
        disable_legacy_pem_support: common.disable_legacy_pem_support,
    })
}

/// `output.elasticsearch.ssl` that is present; `None` when it is not enabled.
pub(in crate::config) fn client(section: &mut Section<'_, '_>) -> Option<ClientTls> {
    let common = Common::read(section);
    let ca_trusted_fingerprint = fingerprint(section);
    let renegotiation = section.choice(
        "renegotiation",
        "never",
        &[("never", "never"), ("once", "once"), ("freely", "freely")],
    );
    if !common.enabled {
        return None;
    }
    if renegotiation != "never" {
        section.warn("renegotiation", "has no effect: renegotiation is not supported");
    }
    let identity = match (common.certificate, common.key) {
        (Some(certificate), Some(key)) => {
            Some(ClientIdentity { certificate, key, key_passphrase: common.key_passphrase })
        }
        (None, None) => None,
        _ => {
            report_missing_pair(section);
            None
        }
    };
    Some(ClientTls {
        identity,
        certificate_authorities: common.certificate_authorities,
        ca_trusted_fingerprint,
        verification_mode: common.verification_mode,
        protocols: common.protocols,
        cipher_suites: common.cipher_suites,
        curve_types: common.curve_types,
        ca_sha256: common.ca_sha256,
        reload: common.reload,
    })
}

/// What both sides have.
struct Common {
    enabled: bool,
    certificate: Option<PemSource>,
    key: Option<PemSource>,
    key_passphrase: Option<Secret>,
    certificate_authorities: Vec<PemSource>,
    verification_mode: VerificationMode,
    protocols: Vec<Protocol>,
    cipher_suites: Vec<String>,
    curve_types: Vec<String>,
    ca_sha256: Vec<String>,
    reload: Option<Duration>,
    disable_legacy_pem_support: bool,
}

impl Common {
    fn read(section: &mut Section<'_, '_>) -> Self {
        // Present without `enabled` means enabled.
        let enabled = section.boolean("enabled", true);
        Self {
            enabled,
            certificate: certificate(section),
            key: key(section),
            key_passphrase: section.secret_or_file("key_passphrase", "key_passphrase_path"),
            certificate_authorities: authorities(section),
            verification_mode: section.choice(
                "verification_mode",
                VerificationMode::Full,
                &VERIFICATION_MODES,
            ),
            protocols: protocols(section, enabled),
            cipher_suites: cipher_suites(section, enabled),
            curve_types: usable(section, "curve_types", &names::CURVES, enabled)
                .into_iter()
                .map(str::to_owned)
                .collect(),
            ca_sha256: pins(section),
            reload: section.section("certificate_reload", reload),
            disable_legacy_pem_support: section.boolean("disable_legacy_pem_support", false),
        }
    }
}

const CLIENT_AUTHENTICATION: [(&str, ClientAuthentication); 3] = [
    ("none", ClientAuthentication::None),
    ("optional", ClientAuthentication::Optional),
    ("required", ClientAuthentication::Required),
];

const VERIFICATION_MODES: [(&str, VerificationMode); 4] = [
    ("full", VerificationMode::Full),
    ("strict", VerificationMode::Strict),
    ("certificate", VerificationMode::Certificate),
    ("none", VerificationMode::None),
];

/// Names what is missing of certificate and key, unless an error about it was reported already.
fn report_missing_pair(section: &mut Section<'_, '_>) {
    for key in ["certificate", "key"] {
        if !section.has_content(key) {
            section.missing(key);
        }
    }
}

fn certificate(section: &mut Section<'_, '_>) -> Option<PemSource> {
    let text = section.optional_text("certificate")?;
    let source = pem(section, text);
    section.show("certificate", shown(&source));
    Some(source)
}

fn key(section: &mut Section<'_, '_>) -> Option<PemSource> {
    let secret = section.secret("key")?;
    Some(pem(section, secret.expose().to_owned()))
}

fn authorities(section: &mut Section<'_, '_>) -> Vec<PemSource> {
    let texts = section.unshown_texts("certificate_authorities");
    let sources: Vec<PemSource> =
        texts.into_iter().filter(|text| !text.is_empty()).map(|text| pem(section, text)).collect();
    if !sources.is_empty() {
        section.show("certificate_authorities", sources.iter().map(shown).collect::<Vec<_>>());
    }
    sources
}

/// PEM text is told from a path by its first line.
fn pem(section: &Section<'_, '_>, text: String) -> PemSource {
    if text.contains("-----BEGIN") {
        PemSource::Inline(Secret::new(text))
    } else {
        PemSource::File(section.arguments().working_directory.join(text))
    }
}

fn shown(source: &PemSource) -> String {
    match source {
        PemSource::File(path) => path.display().to_string(),
        PemSource::Inline(_) => "(inline PEM)".to_owned(),
    }
}

fn reload(section: &mut Section<'_, '_>) -> Option<Duration> {
    let enabled = section.boolean("enabled", true);
    let interval = section.nonzero_duration("reload_interval", RELOAD_INTERVAL);
    enabled.then_some(interval)
}

/// The versions that can be spoken, without repetition, oldest first.
fn protocols(section: &mut Section<'_, '_>, enabled: bool) -> Vec<Protocol> {
    let mut protocols = usable(section, "supported_protocols", &names::PROTOCOLS, enabled);
    protocols.sort_unstable();
    protocols.dedup();
    if protocols.is_empty() { vec![Protocol::Tls12, Protocol::Tls13] } else { protocols }
}

/// The suites by the names of rustls.
fn cipher_suites(section: &mut Section<'_, '_>, enabled: bool) -> Vec<String> {
    usable(section, "cipher_suites", &names::CIPHER_SUITES, enabled).into_iter().map(str::to_owned).collect()
}

/// The listed names that rustls has. The others are named in a warning; when none is left that is
/// an error, and an unknown name always is one.
fn usable<T: Copy>(
    section: &mut Section<'_, '_>,
    key: &'static str,
    table: &[(&str, Option<T>)],
    enabled: bool,
) -> Vec<T> {
    let listed = section.texts(key);
    let mut usable = Vec::new();
    let mut unusable = Vec::new();
    for name in &listed {
        match names::find(table, name) {
            Some(Some(value)) => usable.push(value),
            Some(None) => unusable.push(name.as_str()),
            None => {
                let known: Vec<&str> = table.iter().map(|(name, _)| *name).collect();
                let expected = format!("one of {}", known.join(", "));
                section.error(key, Fault::Type { expected, found: format!("`{name}`") });
            }
        }
    }
    if enabled && !unusable.is_empty() {
        let names = unusable.join(", ");
        if usable.is_empty() {
            section.error(key, Fault::NothingUsable(names));
        } else {
            section.warn(key, format!("not supported and left out: {names}"));
        }
    }
    usable
}

/// Base64 SHA-256 of public keys.
fn pins(section: &mut Section<'_, '_>) -> Vec<String> {
    let pins = section.texts("ca_sha256");
    for pin in &pins {
        if STANDARD.decode(pin).map_or(true, |hash| hash.len() != SHA256_BYTES) {
            let expected = "the base64 SHA-256 of a public key".to_owned();
            section.error("ca_sha256", Fault::Type { expected, found: format!("`{pin}`") });
        }
    }
    pins
}

const SHA256_BYTES: usize = 32;

/// Hexadecimal SHA-256 of a certificate, in lower case without colons.
fn fingerprint(section: &mut Section<'_, '_>) -> Option<String> {
    section.parsed("ca_trusted_fingerprint", "a hexadecimal SHA-256 fingerprint", |text| {
        let digits = text.replace(':', "").to_ascii_lowercase();
        let valid = digits.len() == 2 * SHA256_BYTES && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        valid.then_some(digits)
    })
}
