//! One connection before the run: is the server there, and what does its TLS look like?

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, pki_types::ServerName};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

const WAIT_MAX: Duration = Duration::from_secs(10);

/// Protocol, key exchange, cipher and certificate in a few words; `none` when plain.
pub(crate) fn greet(
    address: SocketAddr,
    tls: Option<&(Arc<ClientConfig>, ServerName<'static>)>,
) -> Result<String, String> {
    let said = |error: std::io::Error| format!("{address}: {error}");
    let mut socket = TcpStream::connect_timeout(&address, WAIT_MAX).map_err(said)?;
    socket.set_read_timeout(Some(WAIT_MAX)).map_err(said)?;
    let Some((config, name)) = tls else { return Ok("none".to_owned()) };
    let mut connection =
        ClientConnection::new(Arc::clone(config), name.clone()).map_err(|error| error.to_string())?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).map_err(|error| format!("{address}: TLS handshake: {error}"))?;
    }
    let version = connection.protocol_version().map(|version| format!("{version:?}"));
    let group = connection.negotiated_key_exchange_group().map(|group| format!("{:?}", group.name()));
    let suite = connection.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
    let certificate = connection.peer_certificates().and_then(|chain| key_of(chain.first()?));
    connection.send_close_notify();
    // The facts are known; whether the goodbye arrives is of no interest.
    let _ = connection.complete_io(&mut socket);
    Ok([version, group, suite, certificate].into_iter().flatten().collect::<Vec<_>>().join(", "))
}

fn key_of(certificate: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let key = certificate.public_key().parsed().ok()?;
    Some(match key {
        PublicKey::EC(point) => format!("certificate ECDSA {}", point.key_size()),
        PublicKey::RSA(key) => format!("certificate RSA {}", key.key_size()),
        _ => "certificate with another key".to_owned(),
    })
}
