//! Bodies of requests for embeddings.
#![no_main]

use libfuzzer_sys::fuzz_target;
use message::{Dialect, Operation};

fuzz_target!(|body: &[u8]| {
    fuzz::request(Dialect::OpenAiChat, Operation::Embed, body);
});
