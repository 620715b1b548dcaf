//! Streamed replies of servers of the dialects `OpenAiResponses` and `OpenAiCompletions`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use message::Dialect;

fuzz_target!(|input: &[u8]| {
    let Some((first, second)) = fuzz::cut(input) else { return };
    fuzz::reply(Dialect::OpenAiResponses, first, second);
    fuzz::reply(Dialect::OpenAiCompletions, first, second);
});
