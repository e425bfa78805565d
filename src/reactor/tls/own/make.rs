//! Making of certificates: P-256, by rcgen.

use std::time::Duration;

use ::time::OffsetDateTime;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};

use super::DAY;
use super::names::Names;
use crate::time::Timestamp;

const CA_LIFE: Duration = Duration::from_secs(3_650 * DAY);
const SERVER_LIFE: Duration = Duration::from_secs(365 * DAY);
/// Clients' clocks may be behind.
const BACKDATING: Duration = Duration::from_secs(DAY);
const CA_NAME: &str = "Fleet Server CA";

/// PEM texts.
pub(super) struct Made {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// A new CA.
pub(super) fn ca(now: Timestamp) -> Result<Made, rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, CA_NAME);
    // it signs servers, not other CAs
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = date(now.minus(BACKDATING));
    params.not_after = date(now.plus(CA_LIFE));
    let certificate = params.self_signed(&key)?;
    Ok(Made { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// A new server certificate and key. The CA's certificate follows the server's: a client that knows the CA by fingerprint alone looks
/// for it there.
pub(super) fn server(
    ca: &str,
    ca_key: &str,
    names: &Names,
    now: Timestamp,
    ca_not_after: Timestamp,
) -> Result<Made, rcgen::Error> {
    let issuer = Issuer::from_ca_cert_pem(ca, KeyPair::from_pem(ca_key)?)?;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let addresses = names.addresses.iter().map(ToString::to_string);
    let mut params =
        CertificateParams::new(names.hosts.iter().cloned().chain(addresses).collect::<Vec<_>>())?;
    params.distinguished_name.push(DnType::CommonName, "Fleet Server");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = date(now.minus(BACKDATING));
    params.not_after = date(now.plus(SERVER_LIFE).min(ca_not_after));
    let certificate = params.signed_by(&key, &issuer)?;
    Ok(Made { certificate: certificate.pem() + ca, key: key.serialize_pem() })
}

fn date(time: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(time.0.div_euclid(1_000)).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
