//! CONNECT: asks a proxy for a way to an `https` host (RFC 9110, 9.3.6).

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use ureq::unversioned::transport::{ConnectionDetails, Transport, TransportAdapter};

use super::encrypted::within;
use super::proxy::ProxyServer;
use crate::config::{Header, Secret};

/// The head of a proxy's answer.
const PROXY_HEAD_BYTES_MAX: usize = 16 * 1024;
/// Header lines in it.
const PROXY_HEADERS_MAX: usize = 64;
const PROXY_AUTHORIZATION: &str = "Proxy-Authorization";

/// Why there is no way.
#[derive(Debug, thiserror::Error)]
pub(super) enum TunnelError {
    /// It says no, or wants a password.
    #[error("it answers CONNECT with {0}")]
    Refused(u16),
    /// That is no proxy.
    #[error("its answer to CONNECT is not HTTP")]
    NotHttp,
    /// Nothing came, or it hung up.
    #[error("{}", super::error::cause(.0))]
    Broken(#[from] io::Error),
}

/// Asks over `inner`, which is connected to a proxy, for a way; returns the connection to the target.
pub(super) fn open(
    inner: Box<dyn Transport>,
    question: &Secret,
    wait_max: Duration,
    details: &ConnectionDetails<'_>,
) -> Result<Box<dyn Transport>, TunnelError> {
    let mut stream = TransportAdapter::new(inner, Arc::clone(&details.current_time));
    stream.set_timeout(within(wait_max));
    stream.write_all(question.expose().as_bytes())?;
    match status(&head(&mut stream)?) {
        Some(200..=299) => Ok(stream.into_inner()),
        Some(status) => Err(TunnelError::Refused(status)),
        None => Err(TunnelError::NotHttp),
    }
}

/// The request for a way to `target`, `HOST:PORT`, with the proxy's credentials.
pub(super) fn question(target: &str, proxy: &ProxyServer, headers: &[Header]) -> Secret {
    let mut question = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    let mut field = |name: &str, value: &str| question.push_str(&format!("{name}: {value}\r\n"));
    for header in headers {
        // the URL's credentials win, as in Go
        let ours = header.name.eq_ignore_ascii_case(PROXY_AUTHORIZATION) && proxy.authorization().is_some();
        if !ours && !header.name.eq_ignore_ascii_case("Host") {
            field(&header.name, header.value.expose());
        }
    }
    if let Some(authorization) = proxy.authorization() {
        field(PROXY_AUTHORIZATION, authorization.expose());
    }
    question.push_str("\r\n");
    Secret::new(question)
}

/// Reads up to the empty line and not a byte further: what follows is the target's.
fn head(stream: &mut TransportAdapter) -> Result<Vec<u8>, TunnelError> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == PROXY_HEAD_BYTES_MAX {
            return Err(TunnelError::NotHttp);
        }
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        head.extend(byte);
    }
    Ok(head)
}

fn status(head: &[u8]) -> Option<u16> {
    let mut headers = [httparse::EMPTY_HEADER; PROXY_HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    response.parse(head).ok()?;
    response.code
}
