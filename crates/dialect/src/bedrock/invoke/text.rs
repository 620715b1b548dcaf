//! The families that continue a bare prompt: one way of gathering and answering, and each
//! family's own words for it in `titan`, `llama`, `mistral`, `cohere` and `completion`.

use message::{
    Block, BlockKind, Chat, Completion, Delta, Dialect, Event, Failure, FinishReason, Message, Role, Usage,
};
use serde_json::Value;

use super::chunk::{Chunks, Writer};
use crate::bedrock::wire::{At, Object, list, string};
use crate::json;

/// A body with a bare prompt, under reading.
pub(super) struct Prompt<'a> {
    pub(super) body: Object<'a>,
    pub(super) chat: Chat,
}

impl Prompt<'_> {
    /// Begins to read `body`, whose prompt goes by `name`.
    pub(super) fn read(body: &[u8], name: &str) -> Result<Self, Failure> {
        let mut body = Object::new(json::decode::<Value>(body)?, At::Body)?;
        let mut chat = Chat::new(Dialect::BedrockInvoke);
        chat.messages.push(Message::text(Role::User, body.require_string(name)?));
        chat.raw = true;
        Ok(Prompt { body, chat })
    }

    /// The parameters that several families have under these names.
    pub(super) fn sampling(&mut self, top_p: &str, top_k: &str) -> Result<(), Failure> {
        let sampling = &mut self.chat.sampling;
        sampling.temperature = self.body.number("temperature")?;
        sampling.top_p = self.body.number(top_p)?;
        // Cohere and Mistral spell "off" as 0.
        sampling.top_k = self.body.count(top_k, 0)?.filter(|top_k| *top_k > 0);
        Ok(())
    }

    /// Stop sequences: a list, or one.
    pub(super) fn stop(&mut self, name: &str) -> Result<(), Failure> {
        let at = At::Body.key(name);
        self.chat.sampling.stop = match self.body.take(name) {
            None => Vec::new(),
            Some(Value::String(one)) => vec![one],
            Some(several) => {
                let several = list(several, at)?.into_iter().enumerate();
                several.map(|(index, text)| string(text, at.index(index))).collect::<Result<_, _>>()?
            }
        };
        Ok(())
    }

    /// What was read; the rest is kept.
    pub(super) fn done(self) -> Chat {
        let Self { body, mut chat } = self;
        chat.extra = body.rest();
        chat
    }
}

/// How an answer ended.
pub(super) struct Ending<'a> {
    pub(super) reason: &'a FinishReason,
    pub(super) usage: &'a Usage,
    /// The request's id, for families whose answers have one.
    pub(super) id: &'a str,
    pub(super) model: &'a str,
}

/// A family's words.
pub(super) trait Words: Send {
    /// A piece of a streamed answer.
    fn piece(&self, text: &str) -> Value;

    /// The end of a streamed answer.
    fn last(&self, ending: &Ending<'_>) -> Value;

    /// A whole answer.
    fn whole(&self, text: String, ending: &Ending<'_>) -> Value;
}

/// Answers in a family's words. What is not text cannot be said there, nor asked for.
pub(super) struct Text<W> {
    words: W,
    id: String,
    model: String,
    usage: Usage,
    reason: FinishReason,
}

impl<W: Words> Text<W> {
    pub(super) fn new(words: W, id: String, model: String) -> Self {
        Self { words, id, model, usage: Usage::default(), reason: FinishReason::EndTurn }
    }

    fn ending(&self) -> Ending<'_> {
        Ending { reason: &self.reason, usage: &self.usage, id: &self.id, model: &self.model }
    }
}

impl<W: Words> Writer for Text<W> {
    fn event(&mut self, event: Event, chunks: &mut Chunks<'_>) -> Result<(), Failure> {
        match event {
            Event::Delta { delta: Delta::Text { text, .. }, .. } if !text.is_empty() => {
                chunks.write(&self.words.piece(&text));
            }
            Event::Usage(usage) => self.usage = usage,
            Event::Finish { reason, .. } => self.reason = reason,
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, chunks: &mut Chunks<'_>) {
        chunks.last(&self.words.last(&self.ending()));
    }

    fn whole(&mut self, completion: Completion) -> Vec<u8> {
        self.usage = completion.usage;
        self.reason = completion.finish.unwrap_or(FinishReason::EndTurn);
        let text = plain(completion.content);
        self.words.whole(text, &self.ending()).to_string().into_bytes()
    }
}

/// The text of an answer.
pub(super) fn plain(content: Vec<Block>) -> String {
    content
        .into_iter()
        .filter_map(|block| match block.kind {
            BlockKind::Text(text) | BlockKind::Refusal(text) => Some(text),
            _ => None,
        })
        .collect()
}

/// `stop` or `length`, as Llama, Mistral and OpenAI have it.
pub(super) fn stop_or_length(reason: &FinishReason) -> &'static str {
    match reason {
        FinishReason::MaxTokens | FinishReason::ContextWindow => "length",
        _ => "stop",
    }
}
