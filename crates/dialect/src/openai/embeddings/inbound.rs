//! A client's body → [`Head`] in one pass, and on demand → [`Embed`].

use message::{Call, Decode, Dialect, Embed, EmbedInput, Extra, Failure, Head};
use serde_json::{Map, Value};

use crate::openai::fields::{At, Fields};
use crate::openai::spelling::seal;
use crate::{Inbound, json};

/// Most inputs of one request, as the service documents it.
pub const INPUTS_MAX: usize = 2_048;

/// Reads the shallow facts of a body.
///
/// # Errors
/// [`InvalidRequest`](message::ErrorKind::InvalidRequest) naming the field.
pub fn read(body: &[u8]) -> Result<Inbound, Failure> {
    let [model, input] = json::members(body, ["model", "input"])?;
    let name: Option<String> = json::member(body, model.clone(), "model")?;
    let name = name.filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Failure::invalid_field("model", "this field is required"))?;
    if input.is_none() {
        return Err(Failure::invalid_field("input", "this field is required"));
    }
    let head = Head { model: name, model_span: model, stream: false, max_tokens: None };
    Ok(Inbound { head, decode: Decode::Embed(decode) })
}

/// Decodes the whole body.
///
/// # Errors
/// [`InvalidRequest`](message::ErrorKind::InvalidRequest) naming the field.
pub fn decode(call: &Call) -> Result<Embed, Failure> {
    let mut fields = Fields::new(At::Root, json::decode::<Map<String, Value>>(&call.body)?);
    let mut notes = Extra::new();
    fields.take_any("model");
    let inputs = inputs(&mut fields, &mut notes)?;
    let mut embed = Embed::new(Dialect::OpenAiChat, inputs);
    embed.dimensions = match fields.take("dimensions") {
        None => None,
        Some(value) => match value.as_u64().and_then(|wanted| u32::try_from(wanted).ok()) {
            Some(wanted) if wanted > 0 => Some(wanted),
            _ => return Err(At::Root.field("dimensions").fault("must be a positive integer")),
        },
    };
    match fields.take("encoding_format") {
        None => {}
        Some(format) if format == "float" || format == "base64" => {
            notes.insert("encoding_format".to_owned(), format);
        }
        Some(_) => return Err(At::Root.field("encoding_format").fault("expected `float` or `base64`")),
    }
    embed.user = fields.string("user")?;
    embed.extra = seal(fields.rest(), notes);
    Ok(embed)
}

/// A text, tokens, or a list of either.
fn inputs(fields: &mut Fields<'_>, notes: &mut Extra) -> Result<Vec<EmbedInput>, Failure> {
    const WANTED: &str = "a string, an array of strings, or token ids";
    let at = At::Root;
    let at = at.field("input");
    let items = match fields.take("input") {
        Some(Value::String(text)) => {
            notes.insert("input".to_owned(), "alone".into());
            return Ok(vec![EmbedInput::Text(text)]);
        }
        Some(Value::Array(items)) => items,
        Some(other) => return Err(at.expected(WANTED, &other)),
        None => return Err(at.fault("this field is required")),
    };
    if items.is_empty() {
        return Err(at.fault("at least one input is required"));
    }
    if items.iter().all(Value::is_number) {
        notes.insert("input".to_owned(), "alone".into());
        return Ok(vec![EmbedInput::Tokens(tokens(at, &items)?)]);
    }
    if items.len() > INPUTS_MAX {
        return Err(at.fault(format_args!("at most {INPUTS_MAX} inputs can be embedded at once")));
    }
    let inputs = items.into_iter().enumerate().map(|(index, item)| match item {
        Value::String(text) => Ok(EmbedInput::Text(text)),
        Value::Array(ids) => Ok(EmbedInput::Tokens(tokens(at.item(index), &ids)?)),
        other => Err(at.item(index).expected(WANTED, &other)),
    });
    inputs.collect()
}

fn tokens(at: At<'_>, ids: &[Value]) -> Result<Vec<u32>, Failure> {
    let ids = ids.iter().enumerate().map(|(index, id)| {
        let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
        id.ok_or_else(|| at.item(index).fault("expected a token id"))
    });
    let ids: Vec<u32> = ids.collect::<Result<_, _>>()?;
    if ids.is_empty() { Err(at.fault("no tokens")) } else { Ok(ids) }
}
