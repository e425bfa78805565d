//! A header Range and the size of a file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fleet_server::api::fuzz::file_range(bytes));
