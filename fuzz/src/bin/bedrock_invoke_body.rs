//! Request bodies of the dialect `BedrockInvoke`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use message::{Dialect, Operation};

fuzz_target!(|body: &[u8]| {
    fuzz::request(Dialect::BedrockInvoke, Operation::Chat, body);
    fuzz::request(Dialect::BedrockInvoke, Operation::CountTokens, body);
});
