//! Tests of what other tests stand on: a real cluster that can be had, broken and got rid of.

#[cfg(test)]
mod cluster;
#[cfg(test)]
mod delivering;
#[cfg(test)]
mod keeping;
