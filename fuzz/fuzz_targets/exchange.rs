//! A whole connection: heads, framing of bodies, pipelining, however the bytes are cut.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fleet_server::http::fuzz::exchange(bytes));
