//! Request bodies of the dialects `OpenAiResponses` and `OpenAiCompletions`, and what is
//! stored of the former.
#![no_main]

use dialect::openai::responses::stored::{Wishes, expand, in_foreground, input_items};
use libfuzzer_sys::fuzz_target;
use message::{Dialect, Operation};

fuzz_target!(|body: &[u8]| {
    fuzz::request(Dialect::OpenAiResponses, Operation::Chat, body);
    fuzz::request(Dialect::OpenAiResponses, Operation::CountTokens, body);
    fuzz::request(Dialect::OpenAiCompletions, Operation::Chat, body);
    let Ok(call) = fuzz::call(Dialect::OpenAiResponses, Operation::Chat, false, body) else { return };
    let _ = Wishes::read(body);
    let _ = in_foreground(body);
    if let Ok(items) = input_items(&call)
        && let Ok(expanded) = expand(body, items)
    {
        assert_eq!(dialect::json::validate(&expanded), Ok(()));
    }
});
