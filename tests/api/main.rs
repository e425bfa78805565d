//! The black box: the real program, real sockets, real TLS, over loopback. A module for each topic, a test for each case.

#[cfg(test)]
#[path = "../elastic/cluster.rs"]
mod cluster;
#[cfg(test)]
mod support;

#[cfg(test)]
mod acks;
#[cfg(test)]
mod actions;
#[cfg(test)]
mod artifacts;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod checkin;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod config;
#[cfg(test)]
mod durability;
#[cfg(test)]
mod enroll;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod first_start;
#[cfg(test)]
mod headers;
#[cfg(test)]
mod http;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod metrics_doors;
#[cfg(test)]
mod metrics_of_store;
#[cfg(test)]
mod opamp;
#[cfg(test)]
mod opamp_client;
#[cfg(test)]
mod opamp_socket;
#[cfg(test)]
mod pgp;
#[cfg(test)]
mod operator_files;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod status;
#[cfg(test)]
mod stop;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod upgrade;
#[cfg(test)]
mod files;
#[cfg(test)]
mod unreadable;
#[cfg(test)]
mod uploads;
