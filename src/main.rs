//! Arguments, configuration, build the parts, run, exit code.
fn main() {}
