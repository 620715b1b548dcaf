//! Not built yet.
use crate::{Outbound, Outgoing, ReplyDecoder};
use http::{HeaderMap, StatusCode};
use message::{Call, Dialect, Failure};
pub struct OpenAiChat;
impl Outbound for OpenAiChat {
    fn dialect(&self) -> Dialect {
        Dialect::OpenAiChat
    }
    fn encode(&self, _: &Call, _: &str) -> Result<Outgoing, Failure> {
        todo!()
    }
    fn decoder(&self, _: &Call, _: bool) -> Box<dyn ReplyDecoder> {
        todo!()
    }
    fn failure(&self, _: StatusCode, _: &HeaderMap, _: &[u8]) -> Failure {
        todo!()
    }
    fn forwarded_headers(&self) -> &'static [&'static str] {
        &[]
    }
}
