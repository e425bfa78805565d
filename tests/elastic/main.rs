//! Real servers on a real cluster, several of them, and whatever may happen to a cluster; and what other tests stand on: a
//! cluster that can be had, broken and got rid of.

#[cfg(test)]
mod cluster;
#[cfg(test)]
mod delivering;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod keeping;
#[cfg(test)]
mod latency;
#[cfg(test)]
mod load;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod site;
#[cfg(test)]
mod stand_in;
#[cfg(test)]
#[path = "../api/support/mod.rs"]
mod support;
#[cfg(test)]
mod two_servers;
