//! Request bodies of the dialect `Gemini`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use message::{Dialect, Operation};

fuzz_target!(|body: &[u8]| {
    fuzz::request(Dialect::Gemini, Operation::Chat, body);
    fuzz::request(Dialect::Gemini, Operation::CountTokens, body);
    fuzz::request(Dialect::Gemini, Operation::Embed, body);
});
