//! Request bodies of the dialect `Anthropic`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use message::{Dialect, Operation};

fuzz_target!(|body: &[u8]| {
    fuzz::request(Dialect::Anthropic, Operation::Chat, body);
    fuzz::request(Dialect::Anthropic, Operation::CountTokens, body);
});
