//! Messages of collectors.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fleet_server::api::fuzz::opamp(bytes));
