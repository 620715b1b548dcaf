//! Not built yet.
pub fn whole(_: &message::Failure) -> crate::Whole {
    todo!()
}
