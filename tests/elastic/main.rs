//! Tests of what other tests stand on: the cluster comes, keeps its data through a crash, and goes with its process.

#[cfg(test)]
mod cluster;
#[cfg(test)]
mod delivering;
#[cfg(test)]
mod keeping;
