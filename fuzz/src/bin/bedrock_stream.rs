//! Streamed replies of Bedrock: ConverseStream's events, and InvokeModel's chunks.
#![no_main]

use libfuzzer_sys::fuzz_target;
use message::Dialect;

fuzz_target!(|input: &[u8]| {
    let Some((first, second)) = fuzz::cut(input) else { return };
    fuzz::reply(Dialect::BedrockConverse, first, second);
    fuzz::chunks(first, second);
});
