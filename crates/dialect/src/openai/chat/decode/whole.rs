//! A whole `chat.completion` → the events of a stream.

use bytes::{Bytes, BytesMut};
use message::{Event, Failure};

use super::answer::Answer;
use super::{WHOLE_BYTES_MAX, nonsense};
use crate::ReplyDecoder;
use crate::openai::chat::wire;

/// Decodes a whole answer.
pub(super) struct Whole {
    body: Body,
    answer: Answer,
}

impl Whole {
    pub(super) fn new(answer: Answer) -> Self {
        Self { body: Body::default(), answer }
    }
}

impl ReplyDecoder for Whole {
    fn feed(&mut self, piece: Bytes, _: &mut Vec<Event>) -> Result<(), Failure> {
        self.body.push(piece)
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        let body = self.body.take();
        let mut whole: wire::Completion = serde_json::from_slice(&body).map_err(nonsense)?;
        for choice in whole.choices.iter_mut().flatten() {
            number_calls(choice);
        }
        if whole.error.is_none() && whole.choices.as_ref().is_none_or(Vec::is_empty) {
            return Err(nonsense("no choices"));
        }
        self.answer.take(whole, events)?;
        self.answer.end(events)
    }
}

/// Each entry of a whole answer is a call of its own, whatever index it claims.
fn number_calls(choice: &mut wire::Choice) {
    let calls = choice.message.iter_mut().flat_map(|message| message.tool_calls.iter_mut().flatten());
    for (index, call) in (0..).zip(calls) {
        call.index = Some(index);
    }
}

/// A body gathered from pieces; one piece is not copied.
#[derive(Default)]
pub(in crate::openai) struct Body {
    pieces: Vec<Bytes>,
    len: usize,
}

impl Body {
    pub(in crate::openai) fn push(&mut self, piece: Bytes) -> Result<(), Failure> {
        self.len += piece.len();
        if self.len > WHOLE_BYTES_MAX {
            return Err(nonsense(format!("an answer larger than {WHOLE_BYTES_MAX} bytes")));
        }
        if !piece.is_empty() {
            self.pieces.push(piece);
        }
        Ok(())
    }

    pub(in crate::openai) fn take(&mut self) -> Bytes {
        match std::mem::take(&mut self.pieces).as_slice() {
            [one] => one.clone(),
            many => {
                let mut body = BytesMut::with_capacity(self.len);
                many.iter().for_each(|piece| body.extend_from_slice(piece));
                body.freeze()
            }
        }
    }
}
