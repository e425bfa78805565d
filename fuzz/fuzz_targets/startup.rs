//! What an agent says on standard input.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fleet_server::agent_mode::fuzz::startup(bytes));
