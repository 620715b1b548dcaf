//! [`Event`]s → what a Completions client reads: chunks, or one whole completion.

use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderName, HeaderValue, StatusCode, header};
use message::{Block, BlockKind, Call, Completion, Delta, Event, Failure, FinishReason, TokenLogprob, Usage};
use serde_json::{Map, Value, json};

use crate::framing::sse;
use crate::openai::counted::Counted;
use crate::openai::error;
use crate::openai::spelling::note;
use crate::{ReplyEncoder, Whole, json};

/// The least probability the dialect can write: JSON has no infinity.
const LOGPROB_MIN: f32 = -9999.0;

/// The encoder of a call's reply.
pub fn encoder(call: &Call) -> Box<dyn ReplyEncoder> {
    let created_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Box::new(Encoder::new(call.clone(), created_s))
}

/// Encodes the reply to one call.
pub(super) struct Encoder {
    call: Call,
    created_s: u64,
    /// Characters of each answer's text sent so far: where its next token begins.
    offsets: Vec<usize>,
    usage: Option<Usage>,
}

impl Encoder {
    pub(super) fn new(call: Call, created_s: u64) -> Self {
        Self { call, created_s, offsets: Vec::new(), usage: None }
    }

    fn object(&self, choices: Value) -> Map<String, Value> {
        let id = format!("cmpl-{}", self.call.id.as_str().replace('-', ""));
        let mut object = Map::new();
        object.insert("id".to_owned(), id.into());
        object.insert("object".to_owned(), "text_completion".into());
        object.insert("created".to_owned(), self.created_s.into());
        object.insert("model".to_owned(), self.call.head.model.as_str().into());
        object.insert("choices".to_owned(), choices);
        object
    }

    fn choice(&mut self, index: u32, text: &str, tokens: &[TokenLogprob], finish: Option<&str>) -> Value {
        let wanted = self.call.chat().is_ok_and(|chat| chat.sampling.logprobs.is_some());
        let place = index as usize;
        self.offsets.resize(self.offsets.len().max(place + 1), 0);
        let offset = &mut self.offsets[place];
        let logprobs = if wanted && !tokens.is_empty() { logprobs(tokens, *offset) } else { Value::Null };
        *offset += text.chars().count();
        json!({"text": text, "index": index, "logprobs": logprobs, "finish_reason": finish})
    }

    fn chunk(&self, choice: &Value, out: &mut Vec<u8>) {
        let chunk = Value::Object(self.object(json!([choice])));
        sse::write_event(out, None, chunk.to_string().as_bytes());
    }

    /// One event of the answer `index`.
    fn piece(&mut self, index: u32, event: Event, out: &mut Vec<u8>) {
        let choice = match event {
            Event::Delta { delta: Delta::Text { text, logprobs }, .. } => {
                self.choice(index, &text, &logprobs, None)
            }
            Event::Finish { reason, .. } => self.choice(index, "", &[], Some(finish_word(&reason))),
            // A continuation is text and nothing else.
            _ => return,
        };
        self.chunk(&choice, out);
    }

    fn include_usage(&self) -> bool {
        let options = self.call.chat().ok().and_then(|chat| note(&chat.extra, "stream_options"));
        options.and_then(|options| options.get("include_usage")).is_some_and(|include| *include == true)
    }
}

impl ReplyEncoder for Encoder {
    fn stream_headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        vec![
            (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ]
    }

    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        match event {
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Frame(frame) => out.extend_from_slice(&frame.bytes),
            Event::Choice { index, event } => self.piece(index, *event, out),
            event => self.piece(0, event, out),
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if self.include_usage() {
            let mut chunk = self.object(json!([]));
            chunk.insert("usage".to_owned(), json!(Counted::of(&self.usage.unwrap_or_default())));
            sse::write_event(out, None, &json::bytes(&chunk));
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn failure(&mut self, failure: &Failure, out: &mut Vec<u8>) {
        sse::write_event(out, None, error::object(failure).to_string().as_bytes());
    }

    fn whole(&mut self, completion: Completion) -> Whole {
        let answers = (0..).zip(std::iter::once(&completion).chain(&completion.others));
        let choices = answers.map(|(index, answer)| {
            let reason = answer.finish.as_ref().unwrap_or(&FinishReason::EndTurn);
            self.choice(index, &plain(&answer.content), &answer.logprobs, Some(finish_word(reason)))
        });
        let choices = choices.collect();
        let mut body = self.object(choices);
        body.insert("usage".to_owned(), json!(Counted::of(&completion.usage)));
        let headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        Whole { status: StatusCode::OK, headers, body: json::bytes(&body) }
    }
}

/// The text of an answer.
fn plain(content: &[Block]) -> String {
    let texts = content.iter().filter_map(|block| match &block.kind {
        BlockKind::Text(text) | BlockKind::Refusal(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

/// The hub's reason → one of the dialect's three words.
const fn finish_word(reason: &FinishReason) -> &'static str {
    match reason {
        FinishReason::MaxTokens | FinishReason::ContextWindow => "length",
        FinishReason::Refusal | FinishReason::ContentFilter | FinishReason::Guardrail => "content_filter",
        _ => "stop",
    }
}

/// Parallel lists, one entry per token.
fn logprobs(tokens: &[TokenLogprob], mut offset: usize) -> Value {
    let text = |token: &[u8]| String::from_utf8_lossy(token).into_owned();
    let (mut texts, mut own, mut tops, mut offsets) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for token in tokens {
        let shown = text(&token.token);
        offsets.push(offset);
        offset += shown.chars().count();
        texts.push(shown);
        own.push(token.logprob.max(LOGPROB_MIN));
        let top = token.top.iter().map(|top| (text(&top.token), Value::from(top.logprob.max(LOGPROB_MIN))));
        tops.push(top.collect::<Map<String, Value>>());
    }
    json!({"tokens": texts, "token_logprobs": own, "top_logprobs": tops, "text_offset": offsets})
}
