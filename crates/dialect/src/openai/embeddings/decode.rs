//! A server's vectors → [`Event`]s, or forwarded as they came.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use message::{Call, Event, Failure, FinishReason, Frame, Seen, Usage};
use serde::Deserialize;

use crate::openai::chat::decode::whole::Body;
use crate::openai::error::{cut, nonsense};
use crate::{ReplyDecoder, json};

/// The decoder for one successful reply.
pub(in crate::openai) fn decoder(call: &Call, home: bool) -> Box<dyn ReplyDecoder> {
    // A call that was translated has been decoded, or it could not have been sent.
    let inputs = if home { 0 } else { call.embed().map_or(0, |embed| embed.inputs.len()) };
    Box::new(Vectors { body: Body::default(), home, inputs })
}

struct Vectors {
    body: Body,
    home: bool,
    inputs: usize,
}

#[derive(Deserialize)]
struct List {
    data: Vec<Entry>,
    usage: Option<Counted>,
}

#[derive(Deserialize)]
struct Entry {
    index: Option<usize>,
    embedding: Vector,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Vector {
    Floats(Vec<f32>),
    /// Little-endian `f32`s, base64.
    Base64(String),
}

#[derive(Deserialize)]
struct Counted {
    prompt_tokens: Option<u64>,
}

impl Counted {
    fn buckets(&self) -> Usage {
        Usage { input_tokens: self.prompt_tokens.unwrap_or(0), ..Usage::default() }
    }
}

impl ReplyDecoder for Vectors {
    fn feed(&mut self, piece: Bytes, _: &mut Vec<Event>) -> Result<(), Failure> {
        self.body.push(piece)
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        let bytes = self.body.take();
        if bytes.is_empty() {
            return Err(cut());
        }
        if self.home {
            events.push(forwarded(bytes)?);
            return Ok(());
        }
        let list: List = serde_json::from_slice(&bytes).map_err(nonsense)?;
        let mut vectors: Vec<Option<Vec<f32>>> = vec![None; self.inputs];
        for (place, entry) in list.data.into_iter().enumerate() {
            let slot = vectors.get_mut(entry.index.unwrap_or(place));
            *slot.ok_or_else(|| nonsense("more embeddings than inputs"))? = Some(floats(entry.embedding)?);
        }
        for vector in vectors {
            events.push(Event::Embedding(vector.ok_or_else(|| nonsense("fewer embeddings than inputs"))?));
        }
        if let Some(usage) = &list.usage {
            events.push(Event::Usage(usage.buckets()));
        }
        events.push(Event::Finish { reason: FinishReason::EndTurn, stop_sequence: None });
        Ok(())
    }
}

fn floats(vector: Vector) -> Result<Vec<f32>, Failure> {
    let text = match vector {
        Vector::Floats(floats) => return Ok(floats),
        Vector::Base64(text) => text,
    };
    let bytes = STANDARD.decode(text).map_err(nonsense)?;
    let (floats, []) = bytes.as_chunks::<4>() else {
        return Err(nonsense("an embedding that ends inside a number"));
    };
    Ok(floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

/// The whole list, of which only the count is read: numbers are many.
fn forwarded(bytes: Bytes) -> Result<Event, Failure> {
    let [data, usage] = json::members(&bytes, ["data", "usage"]).map_err(nonsense)?;
    if data.is_none() {
        return Err(nonsense("no embeddings"));
    }
    let usage: Option<Counted> = json::member(&bytes, usage, "usage").map_err(nonsense)?;
    let seen = Seen { usage: usage.as_ref().map(Counted::buckets), finish: Some(FinishReason::EndTurn) };
    Ok(Event::Frame(Frame { bytes, seen: Some(Box::new(seen)) }))
}
