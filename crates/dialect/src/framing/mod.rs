//! How streamed replies are cut into events on the wire, in both directions: knows
//! bytes and lengths, nothing of what the events mean.

pub mod eventstream;
pub mod sse;
