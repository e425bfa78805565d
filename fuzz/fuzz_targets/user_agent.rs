//! Values of User-Agent.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fleet_server::api::fuzz::user_agent(bytes));
