//! Not built yet.
use message::{Failure, ModelCard};
#[derive(Debug, Clone, PartialEq)]
pub enum Command {}
pub fn answer(_: &Command, _: &[ModelCard]) -> Result<crate::Whole, Failure> {
    todo!()
}
