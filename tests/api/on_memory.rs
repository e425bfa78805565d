//! The black box on the store in memory: the cases of `main.rs` that have to do with what is stored. The server is a thread of
//! this program, so that a test can look into its store; sockets, TLS and the operator's subcommands are real.

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
mod enroll;
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
mod status;
#[cfg(test)]
mod upgrade;
#[cfg(test)]
mod files;
#[cfg(test)]
mod unreadable;
#[cfg(test)]
mod uploads;
