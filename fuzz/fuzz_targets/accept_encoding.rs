//! Values of Accept-Encoding.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fleet_server::http::fuzz::accept_encoding(bytes));
