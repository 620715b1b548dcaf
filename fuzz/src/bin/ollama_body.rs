//! Request bodies of the dialect `Ollama`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use message::{Dialect, Operation};

fuzz_target!(|body: &[u8]| {
    fuzz::request(Dialect::Ollama, Operation::Chat, body);
    fuzz::request(Dialect::Ollama, Operation::Embed, body);
});
