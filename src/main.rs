//! mcscope.
fn main() {}
