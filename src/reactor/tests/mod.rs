//! The real loop over loopback, with an echo for a core and real clients.

mod support;

mod certificates;
mod clients;
mod handshakes;
mod plain;
mod pressure;
mod process;
mod settling;
mod tls;
