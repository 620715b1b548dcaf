//! The binary: config, then wire everything, then run; and the command line.
fn main() {}
