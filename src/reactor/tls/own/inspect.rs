//! What a certificate made earlier says.

use std::net::IpAddr;

use rcgen::{KeyPair, PublicKeyData};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::names::Names;
use crate::time::Timestamp;

/// A certificate, as far as we care.
pub(super) struct Found {
    /// The text it was read from.
    pub(super) pem: String,
    pub(super) der: CertificateDer<'static>,
    pub(super) not_after: Timestamp,
    pub(super) names: Names,
    /// SubjectPublicKeyInfo.
    pub(super) public_key: Vec<u8>,
    key_id: Option<Vec<u8>>,
    issuer_key_id: Option<Vec<u8>>,
}

impl Found {
    /// Whether `ca` has issued this one, as its key identifier says.
    pub(super) fn issued_by(&self, ca: &Found) -> bool {
        self.issuer_key_id.is_some() && self.issuer_key_id == ca.key_id
    }
}

/// Reads the first certificate of a PEM text.
pub(super) fn certificate(pem: &str) -> Result<Found, String> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| error.to_string())?;
    let (_, parsed) = X509Certificate::from_der(&der).map_err(|error| error.to_string())?;
    let mut found = Found {
        pem: pem.to_owned(),
        not_after: Timestamp(parsed.validity().not_after.timestamp().saturating_mul(1_000)),
        names: Names::default(),
        public_key: parsed.public_key().raw.to_vec(),
        key_id: None,
        issuer_key_id: None,
        der: der.clone(),
    };
    for extension in parsed.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => {
                add_names(&mut found.names, &names.general_names)
            }
            ParsedExtension::SubjectKeyIdentifier(id) => found.key_id = Some(id.0.to_vec()),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                found.issuer_key_id = id.key_identifier.as_ref().map(|id| id.0.to_vec());
            }
            _ => {}
        }
    }
    Ok(found)
}

fn add_names(names: &mut Names, found: &[GeneralName<'_>]) {
    for name in found {
        match name {
            GeneralName::DNSName(name) => names.add(name),
            GeneralName::IPAddress(bytes) => {
                let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
                let v6 = || <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
                names.addresses.extend(v4.or_else(|_| v6()).ok());
            }
            _ => {}
        }
    }
}

/// SubjectPublicKeyInfo of a private key in PEM.
pub(super) fn public_key_of(pem: &str) -> Result<Vec<u8>, String> {
    let key = KeyPair::from_pem(pem).map_err(|error| error.to_string())?;
    Ok(key.subject_public_key_info())
}
