//! Frames of a WebSocket.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fleet_server::websocket::fuzz::frames(bytes));
