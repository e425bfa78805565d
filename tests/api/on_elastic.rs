//! The black box on a real Elasticsearch: the cases of `main.rs` that have to do with what is stored. How bytes are framed,
//! how TLS and the configuration are read, and what becomes of the embedded store's files is the same whatever the store.

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
mod elastic;
#[cfg(test)]
mod enroll;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod metrics_of_store;
#[cfg(test)]
mod opamp;
#[cfg(test)]
mod opamp_socket;
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
mod upgrade;
#[cfg(test)]
mod files;
#[cfg(test)]
mod unreadable;
#[cfg(test)]
mod uploads;
