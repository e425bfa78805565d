//! WebSocket (RFC 6455), the server's side, without sockets, clocks or threads: bytes in, messages out. Binary messages only, no
//! extensions. What a frame's header looks like, tungstenite knows; the order of frames, bounds and closing are seen to here.
//!
//! The caller owns the socket and the buffers, as with [`crate::http`]: it gives what it read to [`WebSocket::receive`], writes
//! what [`WebSocket::output`] shows and reports how much went out with [`WebSocket::sent`].

mod handshake;
mod socket;

#[doc(hidden)]
pub mod fuzz;

#[cfg(test)]
mod tests;

pub use handshake::{Refused, accept};
pub use socket::{CONTROL_FRAMES_MAX, FRAGMENTS_MAX, Received, UNSENT_BYTES_MAX, WebSocket};
pub use tungstenite::protocol::frame::coding::CloseCode;
