//! Request bodies of the dialect `Cohere`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use message::{Dialect, Operation};

fuzz_target!(|body: &[u8]| {
    fuzz::request(Dialect::Cohere, Operation::Chat, body);
    fuzz::request(Dialect::Cohere, Operation::Embed, body);
    fuzz::request(Dialect::Cohere, Operation::Rerank, body);
});
