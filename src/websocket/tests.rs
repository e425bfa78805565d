//! Frames as clients send them, in order and out of it.

use std::io::IoSlice;

use super::*;
use crate::http::{HttpConnection, Limits, RequestHead};

const MESSAGE_BYTES_MAX: u64 = 100_000;
const MASK: [u8; 4] = [1, 2, 3, 4];

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const FINAL: u8 = 0x80;

/// A frame as a client sends it.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..65_536 => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

fn message(payload: &[u8]) -> Vec<u8> {
    frame(FINAL | BINARY, payload)
}

/// A WebSocket and what it was told so far.
struct Peer {
    socket: WebSocket,
    messages: Vec<Vec<u8>>,
}

impl Peer {
    fn new() -> Self {
        Peer { socket: WebSocket::new(Vec::new()), messages: Vec::new() }
    }

    fn told(mut self, bytes: &[u8]) -> Self {
        let mut rest = bytes;
        while let Received::Message(message) = self.socket.receive(&mut rest, MESSAGE_BYTES_MAX) {
            self.messages.push(message);
        }
        assert!(rest.is_empty());
        self
    }

    /// All that is to be written.
    fn said(&mut self) -> Vec<u8> {
        let mut said = Vec::new();
        while self.socket.unsent_bytes() > 0 {
            let mut slices = [IoSlice::new(&[]); 2];
            let count = self.socket.output(&mut slices);
            said.extend(slices[..count].iter().flat_map(|slice| slice.iter().copied()));
            self.socket.sent(slices[..count].iter().map(|slice| slice.len()).sum());
        }
        said
    }

    #[track_caller]
    fn ends_with(mut self, code: u16) {
        let said = self.said();
        let end = [&[FINAL | CLOSE, 2], &code.to_be_bytes()[..]].concat();
        assert!(said.ends_with(&end), "{said:?}");
        assert!(self.socket.is_closing());
    }
}

#[test]
fn a_message_is_unmasked() {
    for length in [0, 1, 125, 126, 65_535, 65_536] {
        let payload: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        assert_eq!(Peer::new().told(&message(&payload)).messages, [payload]);
    }
}

#[test]
fn bytes_may_come_one_at_a_time() {
    let bytes =
        [message(b"one"), frame(BINARY, b"tw"), frame(FINAL | PING, b"?"), frame(FINAL, b"o")].concat();
    let mut peer = bytes.iter().fold(Peer::new(), |peer, byte| peer.told(&[*byte]));
    assert_eq!(peer.messages, [b"one".to_vec(), b"two".to_vec()]);
    assert_eq!(peer.said(), [FINAL | PONG, 1, b'?']);
    assert!(peer.socket.is_idle() && peer.socket.held_bytes() == 0);
}

#[test]
fn an_answer_is_one_frame_whatever_it_is_made_of() {
    let mut peer = Peer::new();
    peer.socket.send([vec![7; 100].into(), vec![8; 100].into()]);
    let said = peer.said();
    assert_eq!(said[..4], [FINAL | BINARY, 126, 0, 200]);
    assert_eq!(said[4..], [vec![7; 100], vec![8; 100]].concat());
}

#[test]
fn a_close_is_answered_with_its_code() {
    Peer::new().told(&frame(FINAL | CLOSE, &1001_u16.to_be_bytes())).ends_with(1001);
    Peer::new().told(&frame(FINAL | CLOSE, b"")).ends_with(1000);
    for odd in [&[3][..], &1005_u16.to_be_bytes(), &999_u16.to_be_bytes()] {
        Peer::new().told(&frame(FINAL | CLOSE, odd)).ends_with(1002);
    }
    Peer::new().told(&frame(FINAL | CLOSE, &[3, 232, 0xff])).ends_with(1007);
}

#[test]
fn nothing_is_taken_after_the_end() {
    let bytes = [frame(FINAL | CLOSE, b""), message(b"late"), frame(FINAL | PING, b"")].concat();
    let peer = Peer::new().told(&bytes);
    assert!(peer.messages.is_empty());
    peer.ends_with(1000);
}

#[test]
fn a_frame_without_a_mask_ends_it() {
    Peer::new().told(&[FINAL | BINARY, 1, b'x']).ends_with(1002);
}

#[test]
fn reserved_bits_and_opcodes_end_it() {
    for first in [0x40, 0x20, 0x10].map(|bit| FINAL | bit | BINARY).into_iter().chain([FINAL | 3, FINAL | 11])
    {
        Peer::new().told(&frame(first, b"x")).ends_with(1002);
    }
}

#[test]
fn a_text_ends_it() {
    Peer::new().told(&frame(FINAL | TEXT, b"x")).ends_with(1003);
}

#[test]
fn a_message_beyond_its_bound_ends_it_before_its_payload_comes() {
    let size = usize::try_from(MESSAGE_BYTES_MAX).unwrap();
    assert_eq!(Peer::new().told(&message(&vec![0; size])).messages.len(), 1);
    let announced = &message(&vec![0; size + 1])[..14];
    Peer::new().told(announced).ends_with(1009);
    Peer::new()
        .told(&[FINAL | BINARY, 0xff, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0])
        .ends_with(1009);
    Peer::new().told(&[frame(BINARY, &vec![0; size]), frame(FINAL, b"x")].concat()).ends_with(1009);
}

#[test]
fn fragments_without_an_end_end_it() {
    let fragments = usize::try_from(FRAGMENTS_MAX).unwrap() - 1;
    let mut bytes = frame(BINARY, b"");
    bytes.extend(frame(CONTINUATION, b"").repeat(fragments));
    assert!(!Peer::new().told(&bytes).socket.is_closing());
    bytes.extend(frame(CONTINUATION, b""));
    Peer::new().told(&bytes).ends_with(1008);
}

#[test]
fn frames_out_of_order_end_it() {
    Peer::new().told(&frame(FINAL | CONTINUATION, b"x")).ends_with(1002);
    Peer::new().told(&[frame(BINARY, b"x"), message(b"y")].concat()).ends_with(1002);
    Peer::new().told(&[message(b"x"), frame(FINAL, b"y")].concat()).ends_with(1002);
}

#[test]
fn a_control_frame_in_parts_or_too_long_ends_it() {
    Peer::new().told(&frame(PING, b"")).ends_with(1002);
    Peer::new().told(&frame(FINAL | PING, &[0; 126])).ends_with(1002);
}

#[test]
fn a_flood_of_pings_ends_it_and_pings_now_and_then_do_not() {
    let pings = frame(FINAL | PING, b"").repeat(usize::from(CONTROL_FRAMES_MAX));
    let mut peer = Peer::new().told(&pings);
    assert_eq!(peer.said().len(), 2 * usize::from(CONTROL_FRAMES_MAX));
    peer.socket.refill();
    let peer = peer.told(&pings);
    assert!(!peer.socket.is_closing());
    peer.told(&frame(FINAL | PONG, b"")).ends_with(1008);
}

#[test]
fn who_takes_no_answers_is_not_listened_to() {
    let mut peer = Peer::new();
    peer.socket.send([vec![0; UNSENT_BYTES_MAX].into()]);
    assert!(!peer.socket.wants_input());
    peer.said();
    assert!(peer.socket.wants_input());
}

/// A request for a WebSocket, with one header in place of another.
fn request(line: &str, changed: Option<(&str, &str)>) -> Box<RequestHead> {
    let mut text = format!("{line}\r\n");
    for (name, value) in [
        ("Host", "x"),
        ("Upgrade", "WebSocket"),
        ("Connection", "keep-alive, Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
    ] {
        let value = changed.filter(|(changed, _)| *changed == name).map_or(value, |(_, value)| value);
        text += &format!("{name}: {value}\r\n");
    }
    text += "\r\n";
    let mut rest = text.as_bytes();
    match HttpConnection::new().receive(&mut rest, &Limits::default()) {
        crate::http::Received::Head(head) => head,
        _ => panic!("no head in {text}"),
    }
}

const LINE: &str = "GET /v1/opamp HTTP/1.1";

/// The example of RFC 6455, 1.3.
#[test]
fn the_key_is_answered() {
    let of_nothing = format!("{LINE}\r\nContent-Length: 0");
    for line in [LINE, &of_nothing] {
        assert_eq!(accept(&request(line, None)), Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned()), "{line}");
    }
}

#[test]
fn what_asks_for_no_websocket_is_refused() {
    let with_body = format!("{LINE}\r\nContent-Length: 1");
    for line in ["POST /v1/opamp HTTP/1.1", "GET /v1/opamp HTTP/1.0", &with_body] {
        assert_eq!(accept(&request(line, None)), Err(Refused::NoHandshake), "{line}");
    }
    for changed in [
        ("Upgrade", "h2c"),
        ("Connection", "keep-alive"),
        ("Sec-WebSocket-Key", "c2hvcnQ="),
        ("Sec-WebSocket-Key", "?"),
    ] {
        assert_eq!(accept(&request(LINE, Some(changed))), Err(Refused::NoHandshake), "{changed:?}");
    }
}

#[test]
fn another_version_is_told_ours() {
    let refused = accept(&request(LINE, Some(("Sec-WebSocket-Version", "8")))).unwrap_err();
    let response = refused.response();
    assert_eq!((response.status, response.headers.last().unwrap().1.as_ref()), (426, "13"));
}

#[test]
fn a_parked_one_is_small() {
    assert!(size_of::<WebSocket>() <= 208, "{}", size_of::<WebSocket>());
}
