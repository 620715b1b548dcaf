//! Not built yet.
pub fn encoder(_: &message::Call) -> Box<dyn crate::ReplyEncoder> {
    todo!()
}
