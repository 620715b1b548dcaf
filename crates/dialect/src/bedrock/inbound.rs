//! Not built yet.
use message::{Dialect, Failure, Operation};
pub fn read(
    _: Dialect,
    _: Operation,
    _model: &str,
    _stream: bool,
    _: &[u8],
) -> Result<crate::Inbound, Failure> {
    todo!()
}
