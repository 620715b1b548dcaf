//! Not built yet.
use message::{Failure, RequestId};
pub fn whole(_: &Failure, _: &RequestId) -> crate::Whole {
    todo!()
}
