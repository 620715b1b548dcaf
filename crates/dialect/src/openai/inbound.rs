//! Not built yet.
use message::{Failure, Operation};
pub fn read(_: Operation, _: &[u8]) -> Result<crate::Inbound, Failure> {
    todo!()
}
