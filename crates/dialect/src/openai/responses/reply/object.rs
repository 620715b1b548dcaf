//! The `response` object: what was asked for, repeated, and what came of it.
//!
//! Most of its members are the client's own settings. Their text is copied from the body,
//! once, and the object is written around it: built as a tree, it cost more than all else
//! of a small answer.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;
use message::{BlockKind, Call, Completion, Failure, FinishReason, Usage};
use serde::Serialize;
use serde_json::{Map, Value};

use super::Ending;
use super::item::{self, Identity};
use crate::json;
use crate::json::members;
use crate::openai::error;
use crate::openai::responses::inbound::{ADDITIONAL_TOOLS, Spoken};
use crate::openai::responses::stored::PREVIOUS_RESPONSE;

/// Settings that are repeated as the client wrote them, and what stands there when it
/// wrote none.
const REPEATED: [(&str, &str); 19] = [
    ("background", "false"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    ("service_tier", r#""default""#),
    ("store", "true"),
    ("temperature", "1.0"),
    ("text", r#"{"format":{"type":"text"},"verbosity":"medium"}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "1.0"),
    ("truncation", r#""disabled""#),
];

/// What a response repeats of its request, and who it is.
pub(super) struct Settings {
    /// `"id":…` to `"created_at":…`.
    first: Vec<u8>,
    /// `"model":…`.
    model: Vec<u8>,
    /// The repeated settings, each after a comma.
    repeated: Vec<u8>,
    /// `"user":…`.
    user: Vec<u8>,
    pub(super) identity: Identity,
    created_s: u64,
    /// Log-probabilities were asked for.
    pub(super) logprobs: bool,
}

impl Settings {
    pub(super) fn of(call: &Call, created_s: u64) -> Self {
        let said = Said::read(&call.body);
        let previous = call.headers.get(&PREVIOUS_RESPONSE).and_then(|id| id.to_str().ok());
        let mut repeated = Vec::with_capacity(1024);
        for (name, usual) in REPEATED {
            begin(&mut repeated, name);
            match previous.filter(|_| name == "previous_response_id") {
                Some(id) => json::write(&mut repeated, id),
                None => repeated.extend_from_slice(&said.completed(name, usual)),
            }
        }
        let mut first = Vec::with_capacity(128);
        first.extend_from_slice(br#"{"id":"#);
        json::write(&mut first, &super::response_id(call));
        first.extend_from_slice(br#","object":"response","created_at":"#);
        json::write(&mut first, &created_s);
        let mut model = Vec::with_capacity(call.head.model.len() + 16);
        begin(&mut model, "model");
        json::write(&mut model, &call.head.model);
        let name = said.completed("user", "null");
        let mut user = Vec::with_capacity(name.len() + 16);
        begin(&mut user, "user");
        user.extend_from_slice(&name);
        let identity = Identity { base: super::hex_of(call), spoken: said.spoken() };
        Self { first, model, repeated, user, identity, created_s, logprobs: said.logprobs() }
    }

    /// The response as it stands.
    pub(super) fn write(&self, state: &State<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.first);
        begin(out, "status");
        json::write(out, state.status);
        begin(out, "completed_at");
        json::write(out, &state.completed.then_some(self.created_s));
        begin(out, "error");
        json::write(
            out,
            &state.failure.map(|failure| Fault { code: failed_code(failure), message: &failure.message }),
        );
        begin(out, "incomplete_details");
        json::write(out, &state.incomplete.map(|reason| Incomplete { reason }));
        out.extend_from_slice(&self.model);
        begin(out, "output");
        json::write(out, state.output);
        out.extend_from_slice(&self.repeated);
        begin(out, "usage");
        json::write(out, &state.usage.map(Counted::of));
        out.extend_from_slice(&self.user);
        out.push(b'}');
    }

    /// The response of a call that did not ask for a stream.
    pub(super) fn whole(&self, completion: &Completion) -> Vec<u8> {
        let refusal = |kind: &BlockKind| matches!(kind, BlockKind::Refusal(_));
        let refusal_shown = completion.content.iter().any(|block| refusal(&block.kind));
        let reason = completion.finish.as_ref().unwrap_or(&FinishReason::EndTurn);
        let ending = Ending::of(reason, refusal_shown);
        let logprobs = if self.logprobs { &completion.logprobs[..] } else { &[] };
        let mut output = Vec::with_capacity(completion.content.len());
        for block in &completion.content {
            let place = output.len();
            output.extend(item::whole(&self.identity, place, block, logprobs));
        }
        let mut response = Vec::with_capacity(2048);
        self.write(&State::ended(ending, &output, &completion.usage), &mut response);
        response
    }
}

/// `,"name":`
fn begin(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// What has come of a request so far.
pub(super) struct State<'a> {
    status: &'static str,
    completed: bool,
    incomplete: Option<&'static str>,
    failure: Option<&'a Failure>,
    output: &'a [Value],
    usage: Option<&'a Usage>,
}

impl<'a> State<'a> {
    /// Nothing yet.
    pub(super) const fn begun(status: &'static str) -> Self {
        Self { status, completed: false, incomplete: None, failure: None, output: &[], usage: None }
    }

    /// The end.
    pub(super) fn ended(ending: Ending, output: &'a [Value], usage: &'a Usage) -> Self {
        let (completed, incomplete) = match ending {
            Ending::Completed => (true, None),
            Ending::Incomplete(reason) => (false, Some(reason)),
        };
        Self { status: ending.status(), completed, incomplete, failure: None, output, usage: Some(usage) }
    }

    /// It broke on the way.
    pub(super) const fn failed(failure: &'a Failure, output: &'a [Value]) -> Self {
        Self { failure: Some(failure), output, ..Self::begun("failed") }
    }
}

/// The members of a request that its response needs.
struct Said<'a> {
    body: Cow<'a, [u8]>,
    repeated: [Option<Range<usize>>; REPEATED.len()],
    user: Option<Range<usize>>,
    include: Option<Range<usize>>,
}

impl<'a> Said<'a> {
    fn read(body: &'a [u8]) -> Self {
        const WANTED: [&str; REPEATED.len() + 2] = {
            let mut wanted = ["user"; REPEATED.len() + 2];
            let mut place = 0;
            while place < REPEATED.len() {
                wanted[place] = REPEATED[place].0;
                place += 1;
            }
            wanted[REPEATED.len()] = "include";
            wanted
        };
        let (body, mut spans) = match members(body, WANTED) {
            Ok(spans) => (Cow::Borrowed(body), spans),
            // A member stands there twice: the last counts, as it does for the decoder.
            Err(_) => {
                let once: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
                let once = serde_json::to_vec(&once).unwrap_or_default();
                let spans = members(&once, WANTED).unwrap_or_else(|_| WANTED.map(|_| None));
                (Cow::Owned(once), spans)
            }
        };
        let repeated = std::array::from_fn(|place| spans[place].take());
        let [include, user] = [REPEATED.len(), REPEATED.len() + 1].map(|place| spans[place].take());
        Self { body, repeated, user, include }
    }

    /// A setting as the client wrote it; `None` if it did not, or wrote `null`.
    fn text(&self, name: &str) -> Option<&[u8]> {
        let span = match name {
            "user" => self.user.clone(),
            "include" => self.include.clone(),
            _ => self.repeated[REPEATED.iter().position(|(repeated, _)| *repeated == name)?].clone(),
        };
        self.body.get(span?).filter(|text| *text != b"null")
    }

    fn value(&self, name: &str) -> Option<Value> {
        serde_json::from_slice(self.text(name)?).ok()
    }

    /// A setting's text: its unsaid members as they usually are, and on one line, as an
    /// event's data must be.
    fn completed(&self, name: &str, usual: &'static str) -> Cow<'_, [u8]> {
        let Some(text) = self.text(name) else { return Cow::Borrowed(usual.as_bytes()) };
        let partly = usual.starts_with('{') && usual != "{}";
        if !partly && memchr::memchr2(b'\n', b'\r', text).is_none() {
            return Cow::Borrowed(text);
        }
        let said = serde_json::from_slice(text).unwrap_or_default();
        let value = match (said, serde_json::from_str(usual)) {
            (Value::Object(said), Ok(Value::Object(mut usual))) => {
                usual.extend(said);
                usual.into()
            }
            (said, _) => said,
        };
        let mut text = Vec::new();
        json::write(&mut text, &value);
        Cow::Owned(text)
    }

    fn logprobs(&self) -> bool {
        let included = self.value("include").is_some_and(|included| {
            let all = included.as_array().into_iter().flatten();
            all.into_iter().any(|one| one == "message.output_text.logprobs")
        });
        included || self.value("top_logprobs").and_then(|top| top.as_u64()).unwrap_or(0) > 0
    }

    /// How the client knows its tools. Most have none, and their bodies are not decoded again.
    fn spoken(&self) -> Spoken {
        // A tool may be offered by an item of the input, too; its name may be escaped.
        let may_be_in = |word: &str| memmem::find(&self.body, word.as_bytes()).is_some();
        if self.text("tools").is_none() && !may_be_in(ADDITIONAL_TOOLS) && !may_be_in("\\u00") {
            return Spoken::default();
        }
        Spoken::of(&serde_json::from_slice(&self.body).unwrap_or_default())
    }
}

#[derive(Serialize)]
struct Fault<'a> {
    code: &'static str,
    message: &'a str,
}

#[derive(Serialize)]
struct Incomplete {
    reason: &'static str,
}

/// The word for what went wrong that this dialect's clients look for in a response.
fn failed_code(failure: &message::Failure) -> &'static str {
    use message::ErrorKind;
    match failure.kind {
        ErrorKind::RateLimited => "rate_limit_exceeded",
        ErrorKind::ContextOverflow => "context_length_exceeded",
        ErrorKind::InvalidRequest => "invalid_prompt",
        ErrorKind::Upstream | ErrorKind::Timeout | ErrorKind::Internal | ErrorKind::Unavailable => {
            "server_error"
        }
        _ => error::code(failure),
    }
}

/// The dialect counts cached tokens into the input, and reasoning into the output.
#[derive(Serialize)]
struct Counted {
    input_tokens: u64,
    input_tokens_details: CountedInput,
    output_tokens: u64,
    output_tokens_details: CountedOutput,
    total_tokens: u64,
}

#[derive(Serialize)]
struct CountedInput {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Serialize)]
struct CountedOutput {
    reasoning_tokens: u64,
}

impl Counted {
    fn of(usage: &Usage) -> Self {
        Self {
            input_tokens: usage.total_input(),
            input_tokens_details: CountedInput {
                cached_tokens: usage.cache_read_tokens,
                cache_write_tokens: usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
            },
            output_tokens: usage.total_output(),
            output_tokens_details: CountedOutput { reasoning_tokens: usage.reasoning_tokens },
            total_tokens: usage.total(),
        }
    }
}
