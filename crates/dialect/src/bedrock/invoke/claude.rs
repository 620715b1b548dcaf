//! Anthropic's clients → Claude on Bedrock: InvokeModel carries their very body, and keeps
//! what Converse has no words for.
//!
//! The model and the wish for a stream leave the body for the path, the version and the
//! betas come from the headers into it: spliced where nothing else is to change. What
//! Bedrock is known to refuse is taken out and listed. The answer is Anthropic's own, its
//! stream unwrapped from chunks into server-sent events.
//!
//! Sources: Amazon Bedrock user guide, "Anthropic Claude Messages API"; the betas Bedrock
//! takes after `anthropic_beta_headers_config.json` of LiteLLM 1.109.1 and those that Claude
//! Code 2.1 sends there; fields it refuses after
//! <https://github.com/anthropics/claude-code/issues/21612>; read 2026-11-22.

use std::ops::Range;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use memchr::memmem;
use message::{Call, Dropped, Event, Failure};
use serde_json::{Map, Value, json};

use crate::bedrock::decode::{fault, nonsense};
use crate::bedrock::family::Family;
use crate::bedrock::home;
use crate::bedrock::wire::At;
use crate::framing::eventstream::Decoder;
use crate::json;
use crate::{ReplyDecoder, anthropic};

/// The version that InvokeModel's bodies bear.
const VERSION: &str = "bedrock-2023-05-31";

/// The betas that Bedrock takes, and the name it has for them.
const BETAS: &[(&str, &str)] = &[
    ("advanced-tool-use-2025-11-20", "tool-search-tool-2025-10-19"),
    ("compact-2026-01-12", "compact-2026-01-12"),
    ("computer-use-2025-01-24", "computer-use-2025-01-24"),
    ("computer-use-2025-11-24", "computer-use-2025-11-24"),
    ("context-1m-2025-08-07", "context-1m-2025-08-07"),
    (CONTEXT_MANAGEMENT, CONTEXT_MANAGEMENT),
    ("dangerous-tool-use-2026-09-03", "dangerous-tool-use-2026-09-03"),
    ("effort-2025-11-24", "effort-2025-11-24"),
    ("fine-grained-tool-streaming-2025-05-14", "fine-grained-tool-streaming-2025-05-14"),
    ("interleaved-thinking-2025-05-14", "interleaved-thinking-2025-05-14"),
    ("mid-conversation-output-config-2026-07-01", "mid-conversation-output-config-2026-07-01"),
    ("mid-conversation-tool-changes-2026-07-01", "mid-conversation-tool-changes-2026-07-01"),
    ("thinking-binding-controls-2026-08-01", "thinking-binding-controls-2026-08-01"),
    ("thinking-display-updates-2026-08-18", "thinking-display-updates-2026-08-18"),
    ("tool-search-tool-2025-10-19", "tool-search-tool-2025-10-19"),
];

const CONTEXT_MANAGEMENT: &str = "context-management-2025-06-27";

/// Members that Bedrock refuses as extra inputs: they speak of Anthropic's own service.
const REFUSED: [&str; 7] =
    ["container", "diagnostics", "fallbacks", "inference_geo", "mcp_servers", "service_tier", "speed"];

/// A body for Bedrock, in pieces, and what it leaves out.
pub(in crate::bedrock) struct Body {
    pub(in crate::bedrock) pieces: Vec<Bytes>,
    pub(in crate::bedrock) dropped: Vec<Dropped>,
}

/// Makes a body for a Claude of `family` of an Anthropic client's call.
///
/// # Errors
/// [`InvalidRequest`](message::ErrorKind::InvalidRequest) for what is no JSON object.
pub(in crate::bedrock) fn body(call: &Call, family: Family) -> Result<Body, Failure> {
    let mut dropped = Vec::new();
    let betas = betas(&call.headers, &mut dropped);
    if let Some(pieces) = spliced(call, family, &betas)? {
        return Ok(Body { pieces, dropped });
    }
    let mut body: Map<String, Value> = json::decode(&call.body)?;
    if let Some(messages) = body.get("messages") {
        readable(messages, At::Body.key("messages"))?;
    }
    rewrite(&mut body, family, betas, &mut dropped);
    let body = serde_json::to_vec(&body).map_err(Failure::internal)?;
    Ok(Body { pieces: vec![Bytes::from(body)], dropped })
}

/// The betas of the header that Bedrock takes.
fn betas(headers: &HeaderMap, dropped: &mut Vec<Dropped>) -> Vec<&'static str> {
    let mut known: Vec<&'static str> = Vec::new();
    let asked = headers.get_all("anthropic-beta").iter().filter_map(|value| value.to_str().ok());
    for beta in asked.flat_map(|list| list.split(',')).map(str::trim).filter(|beta| !beta.is_empty()) {
        match BETAS.iter().find(|(asked, _)| *asked == beta) {
            Some((_, name)) if known.contains(name) => {}
            Some((_, name)) => known.push(name),
            None => dropped.push(Dropped {
                path: format!("anthropic-beta.{beta:.64}"),
                why: "Bedrock does not take this beta",
            }),
        }
    }
    known
}

/// The client's bytes, but for the members that stand elsewhere on Bedrock; `None` if more
/// has to change.
fn spliced(call: &Call, family: Family, betas: &[&str]) -> Result<Option<Vec<Bytes>>, Failure> {
    let body = &call.body;
    let [model, stream, version, beta, cache, context, system] = json::members(
        body,
        [
            "model",
            "stream",
            "anthropic_version",
            "anthropic_beta",
            "cache_control",
            "context_management",
            "system",
        ],
    )?;
    let refused = json::members(body, REFUSED)?;
    let asked = betas.contains(&CONTEXT_MANAGEMENT);
    let more =
        [version, beta, cache].iter().chain(&refused).any(Option::is_some) || (context.is_some() && !asked);
    // `system` stands once as a name of the body's; anywhere else it is a turn's role.
    let named = memmem::find_iter(body, "\"system\"").count();
    let turns = named > usize::from(system.is_some()) && !family.takes_system_turns();
    let named = |word: &[u8]| memmem::find(body, word).is_some();
    let odd = more || turns || named(b"\"scope\"") || named(b"\"url\"") || named(b"\"file\"");
    let Some(model) = model.filter(|_| !odd) else { return Ok(None) };
    let mut instead = format!("\"anthropic_version\":\"{VERSION}\"");
    if !betas.is_empty() {
        instead.push_str(&format!(",\"anthropic_beta\":{}", json!(betas)));
    }
    let Some(start) = name_start(body, model.start, "model") else { return Ok(None) };
    let mut cuts = vec![(start..model.end, Bytes::from(instead))];
    if let Some(stream) = stream {
        let Some(cut) =
            name_start(body, stream.start, "stream").and_then(|start| with_comma(body, start..stream.end))
        else {
            return Ok(None);
        };
        cuts.push((cut, Bytes::new()));
    }
    cuts.sort_by_key(|(cut, _)| cut.start);
    let (mut pieces, mut from) = (Vec::with_capacity(5), 0);
    for (cut, new) in cuts {
        pieces.push(body.slice(from..cut.start));
        pieces.push(new);
        from = cut.end;
    }
    pieces.push(body.slice(from..));
    pieces.retain(|piece| !piece.is_empty());
    Ok(Some(pieces))
}

/// Where the name of a member begins whose value begins at `value`; `None` if it is spelt
/// with escapes.
fn name_start(body: &[u8], value: usize, name: &str) -> Option<usize> {
    let before = body.get(..value)?.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end();
    let before = before.strip_suffix(b"\"")?.strip_suffix(name.as_bytes())?.strip_suffix(b"\"")?;
    Some(before.len())
}

/// A member together with the comma behind it, or before it if it is the last.
fn with_comma(body: &[u8], member: Range<usize>) -> Option<Range<usize>> {
    let behind = body.get(member.end..)?;
    let spaces = behind.len() - behind.trim_ascii_start().len();
    if behind.get(spaces) == Some(&b',') {
        return Some(member.start..member.end + spaces + 1);
    }
    let before = body.get(..member.start)?.trim_ascii_end().strip_suffix(b",")?;
    Some(before.len()..member.end)
}

/// Refuses files that lie where Bedrock cannot read them.
fn readable(value: &Value, at: At<'_>) -> Result<(), Failure> {
    match value {
        Value::Array(items) => {
            items.iter().enumerate().try_for_each(|(index, item)| readable(item, at.index(index)))
        }
        Value::Object(members) => {
            let source = members.get("source").and_then(|source| source.get("type")).and_then(Value::as_str);
            if matches!(source, Some("url" | "file")) {
                let why = "the file lies where Bedrock cannot read it; send its bytes";
                return Err(
                    Failure::unsupported(format!("{at}.source: {why}")).with_param(format!("{at}.source"))
                );
            }
            members.get("content").map_or(Ok(()), |content| readable(content, at.key("content")))
        }
        _ => Ok(()),
    }
}

/// Changes what Bedrock has elsewhere or refuses.
fn rewrite(
    body: &mut Map<String, Value>,
    family: Family,
    betas: Vec<&'static str>,
    dropped: &mut Vec<Dropped>,
) {
    let mut note = |path: &str, why| dropped.push(Dropped { path: path.to_owned(), why });
    for elsewhere in ["model", "stream"] {
        body.shift_remove(elsewhere);
    }
    body.entry("anthropic_version").or_insert_with(|| Value::from(VERSION));
    let managed = betas.contains(&CONTEXT_MANAGEMENT);
    if !betas.is_empty() {
        let own = body.entry("anthropic_beta").or_insert_with(|| json!([]));
        if let Value::Array(own) = own {
            own.extend(betas.into_iter().map(Value::from));
        }
    }
    for name in REFUSED {
        match body.shift_remove(name) {
            // What is so anyway.
            None | Some(Value::Null) => {}
            Some(Value::String(tier)) if name == "service_tier" && tier == "auto" => {}
            Some(_) => note(name, "not known to Bedrock"),
        }
    }
    if !managed && body.shift_remove("context_management").is_some() {
        note("context_management", "it needs its beta, which was not asked for");
    }
    // "Cache what can be": here a marker must say where.
    if let Some(control) = body.shift_remove("cache_control").filter(Value::is_object)
        && !mark_last(body, control)
    {
        note("cache_control", "there is no block that could bear it");
    }
    if let Some(Value::Array(turns)) = body.get_mut("messages")
        && !family.takes_system_turns()
    {
        for (index, turn) in turns.iter_mut().enumerate() {
            if turn.get("role").is_some_and(|role| role == "system") {
                turn["role"] = Value::from("user");
                note(&format!("messages.{index}.role"), "it was sent as the user's, in its place");
            }
        }
    }
    for name in ["system", "messages", "tools"] {
        if body.get_mut(name).is_some_and(strip_scopes) {
            note(&format!("{name}.cache_control.scope"), "Bedrock caches for one account only");
        }
    }
}

/// Marks the last block of the conversation, if it bears no marker of its own.
fn mark_last(body: &mut Map<String, Value>, control: Value) -> bool {
    let last = body.get_mut("messages").and_then(Value::as_array_mut).and_then(|turns| turns.last_mut());
    let Some(content) = last.and_then(|turn| turn.get_mut("content")) else { return false };
    if let Value::String(text) = content {
        let block = json!({"type": "text", "text": text, "cache_control": control});
        *content = json!([block]);
        return true;
    }
    let last = content.as_array_mut().and_then(|blocks| blocks.last_mut()).and_then(Value::as_object_mut);
    last.map(|block| block.entry("cache_control").or_insert(control)).is_some()
}

/// Takes the scope out of every cache marker; whether there was one. As deep as the body,
/// whose depth was bounded at the door.
fn strip_scopes(value: &mut Value) -> bool {
    match value {
        Value::Array(items) => items.iter_mut().fold(false, |found, item| strip_scopes(item) | found),
        Value::Object(members) => members.iter_mut().fold(false, |found, (name, member)| {
            let own = name == "cache_control"
                && member.as_object_mut().is_some_and(|marker| marker.shift_remove("scope").is_some());
            // A tool's input or schema is its own.
            let below = !matches!(name.as_str(), "input" | "input_schema") && strip_scopes(member);
            own | below | found
        }),
        _ => false,
    }
}

/// A decoder for Claude's answer to an Anthropic client.
pub(in crate::bedrock) fn decoder(call: &Call) -> Box<dyn ReplyDecoder> {
    let inner = anthropic::decode::decoder(call, true);
    if call.head.stream {
        Box::new(Unwrapped { frames: Decoder::new(), inner, native: Vec::new() })
    } else {
        inner
    }
}

/// A stream's chunks as the server-sent events they were made of, then forwarded as any
/// Anthropic server's.
struct Unwrapped {
    frames: Decoder,
    inner: Box<dyn ReplyDecoder>,
    native: Vec<u8>,
}

impl ReplyDecoder for Unwrapped {
    fn head(&mut self, _: &HeaderMap, shown: &mut HeaderMap) {
        shown.clear();
        shown.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    }

    fn feed(&mut self, piece: Bytes, events: &mut Vec<Event>) -> Result<(), Failure> {
        self.frames.push(piece);
        while let Some(message) = self.frames.next().map_err(nonsense)? {
            if let Some(failure) = fault(&message) {
                return Err(failure);
            }
            if message.event_type() == Some("chunk") {
                home::unwrap(&message.payload, &mut self.native)?;
                self.inner.feed(sse(&self.native)?, events)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        self.inner.finish(events)
    }
}

/// A native event as a server-sent one: its type is the event's name.
fn sse(native: &[u8]) -> Result<Bytes, Failure> {
    let [kind] = json::members(native, ["type"]).map_err(nonsense)?;
    let kind: Option<String> = json::member(native, kind, "type").map_err(nonsense)?;
    let kind = kind
        .filter(|kind| !kind.contains(['\n', '\r']))
        .ok_or_else(|| nonsense("an event without a type"))?;
    let mut event = Vec::with_capacity(native.len() + kind.len() + 17);
    event.extend_from_slice(b"event: ");
    event.extend_from_slice(kind.as_bytes());
    event.extend_from_slice(b"\ndata: ");
    // JSON's white space may be line ends, which here would end the data.
    event.extend(native.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    event.extend_from_slice(b"\n\n");
    Ok(Bytes::from(event))
}
