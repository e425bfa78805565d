//! Messages of an agent on the check-in stream.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fleet_server::agent_mode::fuzz::expected(bytes));
