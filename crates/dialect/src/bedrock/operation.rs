//! Not built yet.
use crate::{Ask, RequestHead};
pub fn route(_: &RequestHead<'_>, _path: &str) -> Option<Ask> {
    None
}
