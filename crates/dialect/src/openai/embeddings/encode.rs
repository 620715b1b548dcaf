//! [`Embed`] → the body of a request for embeddings.

use message::{Dialect, Dropped, Embed, EmbedInput, Failure, Truncate, said};
use serde_json::{Map, Value};

use crate::openai::names;
use crate::openai::spelling::{note, unseal};

/// Encodes inputs for a server that names the model `model`.
///
/// # Errors
/// [`Unsupported`](message::ErrorKind::Unsupported) for pictures, and for what only the
/// client's own dialect can express.
pub fn encode(embed: &Embed, model: &str) -> Result<(Map<String, Value>, Vec<Dropped>), Failure> {
    let home = embed.home == Dialect::OpenAiChat;
    if !home {
        embed.leave_home()?;
    }
    let mut dropped = Vec::new();
    let mut body = Map::new();
    body.insert("model".to_owned(), model.into());
    let inputs = embed.inputs.iter().enumerate().map(|(index, input)| match input {
        EmbedInput::Text(text) => Ok(Value::from(text.as_str())),
        EmbedInput::Tokens(ids) => Ok(Value::from(ids.clone())),
        EmbedInput::Image(_) => {
            let path = format!("input.{index}");
            Err(Failure::unsupported(format!("{path}: this model embeds text only")).with_param(path))
        }
    });
    let mut inputs: Vec<Value> = inputs.collect::<Result<_, _>>()?;
    let alone = note(&embed.extra, "input").is_some() && inputs.len() == 1;
    let input = if alone { inputs.remove(0) } else { Value::Array(inputs) };
    body.insert("input".to_owned(), input);
    if let Some(dimensions) = embed.dimensions {
        body.insert("dimensions".to_owned(), dimensions.into());
    }
    if let Some(user) = &embed.user {
        let user = if home { user.into() } else { names::user(user) };
        body.insert("user".to_owned(), user.into());
    }
    if home {
        body.extend(
            note(&embed.extra, "encoding_format")
                .map(|format| ("encoding_format".to_owned(), format.clone())),
        );
        unseal(&embed.extra, &mut body);
        return Ok((body, dropped));
    }
    body.insert("encoding_format".to_owned(), "float".into());
    let mut lost = |path: &str, why| dropped.push(Dropped { path: path.to_owned(), why });
    if embed.purpose.is_some() {
        lost("input_type", "this server embeds alike whatever it is for");
    }
    if matches!(embed.truncate, Some(Truncate::Start | Truncate::End)) {
        lost("truncate", "this server refuses inputs that are too long");
    }
    if embed.normalize == Some(false) {
        lost("normalize", "this server decides the length of its vectors");
    }
    said(&embed.extra).for_each(|name| lost(name, "not known to Embeddings"));
    Ok((body, dropped))
}
