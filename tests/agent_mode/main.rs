//! Agent mode over the real wire: an agent of the tests' own (`controller`) that listens with mutual TLS, and the program, or
//! only the thread that talks to the agent, against it.

#[cfg(test)]
mod actions;
#[cfg(test)]
mod certificates;
#[cfg(test)]
mod checkin;
#[cfg(test)]
#[path = "../elastic/cluster.rs"]
mod cluster;
#[cfg(test)]
mod controller;
#[cfg(test)]
mod expected;
#[cfg(test)]
mod fleet;
#[cfg(test)]
mod in_place;
#[cfg(test)]
mod mending;
#[cfg(test)]
mod program;
#[cfg(test)]
#[path = "../elastic/proxy.rs"]
#[allow(dead_code, reason = "other tests need more of it")]
mod proxy;
#[cfg(test)]
mod random;
#[cfg(test)]
#[path = "../elastic/relay.rs"]
mod relay;
#[cfg(test)]
mod serving;
#[cfg(test)]
mod startup;
#[cfg(test)]
#[path = "../api/support/mod.rs"]
mod support;
#[cfg(test)]
mod wire;
#[cfg(test)]
mod world;

#[cfg(test)]
mod public_module;
