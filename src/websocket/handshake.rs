//! The request that asks for a WebSocket, and what answers its key (RFC 6455, 4.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tungstenite::handshake::derive_accept_key;

use crate::http::{BodyKind, RequestHead, Response};

/// The only version there is.
const VERSION: &str = "13";
/// Bytes of a client's key, once decoded.
const KEY_BYTES: usize = 16;

/// Why a request makes no WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It does not ask for one, or not in the right form.
    NoHandshake,
    /// It asks for another version of the protocol.
    Version,
}

impl Refused {
    /// The answer that says so.
    pub fn response(self) -> Response {
        let text = |status, text: &'static str| {
            Response::new(status, text).header("Content-Type", "text/plain; charset=utf-8")
        };
        match self {
            Refused::NoHandshake => text(400, "Bad Request"),
            Refused::Version => text(426, "Upgrade Required").header("Sec-WebSocket-Version", VERSION),
        }
    }
}

/// The answer to the key of a request that asks for a WebSocket.
pub fn accept(head: &RequestHead) -> Result<String, Refused> {
    let asks = head.method() == "GET"
        && head.minor_version() == 1
        && matches!(head.body(), BodyKind::None | BodyKind::Length(0))
        && names(head, "upgrade", "websocket")
        && names(head, "connection", "upgrade");
    let single = |name| head.single(name).ok().flatten();
    let key = single("sec-websocket-key").filter(|_| asks).ok_or(Refused::NoHandshake)?;
    if single("sec-websocket-version") != Some(VERSION) {
        return Err(Refused::Version);
    }
    match STANDARD.decode(key) {
        Ok(bytes) if bytes.len() == KEY_BYTES => Ok(derive_accept_key(key.as_bytes())),
        _ => Err(Refused::NoHandshake),
    }
}

/// Whether a header, a list with commas, names this token in any case.
fn names(head: &RequestHead, header: &str, token: &str) -> bool {
    let members = head.header(header).flat_map(|line| line.split(|byte| *byte == b','));
    members.map(<[u8]>::trim_ascii).any(|member| member.eq_ignore_ascii_case(token.as_bytes()))
}
