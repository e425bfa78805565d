//! Names of protocols, cipher suites and curves: Go's beside those of rustls, as tables.

use super::Protocol;

/// Go's protocol names; `None`: rustls does not speak it.
pub(super) const PROTOCOLS: [(&str, Option<Protocol>); 6] = [
    ("TLSv1", None),
    ("TLSv1.0", None),
    ("TLSv1.1", None),
    ("TLSv1.2", Some(Protocol::Tls12)),
    ("TLSv1.3", Some(Protocol::Tls13)),
    ("SSLv3", None),
];

/// Go's curve names with those of rustls.
pub(super) const CURVES: [(&str, Option<&str>); 5] = [
    ("P-256", Some("secp256r1")),
    ("P-384", Some("secp384r1")),
    ("P-521", None),
    ("X25519", Some("X25519")),
    ("X25519MLKEM768", Some("X25519MLKEM768")),
];

/// Go's cipher suites with those of rustls. Both spellings of Poly1305 are in use.
pub(super) const CIPHER_SUITES: [(&str, Option<&str>); 30] = [
    ("ECDHE-ECDSA-AES-128-GCM-SHA256", Some("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")),
    ("ECDHE-ECDSA-AES-256-GCM-SHA384", Some("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384")),
    ("ECDHE-ECDSA-CHACHA20-POLY1205", Some("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256")),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", Some("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256")),
    ("ECDHE-RSA-AES-128-GCM-SHA256", Some("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256")),
    ("ECDHE-RSA-AES-256-GCM-SHA384", Some("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384")),
    ("ECDHE-RSA-CHACHA20-POLY1205", Some("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256")),
    ("ECDHE-RSA-CHACHA20-POLY1305", Some("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256")),
    ("TLS-AES-128-GCM-SHA256", Some("TLS13_AES_128_GCM_SHA256")),
    ("TLS-AES-256-GCM-SHA384", Some("TLS13_AES_256_GCM_SHA384")),
    ("TLS-CHACHA20-POLY1305-SHA256", Some("TLS13_CHACHA20_POLY1305_SHA256")),
    ("TLS-CHACHA20-POLY1305", Some("TLS13_CHACHA20_POLY1305_SHA256")),
    ("TLS_AES_128_GCM_SHA256", Some("TLS13_AES_128_GCM_SHA256")),
    ("TLS_AES_256_GCM_SHA384", Some("TLS13_AES_256_GCM_SHA384")),
    ("TLS_CHACHA20_POLY1305_SHA256", Some("TLS13_CHACHA20_POLY1305_SHA256")),
    ("ECDHE-ECDSA-AES-128-CBC-SHA", None),
    ("ECDHE-ECDSA-AES-128-CBC-SHA256", None),
    ("ECDHE-ECDSA-AES-256-CBC-SHA", None),
    ("ECDHE-ECDSA-RC4-128-SHA", None),
    ("ECDHE-RSA-3DES-CBC3-SHA", None),
    ("ECDHE-RSA-AES-128-CBC-SHA", None),
    ("ECDHE-RSA-AES-128-CBC-SHA256", None),
    ("ECDHE-RSA-AES-256-CBC-SHA", None),
    ("ECDHE-RSA-RC4-128-SHA", None),
    ("RSA-3DES-CBC3-SHA", None),
    ("RSA-AES-128-CBC-SHA", None),
    ("RSA-AES-128-CBC-SHA256", None),
    ("RSA-AES-128-GCM-SHA256", None),
    ("RSA-AES-256-CBC-SHA", None),
    ("RSA-AES-256-GCM-SHA384", None),
];

/// Go's name, or that of rustls, in one of the tables; the outer `None`: unknown.
pub(super) fn find<T: Copy>(table: &[(&str, Option<T>)], name: &str) -> Option<Option<T>> {
    table.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
}
