//! Tests of the core: each behaviour from bytes to bytes, on a store in memory, without sockets or a clock.

mod artifacts;
mod bodies;
mod checking_in;
mod cluster;
mod delivering;
mod enrolling;
mod leaving;
mod opamp;
mod output_keys;
mod secrets;
mod gate;
mod limits;
mod pgp_key;
mod polling;
mod stopping;
mod streaming;
mod supervised;
mod tasks;
mod timeouts;
mod trouble;
mod world;
