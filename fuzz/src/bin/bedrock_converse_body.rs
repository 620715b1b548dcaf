//! Request bodies of the dialect `BedrockConverse`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use message::{Dialect, Operation};

fuzz_target!(|body: &[u8]| {
    fuzz::request(Dialect::BedrockConverse, Operation::Chat, body);
    fuzz::request(Dialect::BedrockConverse, Operation::CountTokens, body);
});
