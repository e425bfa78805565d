//! Documents of chunks, as a cluster answers them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fleet_server::store::fuzz::file_chunk(bytes));
