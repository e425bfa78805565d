//! The body of the fuzz target; in the library so that it compiles with it.

use super::{Received, WebSocket};

/// Bytes of a message.
const MESSAGE_BYTES_MAX: u64 = 4_096;

/// Any bytes are frames or end the WebSocket, and come to the same however they are cut. The first byte says how.
pub fn frames(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else { return };
    let whole = received(bytes, usize::MAX);
    let in_pieces = received(bytes, usize::from(*first).max(1));
    assert_eq!(whole, in_pieces, "it depends on how the bytes are cut");
}

/// Messages, what was answered, and whether it ended.
fn received(bytes: &[u8], piece_bytes: usize) -> (Vec<Vec<u8>>, Vec<u8>, bool) {
    let mut socket = WebSocket::new(Vec::new());
    let (mut messages, mut answered) = (Vec::new(), Vec::new());
    for piece in bytes.chunks(piece_bytes.min(bytes.len().max(1))) {
        let mut rest = piece;
        while let Received::Message(message) = socket.receive(&mut rest, MESSAGE_BYTES_MAX) {
            messages.push(message);
        }
        assert!(rest.is_empty(), "bytes are left");
        assert!(socket.held_bytes() as u64 <= MESSAGE_BYTES_MAX, "it holds more than a message");
        answered.extend(written(&mut socket));
    }
    (messages, answered, socket.is_closing())
}

/// All that is to be written.
fn written(socket: &mut WebSocket) -> Vec<u8> {
    let mut bytes = Vec::new();
    while socket.unsent_bytes() > 0 {
        let mut slices = [std::io::IoSlice::new(&[]); 3];
        let count = socket.output(&mut slices);
        slices[..count].iter().for_each(|slice| bytes.extend_from_slice(slice));
        let sent = slices[..count].iter().map(|slice| slice.len()).sum();
        socket.sent(sent);
    }
    bytes
}
