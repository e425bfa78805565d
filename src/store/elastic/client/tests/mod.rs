//! The client against servers and proxies of the test's own, over sockets of this machine.

mod answers;
mod certificates;
mod encryption;
mod fetching;
mod proxies;
mod sending;
mod server;
mod support;
mod trust;
